"""Parity of what detectors are handed, and of DINOv2, with the codes that publish distances."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parity_cases import Case, Check, UnknownCaseError, largest
from torch import Tensor

from genbench.detectors.dinov2_network import PositionTable, build_dinov2, resized_table
from genbench.detectors.preprocessing import IMAGENET_DEVIATION, IMAGENET_MEAN
from genbench.detectors.published_preprocessing import PREPROCESSINGS
from genbench.detectors.resizing import prepared

INPUT = 2e-6  # absolute, of a network's input
TOKENS = 5e-6  # of the largest value: float32 against the same network in float64 differs by 1e-6
_CPU = torch.device("cpu")


def checks(case: Case) -> Iterator[Check] | None:
    """The checks of a case, or None when it is not of this family."""
    if "protocols" in case.meta and "stride" in case.meta:
        return _inputs(case)
    if any(key.startswith("pos/") for key in case.arrays):
        return _dinov2(case)
    if case.arrays and all(map(_is_image, case.arrays.values())):
        return iter(())  # images that the others name
    return None


def _is_image(array: np.ndarray[Any, Any]) -> bool:
    return array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3


def _inputs(case: Case) -> Iterator[Check]:
    images = _images(case.path, case.meta["images"])
    unknown = [name for name in case.meta["protocols"] if name not in PREPROCESSINGS]
    for name in case.meta["protocols"]:
        if name not in unknown:
            errors = [
                _input_error(case, f"{name}/{image}", prepared(pixels, PREPROCESSINGS[name], _CPU))
                for image, pixels in images.items()
            ]
            yield Check(f"{name}, {len(errors)} images", max(errors), INPUT)
    if unknown:
        raise UnknownCaseError(f"{case.path.name}: not implemented: {', '.join(unknown)}")


def _images(path: Path, names: list[str]) -> dict[str, Tensor]:
    """The images of those names, uint8 [1, 3, H, W], from the files beside `path`; where two files
    have one, from that whose name ends most like its own (preprocess_images_b of _vit_b)."""
    found: dict[str, Tensor] = {}
    for beside in sorted(path.parent.glob("*.npz"), key=lambda other: _shared_ending(path, other)):
        with np.load(beside, allow_pickle=False) as file:
            for name in set(names) & set(file.files):
                found[name] = torch.from_numpy(file[name]).permute(2, 0, 1)[None]
    if lacking := [name for name in names if name not in found]:
        raise UnknownCaseError(f"{path.name}: no file beside it holds the image {lacking[0]}")
    return {name: found[name] for name in names}


def _shared_ending(one: Path, other: Path) -> int:
    pairs = zip(reversed(one.stem), reversed(other.stem), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _input_error(case: Case, key: str, ours: Tensor) -> float:
    """The largest error in what is stored of one input; infinite for another shape, and where
    nothing is."""
    values = ours[0].double()  # [3, H, W]
    if list(values.shape) != case.arrays[f"{key}/shape"].tolist():
        return float("inf")
    stride, corner = case.meta["stride"], case.meta["corner"]
    parts = {
        "grid": values[:, ::stride, ::stride],
        "first": values[:, :corner, :corner],
        "last": values[:, -corner:, -corner:],
    }
    errors = [
        largest(part, case.tensor(f"{key}/{name}"))
        for name, part in parts.items()
        if f"{key}/{name}" in case.arrays
    ]
    flat, wanted = values.flatten(1), case.tensor(f"{key}/stats")
    # Sums as mean and root mean square, so that one tolerance serves.
    ends = torch.stack((flat.mean(1), flat.square().mean(1).sqrt(), *flat.aminmax(dim=1)), dim=1)
    sums, squares, *rest = wanted.unbind(1)
    count = flat.shape[1]
    theirs = torch.stack((sums / count, (squares / count).sqrt(), *rest), dim=1)
    return max([largest(ends, theirs), *errors])


def _dinov2(case: Case) -> Iterator[Check]:
    configuration, state = case.meta["cfg"], case.state()
    positions = PositionTable(antialias=configuration["aa"], offset=configuration["off"])
    table = state["pos_embed"]
    for key in sorted(case.arrays):
        if key.startswith("pos/every5/"):
            high, wide = _size(key)
            patch = case.meta["patch_size"]
            rows = resized_table(table[:, 1:], (high // patch, wide // patch), positions)
            ours = torch.cat((table[:, :1], rows), dim=1)[0]
            theirs = case.tensor(key)
            yield _close(f"positions {high}x{wide}", ours[::5], theirs)
            sums = torch.stack((ours.double().sum(), ours.double().square().sum()))
            error = largest(sums, case.tensor(f"pos/sum/{high}x{wide}")) / ours.numel()
            yield Check(f"positions {high}x{wide}, sums", error, TOKENS * float(theirs.abs().max()))
        elif key.startswith("in/"):
            yield from _tokens(case, state, key, positions)


def _tokens(
    case: Case, state: dict[str, Tensor], key: str, positions: PositionTable
) -> Iterator[Check]:
    size, heads = _size(key), case.meta["cfg"]["heads"]
    network = build_dinov2(state, heads=heads, size=size, positions=positions, what=case.path.name)
    mean, deviation = (
        torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_DEVIATION)
    )
    with torch.inference_mode():
        tokens = network.forward_features((case.tensor(key).float() / 255 - mean) / deviation)
    registers = case.meta["cfg"]["reg"]
    patches = tokens[:, 1 + registers :]
    layers = {
        "cls": tokens[:, 0],
        "patch_mean": patches.mean(dim=1),
        "patch_every37": patches[:, ::37],
        "reg": tokens[:, 1 : 1 + registers],
    }
    for layer, ours in layers.items():
        stored = f"out/{layer}/{size[0]}x{size[1]}"
        if stored in case.arrays:
            yield _close(f"{layer} {size[0]}x{size[1]}", ours, case.tensor(stored))


def _size(key: str) -> tuple[int, int]:
    high, wide = key.rsplit("/", 1)[1].split("x")
    return int(high), int(wide)


def _close(name: str, ours: Tensor, theirs: Tensor) -> Check:
    return Check(name, largest(ours, theirs), TOKENS * float(theirs.abs().max()))
