"""Parity of BigGAN-deep with huggingface/pytorch-pretrained-BigGAN."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from parity_cases import SINGLE, Case, Check, close, largest, open_case, same_pixels
from torch import Tensor

from genbench.images.rounding import to_uint8
from genbench.models.contract import ModelCard
from genbench.weights.files import weights_of
from genbench.weights.loading import load_state_strictly
from genbench_adapters.biggan_deep.checkpoint import load_network, read_config
from genbench_adapters.biggan_deep.folded import FoldedBigGAN
from genbench_adapters.biggan_deep.latents import published_noise
from genbench_adapters.biggan_deep.network import BigGANConfig, BigGANDeep, statistics_position


def checks(case: Case) -> Iterator[Check] | None:
    """The checks of a case, or None when it is not of this family."""
    if case.path.is_dir():
        config = case.path / "config.json"
        known = config.is_file() and "attention_layer_position" in config.read_text()
        return _folder(case) if known else None
    if case.meta.get("family") == "biggan-deep":
        return _network(case)
    if str(case.meta.get("note", "")).startswith("columns: truncation, start_idx"):
        return _positions(case)
    if str(case.meta.get("fn", "")).startswith("truncated_noise_sample"):
        return _noise(case)
    return None


def _network(case: Case) -> Iterator[Check]:
    network = BigGANDeep(BigGANConfig.from_mapping(case.meta["config"]))
    load_state_strictly(network, case.state(), what=case.path.name)
    yield from _images(network.eval(), case)
    yield from _layers(network, case)


def _truncations(case: Case, kind: str) -> list[float]:
    prefix = f"{kind}/"
    return [float(name.removeprefix(prefix)) for name in case.arrays if name.startswith(prefix)]


@torch.inference_mode()
def _images(network: BigGANDeep, case: Case) -> Iterator[Check]:
    z, labels = case.tensor("z"), case.tensor("labels")
    for truncation in _truncations(case, "image"):
        theirs = case.tensor(f"image/{truncation}")
        plain = network(truncation * z, labels, truncation)
        yield close(f"image at truncation {truncation}", plain, theirs)
        folded = FoldedBigGAN(network, truncation)(truncation * z, labels)
        yield close(f"image at truncation {truncation}, folded", folded, theirs)
    for truncation in _truncations(case, "uint8"):
        ours = to_uint8(network(truncation * z, labels, truncation), rounding="floor256")
        theirs = case.tensor(f"uint8/{truncation}")
        yield from same_pixels(f"uint8 at truncation {truncation}", ours, theirs)


@torch.inference_mode()
def _layers(network: BigGANDeep, case: Case) -> Iterator[Check]:
    """The stored layers are those of the first sample at the first stored truncation."""
    names = sorted(name for name in case.arrays if name.startswith("layer_mean_std_max/"))
    seen: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda module, given, out: seen.append(out))
        for layer in network.generator.layers
    ]
    truncation = (_truncations(case, "image") or _truncations(case, "uint8"))[0]
    network(truncation * case.tensor("z")[:1], case.tensor("labels")[:1], truncation)
    for hook in hooks:
        hook.remove()
    for name, out in zip(names, seen, strict=bool(names)):
        ours = torch.stack([out.mean(), out.std(correction=0), out.abs().max()])
        theirs = case.tensor(name)
        yield Check(name, largest(ours, theirs), SINGLE * max(1.0, float(theirs.abs().max())))


def _positions(case: Case) -> Iterator[Check]:
    worst = 0.0
    for truncation, index, coefficient, _ in case.arrays["table"].tolist():
        ours = statistics_position(truncation, 51)
        worst = max(worst, abs(ours[0] - coefficient), abs(ours[1] - index))
    yield Check("index and coefficient of the statistics", worst, 0.0)


def _noise(case: Case) -> Iterator[Check]:
    for name, array in case.arrays.items():
        seed = int(name.removeprefix("seed"))
        count, size = array.shape
        ours = published_noise(count, size, case.meta["truncation"], seed)
        yield Check(f"truncated noise of seed {seed}", largest(ours, case.tensor(name)), 0.0)


def _folder(case: Case) -> Iterator[Check]:
    weights = weights_of(case.path)
    config = read_config(weights, ModelCard(name="", resolution=0))
    card = ModelCard(name="", resolution=config.output_dim, classes=config.num_classes)
    network = load_network(weights, card)
    yield Check("every key and shape of the folder", 0.0, 0.0)
    same = case.path.with_name(case.path.name.removesuffix("_ckpt") + ".npz")
    if same.is_file():
        yield from _images(network, open_case(same))
