"""Distances and diversity: golden numbers of the official codes, closed forms, bad input."""

from __future__ import annotations

import dataclasses
import math
import statistics
from pathlib import Path

import numpy as np
import parity_metrics
import pytest
import torch
from parity_metric_cases import open_metric_case
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import METRICS, reported_key, short_title
from genbench.metrics.class_frechet import class_distances, mean_class_distance
from genbench.metrics.estimate import Estimate
from genbench.metrics.fd_infinity import fd_infinity, fd_infinity_interval, note_on_subsets
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.gaussian_mmd import gaussian_mmd
from genbench.metrics.kernel_distance import kernel_distance
from genbench.metrics.mind import monge_distance
from genbench.metrics.moments import Moments, stream_moments
from genbench.metrics.settings import Side
from genbench.metrics.sliced_wasserstein import sliced_wasserstein, sliced_wasserstein_interval
from genbench.metrics.unit_length import unit_length
from genbench.metrics.vendi import class_vendi_scores, vendi_interval, vendi_score

GOLDEN = Path(__file__).parents[1] / "parity" / "metrics"


def _normal(count: int, width: int, seed: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def _moments(rows: Tensor) -> Moments:
    return stream_moments(iter([rows]), [len(rows)])[len(rows)]


def assert_honest(draws: list[Estimate], truth: float) -> None:
    """Of 60 intervals: they hold the truth, and are as wide as the draws are far apart."""
    held, widths = 0, []
    for found in draws:
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
        widths.append((found.high - found.low) / 2)
    assert held >= 52
    spread = 1.96 * statistics.stdev(found.value for found in draws)
    assert 0.7 * spread < statistics.mean(widths) < 1.4 * spread


@pytest.mark.parametrize("name", ["singular192", "largenorm64"])
def test_the_official_codes_numbers(name: str) -> None:
    case = open_metric_case(GOLDEN / f"metrics_{name}.json")
    found = parity_metrics.compared(case)
    assert [str(check) for check in found.checks if not check.passed] == []
    computed = {check.name.split("/")[0] for check in found.checks}
    assert computed >= {
        "dgm_eval", "clean_fid", "torch_fidelity_0.5dev", "cmmd_pytorch_f64", "vendi_score_0.0.3",
        "edm", "pytorch_fid", "torchmetrics", "not_official",
    }  # fmt: skip
    assert len(found.checks) >= 46


def test_a_golden_number_that_is_off_fails() -> None:
    case = open_metric_case(GOLDEN / "metrics_largenorm64.json")
    key = "cmmd_pytorch_f64/unit_norm"
    case = dataclasses.replace(case, values={key: case.values[key] + 1e-5})
    (check,) = (found for found in parity_metrics.compared(case).checks if found.name == key)
    assert not check.passed


def test_infinity_of_gaussians_is_their_distance() -> None:
    exact = Moments(0, torch.zeros(8).double(), torch.eye(8).double())
    samples = 1.5 * _normal(4000, 8, 1) + 0.2
    truth = 8 * (0.2**2 + 0.5**2)
    found = fd_infinity(samples, exact, points=15, seed=0)
    interval = fd_infinity_interval(found, samples, _moments(samples), exact)
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < truth < interval.high < 1.2 * interval.low
    assert found.weights.sum() == pytest.approx(1)
    assert found.sizes[0] == 400
    assert found.sizes[-1] == 4000
    # All samples in another order are the same set: the last point is the distance itself.
    whole = frechet_distance(_moments(samples), exact)
    assert found.distances[-1] == pytest.approx(whole, rel=1e-9)
    assert not note_on_subsets(found, 8)


def test_infinity_is_free_of_the_bias_of_few_samples() -> None:
    exact = Moments(0, torch.zeros(32).double(), torch.eye(32).double())
    samples = _normal(2000, 32, 1)
    at_count = frechet_distance(_moments(samples), exact)
    assert at_count > 0.1
    assert abs(fd_infinity(samples, exact, points=15, seed=0).value) < at_count / 5


def test_infinity_from_subsets_without_full_rank_says_so() -> None:
    samples, reference = _normal(60, 16, 2), _moments(_normal(500, 16, 3))
    found = fd_infinity(samples, reference, points=15, seed=0)
    drawn = np.random.default_rng(0).choice(60, 6, replace=False)
    first = frechet_distance(_moments(samples[torch.from_numpy(drawn)]), reference)
    assert found.distances[0] == pytest.approx(first, rel=1e-6)
    interval = fd_infinity_interval(found, samples, _moments(samples), reference)
    assert interval.low is None
    assert interval.interval.startswith("none: ")
    assert "6 samples" in note_on_subsets(found, 16)


def test_infinity_depends_on_its_seed_alone() -> None:
    samples, reference = _normal(300, 4, 4), _moments(_normal(300, 4, 5))
    first, again, other = (
        fd_infinity(samples, reference, points=5, seed=seed).value for seed in (1, 1, 2)
    )
    assert first == again != other


def test_kernel_distances_draw_as_asked() -> None:
    samples, reference = _normal(80, 6, 6) + 0.5, _normal(120, 6, 7)

    def value(size: int, *, first: Side = "samples", capped: bool = False) -> float:
        return kernel_distance(
            samples, reference, subsets=3, subset_size=size, seed=0, interval=False, first=first,
            capped=capped,
        ).value  # fmt: skip

    assert value(40) != value(40, first="reference")
    assert value(1000, capped=True) == value(80)
    with pytest.raises(GenbenchError, match="lower the subset size to between 2 and 80"):
        value(1000)


def test_monge_distance_of_a_shift() -> None:
    """Along every direction the sorted differences are u.s: 3 D times the mean of (u.s)^2."""
    rows = _normal(50, 5, 8)
    shift = torch.tensor([1.0, 2.0, 0.0, 0.0, 0.0])
    found = monge_distance(rows + shift, rows, directions=4000, seed=1, interval=True)
    assert found.value == pytest.approx(3 * 5, rel=0.05)  # 3 D |s|^2 / D
    assert found.low is not None
    assert found.low < found.value
    assert monge_distance(rows, rows, directions=9, seed=1, interval=False).value == 0


@pytest.mark.parametrize("metric", ["monge", "gaussian"])
def test_intervals_of_distances_hold_the_truth_as_often_as_they_say(metric: str) -> None:
    """The reference fixed, and a distance far above its bias."""
    reference = _normal(400, 3, 9)

    def measured(seed: int) -> Estimate:
        rows = 1.5 * _normal(400, 3, seed) + 2.0
        if metric == "monge":
            return monge_distance(rows, reference, directions=20, seed=0, interval=True)
        return gaussian_mmd(rows, reference, interval=True)

    draws = [measured(seed) for seed in range(100, 160)]
    assert_honest(draws, statistics.mean(found.value for found in draws))


def test_gaussian_mmd_in_blocks_is_the_plain_formula() -> None:
    ours, theirs = unit_length(_normal(1500, 7, 10)), unit_length(_normal(1201, 7, 11) + 0.3)

    def mean(left: Tensor, right: Tensor) -> float:
        return float(torch.exp(-torch.cdist(left, right).square() / 200).mean())

    plain = 1000 * (mean(ours, ours) + mean(theirs, theirs) - 2 * mean(ours, theirs))
    assert gaussian_mmd(ours, theirs, interval=False).value == pytest.approx(plain, rel=1e-9)
    assert gaussian_mmd(ours, ours, interval=False).value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0, math.inf])
@pytest.mark.parametrize("gram", [False, True])
def test_vendi_counts_what_differs(order: float, gram: bool) -> None:
    assert vendi_score(torch.ones(40, 3), order=order, gram=gram) == pytest.approx(1, rel=1e-5)
    different = 3 * torch.eye(12)
    assert vendi_score(different, order=order, gram=gram) == pytest.approx(12, rel=1e-9)
    twice = torch.cat((different, different))  # two of each: still 12
    assert vendi_score(twice, order=order, gram=gram) == pytest.approx(12, rel=1e-5)


def test_vendi_of_weighted_rows_and_of_classes() -> None:
    rows = torch.eye(3)[[0, 1, 1, 2]]
    weights = torch.tensor([0.5, 0.25, 0.0, 0.25])
    assert vendi_score(rows, weights=weights) == pytest.approx(2**1.5, rel=1e-9)
    labels = torch.tensor([7, 7, 3, 3])
    assert class_vendi_scores(rows, labels).tolist() == pytest.approx([2, 2])


def test_the_interval_of_vendi_holds_the_truth_as_often_as_it_says() -> None:
    scale = torch.arange(1, 5).float().rsqrt()
    for order in (1.0, 2.0):
        truth = vendi_score(_normal(100_000, 4, 12) * scale, order=order)
        sets = [_normal(500, 4, 200 + seed) * scale for seed in range(60)]
        found = [vendi_interval(rows, vendi_score(rows, order=order), order=order) for rows in sets]
        assert_honest(found, truth)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"order": 0.0}, "order above 0"),
        ({"weights": torch.ones(5)}, "sum to 1"),
        ({"kernel": "polynomial"}, "pass 3 at most, or take the linear kernel"),
    ],
)
def test_vendi_refuses(
    choices: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genbench.metrics.vendi.MOST_ROWS", 3)
    with pytest.raises(GenbenchError, match=said):
        vendi_score(_normal(5, 2, 13), **choices)  # type: ignore[arg-type]


def test_distances_within_classes() -> None:
    """Of few rows a class by the rows, of many by moments: the same number."""
    samples, reference = _normal(90, 6, 14) + 0.3, _normal(120, 6, 15)
    labels, others = torch.arange(90) % 3, torch.arange(120) % 3
    found = class_distances(samples, labels, reference, others)
    for label in range(3):
        ours, theirs = _moments(samples[labels == label]), _moments(reference[others == label])
        assert float(found[label]) == pytest.approx(frechet_distance(ours, theirs), rel=1e-9)
    few = class_distances(samples[:12], labels[:12], reference, others)
    ours, theirs = _moments(samples[:12:3]), _moments(reference[::3])
    assert float(few[0]) == pytest.approx(frechet_distance(ours, theirs), rel=1e-6)
    interval = mean_class_distance(found, interval=True)
    assert interval.value == pytest.approx(float(found.mean()))
    assert interval.interval == "none: fewer than 10 classes"


def test_classes_that_do_not_fit_are_named() -> None:
    rows = _normal(6, 2, 16)
    pairs = torch.tensor([0, 0, 1, 1, 2, 2])
    with pytest.raises(GenbenchError, match="class 2 is among the samples and not in the ref"):
        class_distances(rows, pairs, rows[:4], pairs[:4])
    with pytest.raises(GenbenchError, match="class 1, 2 is among the reference and not in the sam"):
        class_distances(rows[:2], pairs[:2], rows, pairs)
    with pytest.raises(GenbenchError, match="class 2 has a single image in the samples"):
        class_distances(rows[:5], pairs[:5], rows, pairs)


@pytest.mark.parametrize("compare", [
    lambda ours, theirs: monge_distance(ours, theirs, directions=3, seed=0, interval=False),
    lambda ours, theirs: gaussian_mmd(ours, theirs, interval=False),
    lambda ours, theirs: fd_infinity(ours, _moments(theirs), points=5, seed=0),
])  # fmt: skip
def test_what_cannot_be_compared_is_one_line(compare: object) -> None:
    assert callable(compare)
    with pytest.raises(GenbenchError, match="same detector and layer"):
        compare(_normal(9, 3, 17), _normal(9, 4, 18))
    with pytest.raises(GenbenchError, match="sample 2 are not finite"):
        compare(_normal(9, 3, 17).index_fill(0, torch.tensor(2), math.nan), _normal(9, 3, 18))
    with pytest.raises(GenbenchError):
        compare(torch.empty(0, 3), _normal(9, 3, 18))


def test_the_approximate_sliced_distance_of_gaussians() -> None:
    def gaussian(mean: float, deviation: float) -> Moments:
        return Moments(0, torch.full((4,), mean).double(), deviation**2 * torch.eye(4).double())

    assert sliced_wasserstein(gaussian(1, 3), gaussian(0, 2)) == pytest.approx(2**0.5)
    sets = [3 * _normal(400, 4, 300 + seed) + 1 for seed in range(60)]
    moments = [(rows, _moments(rows)) for rows in sets]
    found = [
        sliced_wasserstein_interval(rows, own, other, sliced_wasserstein(own, other))
        for (rows, own), other in zip(moments, [gaussian(0, 2)] * 60, strict=True)
    ]
    assert_honest(found, 2**0.5)
    rows = sets[0]
    same = sliced_wasserstein_interval(rows, _moments(rows), _moments(rows), 0.0)
    assert same.interval.startswith("none: ")


def test_names_of_distances_by_detector() -> None:
    titles = {key: short_title(METRICS[key], "dinov2-vit-l-14") for key in METRICS}
    assert titles["fid"] == "FD-DINOv2"
    assert titles["kid"] == "KD-DINOv2"
    assert titles["fid_infinity"] == "FD∞-DINOv2"
    assert titles["vendi"] == "Vendi"
    assert titles["sfid"] == "sFD"
    assert reported_key(METRICS["fid"], "dinov2-vit-l-14") == "fd"
    assert reported_key(METRICS["cmmd"], "clip-vit-l-14-336px") == "cmmd"
    assert reported_key(METRICS["cmmd"], "inception") == "gmmd"
