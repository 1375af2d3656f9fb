"""A bundle checked: is it whole, do its figures follow from its moments, are its samples drawn?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from genbench.bundles.archive import Bundle
from genbench.bundles.leaves import root_of, row_digests
from genbench.bundles.moments import unpacked
from genbench.errors import GenbenchError
from genbench.metrics.catalogue import metric_named
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.metric import Metric
from genbench.metrics.moments import stream_moments
from genbench.quality.features import ArrayFeatures
from genbench.quality.metric_values import MetricJob, Reference
from genbench.records.kinds import QualityRecord
from genbench.records.lines import from_line
from genbench.runtime.digests import canonical_digest
from genbench.runtime.progress import Reporter

State = Literal["holds", "fails", "not checked"]
TOLERANCE = 1e-6  # relative: what a figure may move with the library that multiplies matrices
MOVED = 1e-9  # relative: what moments of equal features may


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at, and what was found."""

    subject: str
    state: State
    told: str


def records_of(bundle: Bundle) -> list[QualityRecord]:
    """The figures that a bundle holds. Raises GenbenchError for lines that are no such records."""
    found = []
    for number, line in enumerate(bundle.records.splitlines(), start=1):
        record = from_line(line, name=f"{bundle.path}: record {number}")
        if not isinstance(record, QualityRecord):
            raise GenbenchError(f"{bundle.path}: record {number} is no figure of quality")
        found.append(record)
    if not found:
        raise GenbenchError(f"{bundle.path} holds no records: there is nothing to verify")
    return found


def whole(bundle: Bundle, figures: Sequence[QualityRecord]) -> Iterator[Check]:
    """What the bundle says of itself: the root over its leaves, and records that are all of its
    samples and its protocol."""
    manifest = bundle.manifest
    root = root_of(bundle.leaves)
    same = root == manifest.root
    yield Check(
        subject="samples", state="holds" if same else "fails",
        told=f"{manifest.samples:,} digests, root {root[:16]}…"
        if same else f"the digests have the root {root[:16]}…, not {manifest.root[:16]}…",
    )  # fmt: skip
    named = canonical_digest(dict(manifest.identity)) == manifest.samples_digest
    yield Check(
        subject="identity", state="holds" if named else "fails",
        told=f"what decides the samples has the digest {manifest.samples_digest[:16]}…"
        + ("" if named else ", it is said, and has not"),
    )  # fmt: skip
    digest = manifest.protocol.digest()
    wrong = [
        figure
        for figure in figures
        if figure.samples_digest != manifest.samples_digest or figure.protocol_digest != digest
        or figure.samples > manifest.samples
    ]  # fmt: skip
    yield Check(
        subject="records", state="fails" if wrong else "holds",
        told=f"{len(figures)} figures of these samples under {manifest.protocol.name} [{digest}]"
        if not wrong else f"{wrong[0].metric} at {wrong[0].samples:,} is of other samples, of "
        "more than there are, or of another protocol",
    )  # fmt: skip


def from_moments(bundle: Bundle, figures: Sequence[QualityRecord]) -> Iterator[Check]:
    """Every Fréchet distance computed again from the moments in the bundle."""
    for figure in figures:
        metric = metric_named(figure.metric)
        if metric.compares != "moments":
            continue
        subject = f"{figure.metric} at {figure.samples:,}"
        if bundle.manifest.slim:
            yield Check(subject=subject, state="not checked", told="a slim bundle has no moments")
            continue
        try:
            samples = unpacked(f"samples/{metric.layer}/{figure.samples}", dict(bundle.moments))
            reference = unpacked(f"reference/{metric.layer}", dict(bundle.moments))
        except GenbenchError as error:
            yield Check(subject=subject, state="fails", told=str(error))
            continue
        if samples.count != figure.samples:
            yield Check(subject=subject, state="fails", told=f"its moments are of {samples.count}")
            continue
        yield _compared(subject, figure, frechet_distance(samples, reference), "from its moments")


def from_features(
    bundle: Bundle, figures: Sequence[QualityRecord], reporter: Reporter
) -> Iterator[Check]:
    """Where the bundle has features: they are those of the leaves, and every figure follows."""
    if not bundle.has_features:
        for figure in figures:
            if metric_named(figure.metric).compares != "moments":
                yield Check(
                    subject=f"{figure.metric} at {figure.samples:,}", state="not checked",
                    told="it needs features: pack with --with-features",
                )  # fmt: skip
        return
    found = {layer: bundle.features(f"samples/{layer}") for layer in bundle.manifest.layers}
    have = {layer: array for layer, array in found.items() if array is not None}
    whole_set = len(have) == len(found) and all(
        len(array) == bundle.manifest.samples for array in have.values()
    )
    same = whole_set and np.array_equal(row_digests(have), bundle.leaves[:, 32:])
    yield Check(
        subject="features", state="holds" if same else "fails",
        told="each row is that of its leaf" if same else "they are not those that the leaves name",
    )  # fmt: skip
    if not same:
        return
    reference = _reference(bundle)
    for figure in figures:
        metric = metric_named(figure.metric)
        subject = f"{figure.metric} at {figure.samples:,}"
        if metric.compares == "moments" and not bundle.manifest.slim:
            continue  # from the moments, which are held against the features below
        if reason := _why_not(metric, reference, bundle):
            yield Check(subject=subject, state="not checked", told=reason)
            continue
        job = MetricJob(
            ArrayFeatures("samples", "", have), reference, bundle.manifest.protocol,
            figure.detector, reporter,
        )  # fmt: skip
        value = job.compute([(metric, figure.samples)])[0].estimate.value
        yield _compared(subject, figure, value, "from its features")
    yield from _moments_follow(bundle, have)


def _reference(bundle: Bundle) -> Reference | None:
    arrays: dict[str, NDArray[np.float32]] = {}
    for layer in bundle.manifest.layers:
        found = bundle.features(f"reference/{layer}")
        if found is not None:
            arrays[layer] = found
    if not arrays:
        return None
    if "pool" not in arrays:
        return None
    return Reference("reference", "", ArrayFeatures("reference", "", arrays))


def _why_not(metric: Metric, reference: Reference | None, bundle: Bundle) -> str:
    if metric.layer not in bundle.manifest.layers:
        return f"the bundle has no {metric.layer} features"
    if metric.training or metric.labelled:
        return "it needs training images or labels, which no bundle holds"
    if metric.needs_reference and reference is None:
        return "the bundle has no features of the reference, which was a file of statistics"
    return ""


def _moments_follow(bundle: Bundle, have: dict[str, NDArray[np.float32]]) -> Iterator[Check]:
    for key in sorted(bundle.moments):
        kind, _, rest = key.partition("/")
        layer, _, tail = rest.partition("/")
        if kind != "samples" or not tail.endswith("/mean") or layer not in have:
            continue
        count = int(tail.removesuffix("/mean"))
        kept = unpacked(f"samples/{layer}/{count}", dict(bundle.moments))
        again = stream_moments(iter([torch.from_numpy(have[layer][:count])]), [count])[count]
        near = _near(kept.mean, again.mean) and _near(kept.scatter, again.scatter)
        yield Check(
            subject=f"moments of {layer} at {count:,}", state="holds" if near else "fails",
            told="those of the features" if near else "they are not those of the features",
        )  # fmt: skip


def _near(one: torch.Tensor, other: torch.Tensor) -> bool:
    size = float(other.abs().max()) if other.numel() else 0.0
    return one.shape == other.shape and float((one - other).abs().max()) <= MOVED * max(size, 1e-30)


def _compared(subject: str, figure: QualityRecord, value: float, how: str) -> Check:
    written = figure.exact if figure.exact is not None else figure.value
    error = abs(value - figure.value)
    if figure.exact is not None:  # imitated distances: the exact ones stand beside
        error = min(error, abs(value - written))
    size = max(abs(figure.value), abs(value), 1e-12)
    if math.isfinite(value) and error <= TOLERANCE * size:
        return Check(subject=subject, state="holds", told=f"{value:.6g} {how}")
    return Check(
        subject=subject, state="fails", told=f"{value:.6g} {how}, and {figure.value:.6g} on record"
    )
