"""FID, sFID, Inception Score, KID, precision, recall, density and coverage, as metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from genbench.metrics.estimate import Estimate
from genbench.metrics.evidence import Evidence
from genbench.metrics.metric import Metric
from genbench.metrics.settings import (
    Choices,
    FrechetSettings,
    KernelSettings,
    Layer,
    NeighbourSettings,
    ScoreSettings,
)


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
        first=choices.kid_first,
        capped=choices.kid_capped,
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
            neighbours=neighbours(choices),
            half=choices.pr_half,
            strict=choices.neighbours_strict,
            rows=choices.neighbour_rows,
        ),
        least=lambda choices: max(choices.pr_neighbours, choices.dc_neighbours) + 1,
        compute=compute,
        few_samples=few_samples,
    )


_IMPROVED = "Kynkäänniemi et al. 2019, arXiv:1904.06991; constants of the ADM evaluator"
_RELIABLE = "Naeem et al. 2020, arXiv:2002.09797"

CLASSICAL: tuple[Metric, ...] = (
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
            seed=choices.kid_seed, first=choices.kid_first, capped=choices.kid_capped,
        ),
        least=lambda choices: 2 if choices.kid_capped else choices.kid_subset_size,
        compute=_kernel,
    ),
    _neighbours("precision", "fraction", _IMPROVED, lambda choices: choices.pr_neighbours),
    _neighbours("recall", "fraction", _IMPROVED, lambda choices: choices.pr_neighbours,
                "too high"),
    _neighbours("density", "ratio", _RELIABLE, lambda choices: choices.dc_neighbours),
    _neighbours("coverage", "fraction", _RELIABLE, lambda choices: choices.dc_neighbours,
                "too low"),
)  # fmt: skip
