"""`genbench ls metrics`: what can be measured, and what each figure needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from genbench.metrics.catalogue import METRICS
from genbench.metrics.metric import Metric

_PIECES = {"moments": "reference, or statistics of one", "features": "reference images"}


def list_metrics() -> list[dict[str, Any]]:
    """Every metric: its key, that with another detector, what is better, needs and source."""
    return [
        {
            "metric": metric.key,
            "with other detectors": "" if metric.generic_key == metric.key else metric.generic_key,
            "title": metric.title,
            "better": "higher" if metric.higher_is_better else "lower",
            "unit": metric.unit,
            "needs": ", ".join(_needs(metric)) or "samples alone",
            "source": metric.source,
        }
        for metric in METRICS.values()
    ]


def _needs(metric: Metric) -> Iterator[str]:
    if metric.needs_reference:
        yield _PIECES[metric.compares]
    if metric.labelled:
        yield "labels"
    if metric.training:
        yield "training images (--train)"
