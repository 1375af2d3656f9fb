"""Clipped density and coverage, P-precision and P-recall, as metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from genbench.metrics.estimate import Estimate
from genbench.metrics.evidence import Evidence
from genbench.metrics.metric import Metric
from genbench.metrics.settings import Choices, NeighbourSettings

_CLIPPED = "Salvy et al. 2025, arXiv:2507.01761"
_PROBABILISTIC = "Park and Kim 2023, arXiv:2309.01590"
_P_NEIGHBOURS = 4  # of the official code


def _metric(
    key: str, title: str, source: str, settings: Callable[[Choices], NeighbourSettings],
    compute: Callable[[Evidence], Estimate], few_samples: Literal["", "too high", "too low"] = "",
) -> Metric:  # fmt: skip
    return Metric(
        key=key,
        short=title,
        title=title,
        unit="fraction",
        higher_is_better=True,
        layer="pool",
        compares="features",
        generic_key=key,
        generic_short=title,
        generic_title=title,
        source=source,
        settings=settings,
        least=lambda choices: max(settings(choices).neighbours, choices.pr_neighbours) + 1,
        compute=compute,
        few_samples=few_samples,
    )


def _clipped_settings(choices: Choices) -> NeighbourSettings:
    return NeighbourSettings(neighbours=choices.dc_neighbours, rows=choices.neighbour_rows)


def _p_settings(_: Choices) -> NeighbourSettings:
    return NeighbourSettings(neighbours=_P_NEIGHBOURS)


def _p_precision(evidence: Evidence) -> Estimate:
    from genbench.metrics.probabilistic import p_support

    return p_support(
        evidence.rows("pool"), evidence.reference_rows("pool"), neighbours=_P_NEIGHBOURS,
        interval=evidence.interval,
    )  # fmt: skip


def _p_recall(evidence: Evidence) -> Estimate:
    from genbench.metrics.probabilistic import p_support

    rows, support = evidence.reference_rows("pool"), evidence.rows("pool")
    found = p_support(rows, support, neighbours=_P_NEIGHBOURS)
    return replace(found, interval="none: every sample counts for every reference")


NEIGHBOURHOODS: tuple[Metric, ...] = (
    _metric("clipped_density", "Clipped density", _CLIPPED, _clipped_settings,
            lambda evidence: evidence.neighbours().clipped_density),
    _metric("clipped_coverage", "Clipped coverage", _CLIPPED, _clipped_settings,
            lambda evidence: evidence.neighbours().clipped_coverage),
    _metric("p_precision", "P-precision", _PROBABILISTIC, _p_settings, _p_precision),
    _metric("p_recall", "P-recall", _PROBABILISTIC, _p_settings, _p_recall, "too high"),
)  # fmt: skip
