"""Parity of HiT with google-research/hit-gan, and of the checkpoint reader with TensorFlow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from parity_cases import Case, Check, largest, open_case
from torch import Tensor

from genbench.models.contract import ModelCard
from genbench.models.optional import ConvertRun
from genbench.weights.loading import load_state_strictly
from genbench_adapters.hit.checkpoint import convert, hit_config, load_network, parameter_name
from genbench_adapters.hit.folded import FoldedHiT
from genbench_adapters.hit.network import HiT, HiTConfig
from genbench_adapters.hit.tensorflow import checkpoint_prefix, open_bundle

_IMAGE = 1e-4  # times the largest value: images are unbounded


def checks(case: Case) -> Iterator[Check] | None:
    """The checks of a case, or None when it is not of this family."""
    if case.path.is_dir():
        return _checkpoint(case) if list(case.path.glob("*.index")) else None
    return _network(case) if case.meta.get("family") == "hit" else None


def _config(case: Case) -> HiTConfig:
    size = case.meta["config"]["size"]
    names = list(case.arrays)
    batch = any("moving_mean" in name for name in names)
    keys = next(name for name in names if "key_dense/kernel" in name)
    return HiTConfig(
        dims=tuple(size["dims"]),
        heads=tuple(size["heads"]),
        layers=tuple(size["layers"]),
        patches=tuple(size["patches"]),
        latent=case.arrays["z"].shape[1],
        norm="batch" if batch else "layer",
        multi_query=case.arrays[keys].shape[1] == 1,
    )


def _network(case: Case) -> Iterator[Check]:
    network = HiT(_config(case))
    state = {}
    for name in case.arrays:
        if name.startswith("var/"):
            _, prefix, rest = name.split("/", 2)
            state[parameter_name(f"{prefix}/{rest}", f"{prefix}/")] = case.tensor(name)
    load_state_strictly(network, state, what=case.path.name)
    network.eval()
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
            yield _close(f"inter/{name}", ours, case.tensor(f"inter/{name}"))
    yield _close("image", network(z).permute(0, 2, 3, 1), case.tensor("image"))
    if network.config.norm == "batch":
        folded = FoldedHiT(network)(z).permute(0, 2, 3, 1)
        yield _close("image, folded", folded, case.tensor("image"))
    clipped = (network(z).clamp(-1, 1) + 1) / 2
    yield _close("image01", clipped.permute(0, 2, 3, 1), case.tensor("image01"))
    if "image_training_true" in case.arrays:
        trained = network.train()(z).permute(0, 2, 3, 1)
        yield _close("image_training_true", trained, case.tensor("image_training_true"))


def _close(name: str, ours: Tensor, theirs: Tensor) -> Check:
    tolerance = _IMAGE * max(1.0, float(theirs.abs().max()))
    return Check(name, largest(ours.detach(), theirs), tolerance)


def _checkpoint(case: Case) -> Iterator[Check]:
    bundle = open_bundle(checkpoint_prefix(case.path))
    same = case.path.with_name(case.path.name.removesuffix("_ckpt") + ".npz")
    if not same.is_file():
        worst = sum(not np.isfinite(bundle.read(name)).all() for name in bundle.entries
                    if bundle.entries[name].dtype is not None)  # fmt: skip
        yield Check("every number of the checkpoint is finite", worst, 0)
        return
    stored = open_case(same)
    names = [name for name in stored.arrays if name.startswith("var/")]
    other = sum(
        not np.array_equal(bundle.read(name.removeprefix("var/")), stored.arrays[name])
        for name in names
    )
    yield Check(f"{len(names)} variables of the checkpoint", other, 0)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "hit.safetensors"
        patches = ",".join("-" if p is None else str(p) for p in _config(stored).patches)
        convert(ConvertRun(source=case.path, out=out, options={"patches": patches}))
        card = ModelCard(name="", resolution=hit_config(out).resolution)
        network = load_network(out, card)
        with torch.inference_mode():
            image = network(stored.tensor("z")).permute(0, 2, 3, 1)
        yield _close("image of the converted checkpoint", image, stored.tensor("image"))
