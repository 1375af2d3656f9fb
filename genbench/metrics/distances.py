"""Distances between distributions and scores of diversity, as metrics."""

from __future__ import annotations

from dataclasses import replace

from genbench.metrics.estimate import Estimate
from genbench.metrics.evidence import Evidence
from genbench.metrics.metric import Metric
from genbench.metrics.settings import (
    Choices,
    DirectionSettings,
    ExtrapolationSettings,
    FrechetSettings,
    GaussianSettings,
    VendiSettings,
)


def _at_infinity(evidence: Evidence) -> Estimate:
    from genbench.metrics.fd_infinity import fd_infinity, fd_infinity_interval, note_on_subsets
    from genbench.metrics.frechet import finite_reference_bias, frechet_distance

    samples, choices = evidence.rows("pool"), evidence.choices
    reference = evidence.reference_moments("pool")
    curve = fd_infinity(samples, reference, points=choices.fd_points, seed=choices.fd_seed)
    found = Estimate(curve.value)
    if evidence.interval:
        whole = evidence.moments("pool")
        found = fd_infinity_interval(curve, samples, whole, reference)
        halves = evidence.reference_halves("pool")
        if halves is not None and found.low is not None:
            bias = finite_reference_bias(whole, halves, frechet_distance(whole, reference))
            found = replace(found, reference_bias=bias)
    return replace(found, note=note_on_subsets(curve, samples.shape[1]))


def _monge(evidence: Evidence) -> Estimate:
    from genbench.metrics.mind import monge_distance

    choices = evidence.choices
    return monge_distance(
        evidence.rows("pool"),
        evidence.reference_rows("pool"),
        directions=choices.mind_directions,
        seed=choices.mind_seed,
        interval=evidence.interval,
    )


def _sliced(evidence: Evidence) -> Estimate:
    from genbench.metrics.sliced_wasserstein import sliced_wasserstein, sliced_wasserstein_interval

    samples, reference = evidence.moments("pool"), evidence.reference_moments("pool")
    value = sliced_wasserstein(samples, reference)
    if not evidence.interval:
        return Estimate(value)
    return sliced_wasserstein_interval(evidence.rows("pool"), samples, reference, value)


def _gaussian(evidence: Evidence) -> Estimate:
    from genbench.metrics.gaussian_mmd import gaussian_mmd
    from genbench.metrics.unit_length import unit_length

    samples, reference = evidence.rows("pool"), evidence.reference_rows("pool")
    return gaussian_mmd(unit_length(samples), unit_length(reference), interval=evidence.interval)


def _gaussian_settings(_: Choices) -> GaussianSettings:
    return GaussianSettings(sigma=10.0, scale=1000.0)


def _vendi(evidence: Evidence) -> Estimate:
    from genbench.metrics.vendi import vendi_interval, vendi_score

    rows, choices = evidence.rows("pool"), evidence.choices
    value = vendi_score(rows, order=choices.vendi_order, kernel=choices.vendi_kernel)
    if not evidence.interval:
        return Estimate(value)
    if choices.vendi_kernel != "linear":
        return Estimate(value, interval="none: for the linear kernel alone")
    return vendi_interval(rows, value, order=choices.vendi_order)


def _vendi_settings(choices: Choices) -> VendiSettings:
    return VendiSettings(order=choices.vendi_order, kernel=choices.vendi_kernel)


def _class_vendi(evidence: Evidence) -> Estimate:
    from genbench.metrics.vendi import class_vendi_scores

    rows, order = evidence.rows("pool"), evidence.choices.vendi_order
    value = float(class_vendi_scores(rows, evidence.labels(), order=order).mean())
    few = "none: few samples a class bias it more than chance moves it"
    return Estimate(value, interval=few if evidence.interval else "")


def _class_frechet(evidence: Evidence) -> Estimate:
    from genbench.metrics.class_frechet import class_distances, mean_class_distance

    distances = class_distances(
        evidence.rows("pool"),
        evidence.labels(),
        evidence.reference_rows("pool"),
        evidence.reference_labels(),
    )
    return mean_class_distance(distances, interval=evidence.interval)


DISTANCES: tuple[Metric, ...] = (
    Metric(
        key="fid_infinity",
        short="FID∞",
        title="FID at infinitely many samples",
        unit="squared distance",
        higher_is_better=False,
        layer="pool",
        compares="moments",
        generic_key="fd_infinity",
        generic_short="FD∞",
        generic_title="Fréchet distance at infinitely many samples",
        source="Chong and Forsyth 2020, arXiv:1911.07023; sizes and fit of dgm-eval",
        settings=lambda choices: ExtrapolationSettings(
            points=choices.fd_points, seed=choices.fd_seed
        ),
        least=lambda choices: 2 * choices.fd_points,
        compute=_at_infinity,
    ),
    Metric(
        key="mind",
        short="MIND",
        title="Monge Inception Distance",
        unit="squared distance",
        higher_is_better=False,
        layer="pool",
        compares="features",
        generic_key="md",
        generic_short="MD",
        generic_title="Monge distance",
        source="Berthet et al. 2026, arXiv:2605.06797; draws of torch-fidelity 0.5-dev",
        settings=lambda choices: DirectionSettings(
            directions=choices.mind_directions, seed=choices.mind_seed
        ),
        least=lambda _: 2,
        compute=_monge,
        few_samples="too high",
    ),
    Metric(
        key="sw",
        short="SW",
        title="Sliced Wasserstein distance, approximate",
        unit="distance",
        higher_is_better=False,
        layer="pool",
        compares="moments",
        generic_key="sw",
        generic_short="SW",
        generic_title="Sliced Wasserstein distance, approximate",
        source="Nadjahi et al. 2021, arXiv:2106.15427; as dgm-eval",
        settings=lambda _: FrechetSettings(layer="pool"),
        least=lambda _: 2,
        compute=_sliced,
    ),
    Metric(
        key="cmmd",
        short="CMMD",
        title="CMMD",
        unit="1000 x squared distance",
        higher_is_better=False,
        layer="pool",
        compares="features",
        generic_key="gmmd",
        generic_short="GMMD",
        generic_title="Gaussian MMD",
        source="Jayasumana et al. 2024, arXiv:2401.09603; biased estimator of google-research",
        settings=_gaussian_settings,
        least=lambda _: 2,
        compute=_gaussian,
        few_samples="too high",
        named_for=lambda detector: detector.startswith("clip-"),
    ),
    Metric(
        key="vendi",
        short="Vendi",
        title="Vendi score",
        unit="images",  # the exponential of an entropy: an effective number of them
        higher_is_better=True,
        layer="pool",
        compares="nothing",
        generic_key="vendi",
        generic_short="Vendi",
        generic_title="Vendi score",
        source="Friedman and Dieng 2023, arXiv:2210.02410",
        settings=_vendi_settings,
        least=lambda _: 2,
        compute=_vendi,
    ),
    Metric(
        key="class_vendi",
        short="Class Vendi",
        title="Vendi score within classes",
        unit="images",
        higher_is_better=True,
        layer="pool",
        compares="nothing",
        generic_key="class_vendi",
        generic_short="Class Vendi",
        generic_title="Vendi score within classes",
        source="dgm-eval, Stein et al. 2023, arXiv:2306.04675",
        settings=lambda choices: VendiSettings(order=choices.vendi_order, kernel="linear"),
        least=lambda _: 2,
        compute=_class_vendi,
        labelled=True,
    ),
    Metric(
        key="class_fid",
        short="Class FID",
        title="FID within classes",
        unit="squared distance",
        higher_is_better=False,
        layer="pool",
        compares="features",
        generic_key="class_fd",
        generic_short="Class FD",
        generic_title="Fréchet distance within classes",
        source="Miyato and Koyama 2018, arXiv:1802.05637: mean over the classes",
        settings=lambda _: FrechetSettings(layer="pool"),
        least=lambda _: 2,
        compute=_class_frechet,
        few_samples="too high",
        labelled=True,
    ),
)
