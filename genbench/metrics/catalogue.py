"""What each metric is: name, unit, direction, source, what it needs, and how it is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from genbench.errors import UsageError, suggestion
from genbench.metrics.estimate import Estimate
from genbench.metrics.evidence import Evidence
from genbench.metrics.settings import (
    Choices,
    FrechetSettings,
    KernelSettings,
    Layer,
    MetricSettings,
    NeighbourSettings,
    ScoreSettings,
)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric; records name it `key` and tables `short` only when the detector is Inception.

    layer: of the detector's outputs. compares: what it needs of the reference: nothing, the moments
    of its features (which a file may bring), or the features themselves. least: fewest samples and,
    where features are compared, references. settings: what a protocol chose for it. compute: its
    value; torch is imported no earlier, so that names come at once. few_samples: how it comes out
    where samples are few.
    """

    key: str
    short: str
    title: str
    unit: str
    higher_is_better: bool
    layer: Layer
    compares: Literal["nothing", "moments", "features"]
    generic_key: str  # with any other detector
    generic_short: str
    generic_title: str
    source: str
    settings: Callable[[Choices], MetricSettings]
    least: Callable[[Choices], int]
    compute: Callable[[Evidence], Estimate]
    few_samples: Literal["", "too high", "too low"] = ""
    needs_shuffled: bool = False  # whether samples in the order of their classes spoil it

    @property
    def needs_reference(self) -> bool:
        """Whether there must be a reference."""
        return self.compares != "nothing"


def _frechet(short: str, generic: str, generic_title: str, layer: Layer, source: str) -> Metric:
    def compute(evidence: Evidence) -> Estimate:
        from genbench.metrics.frechet import (
            finite_reference_bias,
            frechet_distance,
            frechet_interval,
        )

        samples, reference = evidence.moments(layer), evidence.reference_moments(layer)
        value = frechet_distance(samples, reference)
        found = Estimate(value)
        if evidence.interval:
            found = frechet_interval(evidence.chunks(layer), samples, reference, value)
            bias = finite_reference_bias(samples, evidence.reference_halves(layer), value)
            found = replace(found, reference_bias=bias)
        return replace(found, singular=evidence.count <= len(samples.mean))

    return Metric(
        key=short.lower(),
        short=short,
        title=short,
        unit="squared distance",
        higher_is_better=False,
        layer=layer,
        compares="moments",
        generic_key=generic.lower(),
        generic_short=generic,
        generic_title=generic_title,
        source=source,
        settings=lambda _: FrechetSettings(layer=layer),
        least=lambda _: 2,
        compute=compute,
        few_samples="too high",
    )


def _score(evidence: Evidence) -> Estimate:
    from genbench.metrics.inception_score import inception_score

    choices = evidence.choices
    return inception_score(
        evidence.rows("logits"),
        splits=choices.is_splits,
        split_size=choices.is_split_size,
        shuffle=choices.is_shuffle,
        interval=evidence.interval,
    )


def _score_settings(choices: Choices) -> ScoreSettings:
    return ScoreSettings(
        splits=choices.is_splits,
        split_size=0 if choices.is_splits else choices.is_split_size,
        shuffle=choices.is_shuffle,
    )


def _kernel(evidence: Evidence) -> Estimate:
    from genbench.metrics.kernel_distance import kernel_distance

    choices = evidence.choices
    return kernel_distance(
        evidence.rows("pool"),
        evidence.reference_rows("pool"),
        subsets=choices.kid_subsets,
        subset_size=choices.kid_subset_size,
        seed=choices.kid_seed,
        interval=evidence.interval,
    )


def _neighbours(
    key: Literal["precision", "recall", "density", "coverage"], unit: str, source: str,
    neighbours: Callable[[Choices], int], few_samples: Literal["", "too high", "too low"] = "",
) -> Metric:  # fmt: skip
    def compute(evidence: Evidence) -> Estimate:
        found: Estimate = getattr(evidence.neighbours(), key)
        return found

    return Metric(
        key=key,
        short=key.capitalize(),
        title=key.capitalize(),
        unit=unit,
        higher_is_better=True,
        layer="pool",
        compares="features",
        generic_key=key,
        generic_short=key.capitalize(),
        generic_title=key.capitalize(),
        source=source,
        settings=lambda choices: NeighbourSettings(
            neighbours=neighbours(choices), half=choices.pr_half
        ),
        least=lambda choices: max(choices.pr_neighbours, choices.dc_neighbours) + 1,
        compute=compute,
        few_samples=few_samples,
    )


_IMPROVED = "Kynkäänniemi et al. 2019, arXiv:1904.06991; constants of the ADM evaluator"
_RELIABLE = "Naeem et al. 2020, arXiv:2002.09797"

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        _frechet("FID", "FD", "Fréchet distance", "pool", "Heusel et al. 2017, arXiv:1706.08500"),
        _frechet("sFID", "sFD", "Spatial Fréchet distance", "spatial",
                 "Nash et al. 2021, arXiv:2103.03841; layer of the ADM evaluator"),
        Metric(
            key="is",
            short="IS",
            title="Inception Score",
            unit="classes",  # the exponential of a mutual information: an effective number of them
            higher_is_better=True,
            layer="logits",
            compares="nothing",
            generic_key="cs",
            generic_short="CS",
            generic_title="Classifier score",
            source="Salimans et al. 2016, arXiv:1606.03498",
            settings=_score_settings,
            least=lambda choices: max(choices.is_splits, 1),
            compute=_score,
            needs_shuffled=True,
        ),
        Metric(
            key="kid",
            short="KID",
            title="KID",
            unit="squared distance",
            higher_is_better=False,
            layer="pool",
            compares="features",
            generic_key="kd",
            generic_short="KD",
            generic_title="Kernel distance",
            source="Bińkowski et al. 2018, arXiv:1801.01401",
            settings=lambda choices: KernelSettings(
                subsets=choices.kid_subsets, subset_size=choices.kid_subset_size,
                seed=choices.kid_seed,
            ),
            least=lambda choices: choices.kid_subset_size,
            compute=_kernel,
        ),
        _neighbours("precision", "fraction", _IMPROVED, lambda choices: choices.pr_neighbours),
        _neighbours("recall", "fraction", _IMPROVED, lambda choices: choices.pr_neighbours,
                    "too high"),
        _neighbours("density", "ratio", _RELIABLE, lambda choices: choices.dc_neighbours),
        _neighbours("coverage", "fraction", _RELIABLE, lambda choices: choices.dc_neighbours,
                    "too low"),
    )
}  # fmt: skip


def find_metric(key: str) -> Metric | None:
    """The metric of a key ("fid") or a generic key ("fd"); None when there is none."""
    named = (metric for metric in METRICS.values() if key in (metric.key, metric.generic_key))
    return next(named, None)


def metric_named(key: str) -> Metric:
    """As `find_metric`; UsageError with the nearest when there is none."""
    if found := find_metric(key):
        return found
    if "," in key or " " in key.strip():
        raise UsageError(f"there is no metric {key}: name one at a time, --metric fid --metric is")
    known = {*METRICS, *(metric.generic_key for metric in METRICS.values())}
    raise UsageError(f"there is no metric {key}; {suggestion(key.lower(), known)}")


def short_title(metric: Metric, detector: str) -> str:
    """What a table's heading calls it."""
    return metric.short if detector == "inception" else metric.generic_short


def reported_key(metric: Metric, detector: str) -> str:
    """The name a figure is reported under: "fid" is reserved for Inception, else "fd"."""
    return metric.key if detector == "inception" else metric.generic_key
