"""What each metric is (name, unit, direction, source) as data, and the estimate that all return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genbench.errors import UsageError, suggestion

Layer = Literal["pool", "spatial", "logits"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric, described; a record names it `key` only when the detector is Inception."""

    key: str
    title: str
    unit: str
    higher_is_better: bool
    layer: Layer  # of the detector's outputs
    needs_reference: bool
    generic_key: str  # with any other detector
    generic_title: str
    source: str


def _distance(
    key: str, title: str, generic_key: str, generic_title: str, *, layer: Layer, source: str
) -> Metric:
    return Metric(
        key=key,
        title=title,
        unit="squared distance",
        higher_is_better=False,
        layer=layer,
        needs_reference=True,
        generic_key=generic_key,
        generic_title=generic_title,
        source=source,
    )


def _neighbours(key: str, unit: str, source: str) -> Metric:
    return Metric(
        key=key,
        title=key.capitalize(),
        unit=unit,
        higher_is_better=True,
        layer="pool",
        needs_reference=True,
        generic_key=key,
        generic_title=key.capitalize(),
        source=source,
    )


_IMPROVED = "Kynkäänniemi et al. 2019, arXiv:1904.06991; constants of the ADM evaluator"
_RELIABLE = "Naeem et al. 2020, arXiv:2002.09797"
_SCORE = Metric(
    key="is",
    title="Inception Score",
    unit="classes",  # the exponential of a mutual information: an effective number of classes
    higher_is_better=True,
    layer="logits",
    needs_reference=False,
    generic_key="cs",
    generic_title="Classifier score",
    source="Salimans et al. 2016, arXiv:1606.03498",
)
METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        _distance(
            "fid",
            "FID",
            "fd",
            "Fréchet distance",
            layer="pool",
            source="Heusel et al. 2017, arXiv:1706.08500",
        ),
        _distance(
            "sfid",
            "sFID",
            "sfd",
            "Spatial Fréchet distance",
            layer="spatial",
            source="Nash et al. 2021, arXiv:2103.03841; layer of the ADM evaluator",
        ),
        _SCORE,
        _distance(
            "kid",
            "KID",
            "kd",
            "Kernel distance",
            layer="pool",
            source="Bińkowski et al. 2018, arXiv:1801.01401",
        ),
        _neighbours("precision", "fraction", _IMPROVED),
        _neighbours("recall", "fraction", _IMPROVED),
        _neighbours("density", "ratio", _RELIABLE),
        _neighbours("coverage", "fraction", _RELIABLE),
    )
}


def metric_named(key: str) -> Metric:
    """The metric of a key ("fid") or a generic key ("fd"); UsageError when there is none."""
    for metric in METRICS.values():
        if key in (metric.key, metric.generic_key):
            return metric
    known = {*METRICS, *(metric.generic_key for metric in METRICS.values())}
    raise UsageError(f"there is no metric {key}; {suggestion(key.lower(), known)}")


def reported_key(metric: Metric, detector: str) -> str:
    """The name a figure is reported under: "fid" is reserved for Inception, else "fd"."""
    return metric.key if detector == "inception" else metric.generic_key
