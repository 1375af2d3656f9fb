"""`genbench ls metrics`: what can be measured, and what each figure needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from genbench.cli.protocols import Explanation
from genbench.metrics.about import ABOUT
from genbench.metrics.catalogue import METRICS, metric_named
from genbench.metrics.metric import Metric
from genbench.records.protocols import find_protocol, load_protocols

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


def explained_metric(name: str) -> Explanation:
    """A metric in words, by either of its keys. Raises UsageError for an unknown one, with the
    nearest."""
    metric = metric_named(name)
    protocol = find_protocol("standard")
    other = f", {metric.generic_key} with other detectors" * (metric.generic_key != metric.key)
    settings = asdict(metric.settings(protocol))
    chosen = ", ".join(f"{key} {value}" for key, value in settings.items() if key != "kind")
    used = [item.name for item in load_protocols().values() if metric.key in item.metrics]
    lines = [
        ("what", ABOUT[metric.key]),
        ("better", "higher" if metric.higher_is_better else "lower"),
        ("unit", metric.unit),
        ("needs", ", ".join(_needs(metric)) or "samples alone"),
        ("at least", f"{metric.least(protocol):,} samples, and as many to compare with"),
        ("few samples", metric.few_samples and f"it comes out {metric.few_samples}"),
        ("settings", f"{chosen} (of protocol standard)"),
        ("protocols", ", ".join(used)),
        ("source", metric.source),
        ("measure", f"genbench fid SAMPLES REFERENCE --metric {metric.key}"
         + " --train IMAGES" * metric.training),
    ]  # fmt: skip
    return f"{metric.key}{other}: {metric.title}", [line for line in lines if line[1]]


def _needs(metric: Metric) -> Iterator[str]:
    if metric.needs_reference:
        yield _PIECES[metric.compares]
    if metric.labelled:
        yield "labels"
    if metric.training:
        yield "training images (--train)"
