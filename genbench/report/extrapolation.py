"""Fréchet distances at several sample counts, and what they tend to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genbench.records.kinds import QualityRecord, Record
from genbench.report.curves import FRECHET, Interval, quality_records
from genbench.report.looks import Look, Looks, subject_of


@dataclass(frozen=True, kw_only=True)
class CountCurve:
    """A Fréchet distance of one set of samples at several counts."""

    model: str
    look: Look
    metric: str
    counts: tuple[int, ...]
    values: tuple[float, ...]
    intervals: tuple[Interval, ...]
    limit: float  # at infinitely many samples, given the reference, by `extrapolated`
    slope: float
    uncertainty: float | None = None  # half a 95% interval of `limit`; None: no interval to go by
    free: float | None = None  # of the reference's bias as well; None: it is not known


def extrapolated(counts: Sequence[int], values: Sequence[float]) -> tuple[float, float]:
    """(value at infinitely many samples, slope): the least-squares line of the values over 1/n.

    The bias of a Fréchet distance falls as 1/n (Chong and Forsyth 2020, arXiv:1911.07023, section
    3), so the line's intercept is free of its first order. At least two different counts.
    """
    inverse = [1 / count for count in counts]
    mean_x, mean_y = sum(inverse) / len(inverse), sum(values) / len(values)
    spread = sum((x - mean_x) ** 2 for x in inverse)
    both = sum((x - mean_x) * (y - mean_y) for x, y in zip(inverse, values, strict=True))
    slope = both / spread
    return mean_y - slope * mean_x, slope


def limit_uncertainty(counts: Sequence[int], half_width: float) -> float:
    """Half a 95% interval of the limit of nested samples, the reference fixed.

    half_width: of the distance at the largest count. To first order each distance is a mean over
    its samples (the delta method), so that of the first n and that of the first m >= n covary as
    the variance at m; the limit is a weighted sum of them.
    """
    inverse = [1 / count for count in counts]
    mean = sum(inverse) / len(inverse)
    spread = sum((x - mean) ** 2 for x in inverse)
    weights = [1 / len(inverse) - mean * (x - mean) / spread for x in inverse]
    largest = max(counts)
    variance = sum(
        weight * other * largest / max(count, beside)
        for weight, count in zip(weights, counts, strict=True)
        for other, beside in zip(weights, counts, strict=True)
    )
    return half_width * math.sqrt(variance)


def count_curves(records: Sequence[Record], looks: Looks | None = None) -> list[CountCurve]:
    """Fréchet distances at two counts or more of the same samples against the same reference.

    Figures of a singular covariance are left out: there the bias does not fall as 1/n.
    """
    looks = looks or Looks(records)
    found: dict[tuple[Any, ...], dict[int, QualityRecord]] = {}
    for record in quality_records(records):
        if record.metric in FRECHET and record.samples_digest and not record.singular:
            compared = (record.protocol_digest, record.reference_digest, record.samples_digest)
            key = (subject_of(record), record.metric, *compared)
            found.setdefault(key, {})[record.samples] = record
    curves = []
    for (_, metric, *_), values in found.items():
        if len(values) > 1:
            counts = tuple(sorted(values))
            heights = tuple(values[count].value for count in counts)
            limit, slope = extrapolated(counts, heights)
            most = values[counts[-1]]
            width = None if most.low is None or most.high is None else (most.high - most.low) / 2
            bias = most.reference_bias
            curves.append(
                CountCurve(
                    model=looks.name(most), look=looks.look(most), metric=metric, counts=counts,
                    values=heights, limit=limit, slope=slope,
                    intervals=tuple((values[at].low, values[at].high) for at in counts),
                    free=None if bias is None else limit - bias,
                    uncertainty=None if width is None else limit_uncertainty(counts, width),
                )
            )  # fmt: skip
    return curves


def told_limit(curve: CountCurve) -> str:
    """The limit with its interval, and without the reference's bias where that is known."""
    about = "" if curve.uncertainty is None else f" ± {curve.uncertainty:.2g}"
    free = "" if curve.free is None else f" ({curve.free:.4g} for infinitely many references too)"
    return f"{curve.limit:.4g}{about}{free}"
