"""Every metric by its key."""

from __future__ import annotations

from genbench.errors import UsageError, suggestion
from genbench.metrics.classical import CLASSICAL
from genbench.metrics.clip_score import CLIP_SCORE
from genbench.metrics.distances import DISTANCES
from genbench.metrics.memorisation import MEMORISATION
from genbench.metrics.metric import Metric
from genbench.metrics.neighbourhoods import NEIGHBOURHOODS
from genbench.metrics.representative import REPRESENTATIVE

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        *CLASSICAL,
        *DISTANCES,
        *NEIGHBOURHOODS,
        *MEMORISATION,
        REPRESENTATIVE,
        CLIP_SCORE,
    )
}


def find_metric(key: str) -> Metric | None:
    """The metric of a key ("fid") or a generic key ("fd"); None when there is none."""
    named = (metric for metric in METRICS.values() if key in (metric.key, metric.generic_key))
    return next(named, None)


def metric_named(key: str) -> Metric:
    """As `find_metric`; UsageError with the nearest when there is none."""
    if found := find_metric(key):
        return found
    if "," in key or " " in key.strip():
        apart = " --metric ".join(key.replace(",", " ").split())
        raise UsageError(f"there is no metric {key}: name one at a time, --metric {apart}")
    known = {*METRICS, *(metric.generic_key for metric in METRICS.values())}
    raise UsageError(f"there is no metric {key}; {suggestion(key.lower(), known)}")


def compared_with(key: str, count: int) -> str:
    """What so many rows of the reference of the metric `key` are, in words; empty for none."""
    metric = find_metric(key)
    what = "prompts" if metric and metric.prompted else "images"
    return f"{count:,} {what}" if count else ""


def short_title(metric: Metric, detector: str) -> str:
    """What a table's heading calls it: of DINOv2 features as papers do, FD-DINOv2 and KD-DINOv2."""
    if metric.named_for(detector):
        return metric.short
    renamed = metric.generic_key != metric.key
    if renamed and metric.layer == "pool" and detector.startswith("dinov2"):
        return f"{metric.generic_short}-DINOv2"
    return metric.generic_short


def reported_key(metric: Metric, detector: str) -> str:
    """The name a figure is reported under: "fid" is reserved for Inception, else "fd"."""
    return metric.key if metric.named_for(detector) else metric.generic_key
