"""A bundle checked: is it whole, do its figures follow from its moments, are its samples drawn?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from genbench.bundles.archive import Bundle
from genbench.bundles.checks import ELSEWHERE, MOVED, TOLERANCE, Check
from genbench.bundles.leaves import row_digests
from genbench.bundles.moments import unpacked
from genbench.errors import GenbenchError
from genbench.metrics.catalogue import metric_named
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.metric import Metric
from genbench.metrics.moments import Moments, stream_moments
from genbench.quality.features import ArrayFeatures
from genbench.quality.metric_values import MetricJob, Reference
from genbench.records.kinds import QualityRecord
from genbench.records.lines import from_line
from genbench.runtime.progress import Reporter


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
    whole_set = (
        bool(have)
        and len(have) == len(found)
        and all(len(array) == bundle.manifest.samples for array in have.values())
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
        again = job.compute([(metric, figure.samples)])[0].estimate
        yield _compared(subject, figure, again.value, "from its features", again.exact)
    yield from moments_follow(bundle, have, "samples")
    given = {layer: bundle.features(f"reference/{layer}") for layer in bundle.manifest.layers}
    against = {layer: rows for layer, rows in given.items() if rows is not None}
    yield from moments_follow(bundle, against, "reference")


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


def moments_follow(
    bundle: Bundle, have: Mapping[str, NDArray[np.float32]], side: Literal["samples", "reference"],
    slack: float = MOVED,
) -> Iterator[Check]:  # fmt: skip
    """Whether the moments of a side are those of features by layer, [N, D] each. slack: how far,
    over the largest number of each, they may be apart."""
    for key in sorted(bundle.moments):
        kind, _, rest = key.partition("/")
        layer, _, tail = rest.partition("/")
        if kind != side or not tail.endswith("mean") or layer not in have:
            continue
        name = key.removesuffix("/mean")
        kept = unpacked(name, dict(bundle.moments))
        if not kept.count or kept.count > len(have[layer]):
            yield Check(
                subject=f"moments of {name}", state="not checked",
                told="they are of a published file, or of more images than there are",
            )  # fmt: skip
            continue
        rows = torch.from_numpy(have[layer][: kept.count])
        again = stream_moments(iter([rows]), [kept.count])[kept.count]
        near = _near(kept.mean, again.mean, slack) and _near(kept.scatter, again.scatter, slack)
        yield Check(
            subject=f"moments of {name}", state="holds" if near else "fails",
            told="those of the features" if near else "they are not those of the features",
        )  # fmt: skip


def near_moments(one: Moments, other: Moments) -> bool:
    """Whether two sets of moments are equal but for what another machine's last bits move."""
    return (
        one.count == other.count
        and _near(one.mean, other.mean, ELSEWHERE)
        and _near(one.scatter, other.scatter, ELSEWHERE)
    )


def _near(one: torch.Tensor, other: torch.Tensor, slack: float) -> bool:
    size = float(other.abs().max()) if other.numel() else 0.0
    return one.shape == other.shape and float((one - other).abs().max()) <= slack * max(size, 1e-30)


def _compared(
    subject: str, figure: QualityRecord, value: float, how: str, exact: float | None = None
) -> Check:
    """A figure computed again, against the record: the value, and the exact one where both have it
    (it stands beside a value that imitates another evaluator's distances)."""
    pairs = [(figure.value, value)]
    if figure.exact is not None and exact is not None:
        pairs.append((figure.exact, exact))
    good = all(
        math.isfinite(again) and abs(again - kept) <= TOLERANCE * max(abs(kept), abs(again), 1e-12)
        for kept, again in pairs
    )
    if good:
        return Check(subject=subject, state="holds", told=f"{value:.6g} {how}")
    return Check(
        subject=subject, state="fails", told=f"{value:.6g} {how}, and {figure.value:.6g} on record"
    )
