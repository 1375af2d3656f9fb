"""Some of a bundle's samples drawn again and held against its leaves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from genbench.bundles.archive import Bundle
from genbench.bundles.chances import caught, largest_missed
from genbench.bundles.checks import MOVED, Check
from genbench.bundles.leaves import row_digests
from genbench.bundles.verification import moments_follow
from genbench.quality.features import DETECTOR_BATCH, image_digests
from genbench.quality.source import Source
from genbench.runtime.progress import Reporter

Detect = Callable[[Tensor], dict[str, Tensor]]
# Of a row's length, between features of one sample drawn in other last bits, as other kinds of
# device do. Measured on a CPU with the bundled models (`benchmarks/redraw_tolerance.py`): bfloat16
# against float32 moves them by 0.2 at most, other blocks by 0.07; another sample is at 0.39 and
# more.
FEATURE_TOLERANCE = 0.25
# Of what decides a model's samples: where other last bits come from, and no other samples.
_OF_THE_MACHINE = {"switches", "threads", "device_type", "code_digest", "kernels"}


def units_of(samples: int) -> int:
    """Into how many batches of the detector the samples fall: what is drawn again together."""
    return math.ceil(samples / DETECTOR_BATCH)


def chosen_units(samples: int, fraction: float, rng: Generator) -> list[int]:
    """A random share of the batches, at least one, in order."""
    units = units_of(samples)
    wanted = min(units, max(1, math.ceil(fraction * units)))
    return sorted(int(unit) for unit in rng.choice(units, size=wanted, replace=False))


@dataclass
class _Tally:
    drawn: int = 0
    images: int = 0  # whose bits differ
    rows: int = 0
    features: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    apart: float = 0.0  # the largest distance of features, over the row's length
    far: int = 0


def redrawn(
    bundle: Bundle, source: Source, detect: Detect | None, units: Sequence[int],
    reporter: Reporter,
) -> Iterator[Check]:  # fmt: skip
    """Draw the samples of some batches again. detect: features [n, D] of images uint8 [n, 3, H, W];
    None to look at images alone.

    Where everything that decides the images is as it was (`source.digest()`), bits must be equal.
    Elsewhere, as on another kind of device, images that differ are held against the features in
    the bundle, where it has any, within FEATURE_TOLERANCE.
    """
    strict = source.digest() == bundle.manifest.samples_digest
    if told := otherwise(bundle, source):
        yield Check(subject="drawn again", state="fails", told=told)
        return
    tally, kept = _Tally(), _kept(bundle)
    with reporter.task("drawing samples again", len(units) * DETECTOR_BATCH) as advance:
        for unit in units:
            _look(bundle, source, detect, unit, tally, kept)
            advance(DETECTOR_BATCH)
    samples = bundle.manifest.samples
    looked = f"{tally.drawn:,} of {samples:,} samples drawn again"
    if not tally.images and not tally.rows:
        kinds = "images and features" if detect else "images"
        yield Check(subject="drawn again", state="holds", told=f"{looked}: {kinds} bit for bit")
    elif strict:
        yield Check(
            subject="drawn again", state="fails",
            told=f"{looked}: {tally.images:,} images and {tally.rows:,} rows of features are not "
            "those of the leaves, where this machine draws the same bits",
        )  # fmt: skip
    elif detect is None or not bundle.has_features:
        yield Check(
            subject="drawn again", state="not checked",
            told=f"{looked}: {tally.images:,} images differ in bits, as they may on another kind "
            "of device or with other versions; a bundle with features would tell more",
        )  # fmt: skip
    else:
        good = tally.far == 0
        yield Check(
            subject="drawn again", state="holds" if good else "fails",
            told=f"{looked}: {tally.images:,} images differ in bits (another device or versions); "
            f"features are at most {tally.apart:.2g} of their length apart, "
            f"{FEATURE_TOLERANCE:g} is allowed"
            + ("" if good else f": {tally.far:,} are further"),
        )  # fmt: skip
    yield from _moments_again(bundle, tally, detect, whole=len(units) == units_of(samples))
    if not tally.images:
        yield _chances(bundle, len(units))


def _moments_again(
    bundle: Bundle, tally: _Tally, detect: Detect | None, *, whole: bool
) -> Iterator[Check]:
    """Whether the moments are those of the samples, which only drawing all of them tells."""
    if bundle.manifest.slim or bundle.has_features:
        return
    if detect is None or not whole:
        yield Check(
            subject="moments", state="not checked",
            told="that they are of these samples: only features in the bundle tell, or all samples "
            "drawn again (--fraction 1)",
        )  # fmt: skip
        return
    rows = {layer: np.concatenate(parts) for layer, parts in tally.features.items()}
    slack = FEATURE_TOLERANCE if tally.rows else MOVED
    yield from moments_follow(bundle, rows, "samples", slack)


def otherwise(bundle: Bundle, source: Source) -> str:
    """In what the model that the records tell of is another than that of the samples; empty where
    only machine and code may differ."""
    here = json.loads(json.dumps(dict(source.identity()), default=str))
    there = dict(bundle.manifest.identity)
    for key in sorted({*here, *there} - _OF_THE_MACHINE):
        if here.get(key) != there.get(key):
            return (
                f"the records tell of {key} {here.get(key)}, and the samples are of "
                f"{there.get(key)}"
            )
    return ""


def _kept(bundle: Bundle) -> dict[str, NDArray[np.float32]]:
    """The features in the bundle, by layer; nothing where it has none."""
    found = {layer: bundle.features(f"samples/{layer}") for layer in bundle.manifest.layers}
    return {layer: array for layer, array in found.items() if array is not None}


def _look(
    bundle: Bundle, source: Source, detect: Detect | None, unit: int, tally: _Tally,
    kept: dict[str, NDArray[np.float32]],
) -> None:  # fmt: skip
    start = unit * DETECTOR_BATCH
    stop = min(start + DETECTOR_BATCH, bundle.manifest.samples)
    images = torch.cat(list(source.images(start, stop)))
    leaves = bundle.leaves[start:stop]
    tally.drawn += stop - start
    tally.images += int((image_digests(images) != leaves[:, :32]).any(axis=1).sum())
    if detect is None:
        return
    if len(images) < DETECTOR_BATCH:
        filling = images.new_zeros(DETECTOR_BATCH - len(images), *images.shape[1:])
        images = torch.cat([images, filling])
    found = detect(images)
    again = {layer: found[layer][: stop - start].numpy() for layer in bundle.manifest.layers}
    for layer, rows in again.items():
        tally.features.setdefault(layer, []).append(rows)
    tally.rows += int((row_digests(again) != leaves[:, 32:]).any(axis=1).sum())
    for layer, rows in kept.items():
        apart = _apart(again[layer], rows[start:stop])
        tally.apart = max(tally.apart, float(apart.max()))
        tally.far += int((apart > FEATURE_TOLERANCE).sum())


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Distance of rows over the length of the second: float64 [n]."""
    length = np.linalg.norm(other.astype(np.float64), axis=1)
    distance = np.linalg.norm(one.astype(np.float64) - other, axis=1)
    return np.asarray(distance / np.maximum(length, 1e-30), np.float64)


def _chances(bundle: Bundle, looked_at: int) -> Check:
    """With what confidence a forger would have been caught, at the worst: who keeps the changes
    together in as few batches as hold them."""
    units = units_of(bundle.manifest.samples)
    shares = []
    for share in (0.01, 0.05, 0.2):
        changed = max(1, math.ceil(share * units))
        shares.append(f"{100 * share:g}% {100 * caught(units, changed, looked_at):.1f}%")
    missed = largest_missed(units, looked_at)
    return Check(
        subject="confidence", state="told",
        told="of the samples, not of the moments: who changed so many would have been caught with "
        "a chance of: "
        f"{', '.join(shares)} (hypergeometric, {looked_at} of {units} batches; up to "
        f"{100 * missed:.1f}% may have been changed unseen at 95% confidence)",
    )  # fmt: skip
