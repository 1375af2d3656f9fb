"""Parity of HiT with google-research/hit-gan, and of the checkpoint reader with TensorFlow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from parity_cases import Case, Check, close, open_case
from torch import Tensor

from genbench.models.contract import ModelCard
from genbench.models.optional import ConvertRun
from genbench.weights.loading import load_state_strictly
from genbench_adapters.hit.checkpoint import convert, hit_config, load_network, parameter_name
from genbench_adapters.hit.folded import FoldedHiT
from genbench_adapters.hit.network import HiT, HiTConfig
from genbench_adapters.hit.tensorflow import checkpoint_prefix, open_bundle


def checks(case: Case) -> Iterator[Check] | None:
    """The checks of a case, or None when it is not of this family."""
    if case.path.is_dir():
        return _checkpoint(case) if list(case.path.glob("*.index")) else None
    return _network(case) if case.meta.get("family") == "hit" else None


def _variables(case: Case) -> dict[str, Tensor]:
    """Under their names in a checkpoint, of the file, or of the checkpoint that lies beside it."""
    beside = case.path.with_name(f"{case.path.stem}_ckpt")
    if (found := case.state("var/")) or not beside.is_dir():
        return found
    bundle = open_bundle(checkpoint_prefix(beside))
    names = [name for name in bundle.entries if name.startswith("ema_generator/")]
    return {name: torch.from_numpy(bundle.read(name)) for name in names}


def _config(case: Case, variables: Mapping[str, Tensor]) -> HiTConfig:
    size = case.meta["config"]["size"]
    keys = next(name for name in variables if "key_dense/kernel" in name)
    return HiTConfig(
        dims=tuple(size["dims"]),
        heads=tuple(size["heads"]),
        layers=tuple(size["layers"]),
        patches=tuple(size["patches"]),
        latent=case.arrays["z"].shape[1],
        norm="batch" if any("moving_mean" in name for name in variables) else "layer",
        multi_query=variables[keys].shape[1] == 1,
    )


def hit_network(case: Case) -> HiT:
    """The network of a case, in training mode."""
    variables = _variables(case)
    network = HiT(_config(case, variables))
    state = {
        parameter_name(name, name.split("/")[0] + "/"): value for name, value in variables.items()
    }
    load_state_strictly(network, state, what=case.path.name)
    return network


def _network(case: Case) -> Iterator[Check]:
    yield from _images(hit_network(case).eval(), case)


@torch.no_grad()
def _images(network: HiT, case: Case) -> Iterator[Check]:
    z = case.tensor("z")
    seen: dict[str, Tensor] = {"embeddings": network.tokens(z)}
    x = network.dense_layer[0](z).view(len(z), 8, 8, -1)
    seen["dense"] = x
    for stage in range(len(network.config.dims)):
        x = seen[f"block{stage}"] = network.stage(stage, x, seen["embeddings"])
        if stage < len(network.umsamplings):
            x = network.umsamplings[stage](x)
    for name, ours in seen.items():
        if f"inter/{name}" in case.arrays:
            yield close(f"inter/{name}", ours, case.tensor(f"inter/{name}"))
    image = network(z).permute(0, 2, 3, 1)
    yield close("image", image, case.tensor("image"))
    if network.config.norm == "batch":
        folded = FoldedHiT(network)(z).permute(0, 2, 3, 1)
        yield close("image, folded", folded, case.tensor("image"))
    if "image01" in case.arrays:
        yield close("image01", (image.clamp(-1, 1) + 1) / 2, case.tensor("image01"))
    if "image_training_true" in case.arrays:
        trained = network.train()(z).permute(0, 2, 3, 1)
        yield close("image_training_true", trained, case.tensor("image_training_true"))


def _checkpoint(case: Case) -> Iterator[Check]:
    bundle = open_bundle(checkpoint_prefix(case.path))
    same = case.path.with_name(case.path.name.removesuffix("_ckpt") + ".npz")
    if not same.is_file():
        worst = sum(not np.isfinite(bundle.read(name)).all() for name in bundle.entries
                    if bundle.entries[name].dtype is not None)  # fmt: skip
        yield Check("every number of the checkpoint is finite", worst, 0)
        return
    stored = open_case(same)
    variables = stored.state("var/")
    if variables:  # else the case's are those of this very checkpoint
        other = sum(
            not np.array_equal(bundle.read(name), value.numpy())
            for name, value in variables.items()
        )
        yield Check(f"{len(variables)} variables of the checkpoint", other, 0)
    patches = stored.meta["config"]["size"]["patches"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "hit.safetensors"
        words = ",".join("-" if size is None else str(size) for size in patches)
        convert(ConvertRun(source=case.path, out=out, options={"patches": words}))
        card = ModelCard(name="", resolution=hit_config(out).resolution)
        network = load_network(out, card)
        with torch.inference_mode():
            image = network(stored.tensor("z")).permute(0, 2, 3, 1)
        yield close("image of the converted checkpoint", image, stored.tensor("image"))
