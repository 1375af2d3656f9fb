"""Fréchet distances at infinitely many samples: the limit, its interval, the reference's share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from made_records import made

from genbench.metrics.frechet import finite_reference_bias, frechet_distance
from genbench.metrics.moments import stream_moments
from genbench.records.kinds import QualityRecord
from genbench.report.extrapolation import (
    count_curves,
    extrapolated,
    limit_uncertainty,
    told_limit,
)


def test_extrapolation_recovers_a_bias_of_first_order() -> None:
    counts = [2000, 5000, 10_000, 50_000]
    limit, slope = extrapolated(counts, [7.5 + 3e4 / count for count in counts])
    assert limit == pytest.approx(7.5)
    assert slope == pytest.approx(3e4)


def counted(count: int, value: float, **more: object) -> QualityRecord:
    fields: dict[str, object] = {"samples_digest": "s", "card": "a-32", **more}
    return made("a", "fd", value, samples=count, **fields)  # type: ignore[arg-type]


def test_a_count_curve_is_of_the_same_samples() -> None:
    records = [
        counted(5000, 12.0),
        counted(10_000, 11.0),
        counted(500, 99.0, singular=True),
        counted(2000, 30.0, samples_digest="another seed"),
    ]
    (curve,) = count_curves(records)
    assert curve.counts == (5000, 10_000)
    assert curve.limit == pytest.approx(10.0)


def test_a_limit_has_the_interval_of_its_nested_samples() -> None:
    """Of distances to first order linear in the samples: simulated, then by the formula."""
    counts, most = (250, 500, 1000), 1000
    drawn = np.random.default_rng(4).normal(size=(4000, most)).cumsum(axis=1)
    limits = [extrapolated(counts, [row[n - 1] / n for n in counts])[0] for row in drawn]
    half_width = 1.96 / math.sqrt(most)
    assert limit_uncertainty(counts, half_width) == pytest.approx(1.96 * np.std(limits), rel=0.04)
    (curve,) = count_curves(
        [counted(5000, 12.0), counted(10_000, 11.0, low=10.5, high=11.5, reference_bias=0.75)]
    )
    assert curve.free == pytest.approx(9.25)
    assert told_limit(curve) == "10 ± 0.71 (9.25 for infinitely many references too)"


def test_both_extrapolations_take_the_bias_of_a_gaussian_away() -> None:
    """Two samples of one Gaussian are 0 apart: at a finite count both sides add to that."""
    width, count = 24, 1200
    free, given = [], []
    for trial in range(12):
        drawn = torch.Generator().manual_seed(trial)
        samples, reference = torch.randn(2, count, width, generator=drawn, dtype=torch.float64)
        whole = stream_moments([reference], [count])[count]
        halves = [stream_moments([half], [count // 2])[count // 2]
                  for half in (reference[::2], reference[1::2])]  # fmt: skip
        counts = (300, 600, 1200)
        moments = stream_moments([samples], counts)
        values = [frechet_distance(moments[n], whole) for n in counts]
        bias = finite_reference_bias(moments[count], (halves[0], halves[1]), values[-1])
        assert bias is not None
        given.append(extrapolated(counts, values)[0])
        free.append(given[-1] - bias)
    assert np.mean(given) > 0.1  # the reference's bias is left
    assert abs(np.mean(free)) < 0.25 * np.mean(given)
