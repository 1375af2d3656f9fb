"""Precision, recall, density, coverage: brute force, torch-fidelity, direction, ties, bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics import neighbour_search, screening
from genbench.metrics.precision_recall import NeighbourFigures, neighbour_figures

Four = tuple[float, float, float, float]


def _features(count: int, width: int, seed: int, *, spread: float = 1.0) -> Tensor:
    """Rectified mixtures of 12 hidden factors, off centre, as detectors make them."""
    mixing = torch.randn(12, width, generator=torch.Generator().manual_seed(77))
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(count, 12, generator=generator) * spread
    noise = torch.randn(count, width, generator=generator)
    return torch.relu(torch.mm(hidden, mixing) + 0.3 * noise + 2)


def _four(figures: NeighbourFigures) -> Four:
    return (
        figures.precision.value,
        figures.recall.value,
        figures.density.value,
        figures.coverage.value,
    )


def _brute_force(samples: Tensor, reference: Tensor, k: int = 3, dc_k: int = 5) -> Four:
    """The definitions, in numpy float64, every difference of every pair written out."""
    ours, theirs = samples.double().numpy(), reference.double().numpy()

    def distances(one: np.ndarray, two: np.ndarray) -> np.ndarray:
        return np.stack([((row - two) ** 2).sum(1) for row in one])

    sample_radii = np.sort(distances(ours, ours), axis=1)[:, k]  # rank 0 is the row itself
    among = np.sort(distances(theirs, theirs), axis=1)
    cross = distances(ours, theirs)
    within = cross < among[:, dc_k]
    return (
        float((cross <= among[:, k]).any(1).mean()),
        float((cross <= sample_radii[:, None]).any(0).mean()),
        float(within.sum(1).mean() / dc_k),
        float(within.any(0).mean()),
    )


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of some hundred rows then meet every seam between blocks, strips and pairs."""
    monkeypatch.setattr(screening, "BLOCK", 64)
    monkeypatch.setattr(neighbour_search, "STRIP", 20)
    monkeypatch.setattr(screening, "PAIRS", 50)


@pytest.mark.parametrize(("count", "others"), [(300, 450), (321, 129), (64, 65)])
@pytest.mark.usefixtures("small_blocks")
def test_equal_to_brute_force_across_blocks(count: int, others: int) -> None:
    samples = _features(count, 40, 1, spread=0.8)
    reference = _features(others, 40, 2)
    assert _four(neighbour_figures(samples, reference)) == pytest.approx(
        _brute_force(samples, reference), rel=1e-14
    )
    wide = neighbour_figures(samples, reference, pr_neighbours=7, dc_neighbours=2)
    expected = _brute_force(samples, reference, 7, 2)
    assert _four(wide) == pytest.approx(expected, rel=1e-14)


def test_equal_to_torch_fidelity() -> None:
    from torch_fidelity.metric_prc import prc_features_to_metric

    samples, reference = _features(1500, 256, 1, spread=0.7), _features(1300, 256, 2)
    expected = prc_features_to_metric(samples, reference, verbose=False)
    figures = neighbour_figures(samples, reference)
    assert round(figures.precision.value * 1500) == round(expected["precision"] * 1500)
    assert round(figures.recall.value * 1300) == round(expected["recall"] * 1300)
    assert 0 < figures.recall.value < figures.precision.value < 1


@pytest.mark.usefixtures("small_blocks")
def test_ties_are_decided_as_exact_arithmetic_decides_them() -> None:
    generator = torch.Generator().manual_seed(4)
    samples = 2.5 * torch.randint(0, 4, (700, 4), generator=generator) + 1
    reference = 2.5 * torch.randint(0, 5, (600, 4), generator=generator) + 1
    assert _four(neighbour_figures(samples, reference)) == pytest.approx(
        _brute_force(samples, reference), rel=1e-14
    )


def test_the_rim_is_inside_for_precision_and_outside_for_coverage() -> None:
    # References 0, 1, 3, 7 and k = 2: squared radii 9, 4, 9, 36. Samples lie on rims alone.
    reference = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    samples = torch.tensor([[-3.0], [-1.0], [13.0], [40.0]])
    figures = neighbour_figures(samples, reference, pr_neighbours=2, dc_neighbours=2)
    assert figures.precision.value == 0.75
    assert figures.density.value == pytest.approx(1 / 8)  # -1 alone, strictly within 3 of 0
    assert figures.coverage.value == 0.25


@pytest.mark.usefixtures("small_blocks")
def test_a_set_compared_with_itself() -> None:
    features = _features(400, 30, 1)
    assert _four(neighbour_figures(features, features.clone())) == (1, 1, 1, 1)
    # Ten copies of each row: every radius is zero, which only `<=` reaches.
    copies = features[:40].repeat(10, 1)
    assert _four(neighbour_figures(copies, copies.flip(0))) == (1, 1, 0, 0)


def test_constant_features_are_quick_and_defined() -> None:
    flat = torch.full((1500, 64), 0.37)
    assert _four(neighbour_figures(flat, flat)) == (1, 1, 0, 0)


def test_collapsed_samples_have_precision_and_no_recall() -> None:
    reference = _features(500, 30, 1)
    mode = reference[0] + 0.01 * _features(500, 30, 2)
    figures = neighbour_figures(mode, reference)
    assert figures.precision.value == 1
    assert figures.recall.value < 0.02
    assert figures.coverage.value < 0.1
    swapped = neighbour_figures(reference, mode)
    assert swapped.precision.value < 0.02
    assert swapped.recall.value == 1


def test_scattered_samples_have_recall_and_no_precision() -> None:
    reference = _features(500, 30, 1)
    scattered = reference + 30 * torch.randn(500, 30, generator=torch.Generator().manual_seed(3))
    figures = neighbour_figures(scattered, reference)
    assert figures.precision.value < 0.02
    assert figures.recall.value > 0.95


def test_samples_where_references_are_dense_have_a_density_above_one() -> None:
    reference = _features(500, 30, 1)
    figures = neighbour_figures(_features(500, 30, 2, spread=0.3), reference)
    assert figures.density.value > 1.5


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e15])
@pytest.mark.parametrize("offset", [0, 1000])
def test_scale_and_offset_do_not_matter(scale: float, offset: float) -> None:
    samples = (_features(200, 30, 1) + offset) * scale
    reference = (_features(250, 30, 2) + offset) * scale
    assert _four(neighbour_figures(samples, reference)) == pytest.approx(
        _brute_force(samples, reference), rel=1e-14
    )


def test_a_sample_far_out_does_not_blur_the_others() -> None:
    samples, reference = _features(200, 30, 1), _features(250, 30, 2)
    samples[5] *= 1e12
    found, expected = neighbour_figures(samples, reference), _brute_force(samples, reference)
    # Not recall: in float32 that sample cannot tell its neighbours apart.
    assert found.precision.value == pytest.approx(expected[0], rel=1e-14)
    assert found.density.value == pytest.approx(expected[2], rel=1e-14)
    assert found.coverage.value == pytest.approx(expected[3], rel=1e-14)


def test_threads_and_matmul_precision_change_nothing() -> None:
    samples, reference = _features(900, 200, 1), _features(1100, 200, 2)
    expected = neighbour_figures(samples, reference, interval=True)
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision("medium")
        assert neighbour_figures(samples, reference, interval=True) == expected
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)


def test_the_newer_of_torchs_switches_changes_nothing_and_stays() -> None:
    products: Any = torch.backends.cuda.matmul
    switch: str = "fp32_precision"
    rounded: str | bool = "tf32"
    if not hasattr(products, switch):  # a torch with the older way only
        switch, rounded = "allow_tf32", True
    before = getattr(products, switch)
    try:
        setattr(products, switch, rounded)  # torch refuses to read the older one from here on
        with screening.full_float32():
            assert torch.get_float32_matmul_precision() == "highest"
            assert getattr(products, switch) != rounded
        assert getattr(products, switch) == rounded
    finally:
        setattr(products, switch, before)


def test_progress_counts_every_block() -> None:
    seen: list[tuple[int, int]] = []
    neighbour_figures(
        _features(2100, 8, 1), _features(2048, 8, 2), progress=lambda *step: seen.append(step)
    )
    assert seen == [(done, 6) for done in range(1, 7)]  # 3 + 1 for radii, 2 across


def test_intervals_name_what_they_hold_fixed() -> None:
    figures = neighbour_figures(
        _features(200, 20, 1, spread=0.7), _features(300, 20, 2), interval=True
    )
    precision, density = figures.precision, figures.density
    assert precision.low is not None
    assert precision.high is not None
    # Wilson's interval is where |p - share| = z * sqrt(p (1 - p) / n).
    for bound in (precision.low, precision.high):
        deviation = abs(bound - precision.value)
        assert deviation == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / 200), rel=1e-5)
    assert density.low is not None
    assert density.low < density.value
    assert "reference and its balls fixed" in density.interval
    for spread in (figures.recall, figures.coverage, figures.clipped_coverage):
        assert "jackknife over the samples" in spread.interval
        assert spread.low is not None
        assert spread.high is not None
        assert 0 <= spread.low < spread.value <= spread.high <= 1
    assert neighbour_figures(_features(9, 3, 1), _features(9, 3, 2)).density.low is None
    few = neighbour_figures(_features(9, 3, 1), _features(9, 3, 2), interval=True)
    assert few.recall.interval.startswith("none: fewer than 20 samples")


def test_the_intervals_of_recall_and_coverage_hold_their_expectation() -> None:
    """Nominally 95%; over 60 draws 90% and more. The intervals of all balls fixed held 68%."""
    reference = _features(150, 6, 2)
    figures = [
        neighbour_figures(_features(150, 6, seed, spread=1.3), reference, interval=True)
        for seed in range(60)
    ]
    for name in ("recall", "coverage"):
        found = [getattr(item, name) for item in figures]
        mean = sum(item.value for item in found) / len(found)
        assert sum(item.low <= mean <= item.high for item in found) >= 54


def test_the_interval_of_precision_holds_the_truth_as_often_as_it_says() -> None:
    reference = _features(150, 6, 2)
    truth = neighbour_figures(_features(5000, 6, 999, spread=1.3), reference)
    held = [0, 0]
    for seed in range(100):
        figures = neighbour_figures(_features(150, 6, seed, spread=1.3), reference, interval=True)
        for i, name in enumerate(("precision", "density")):
            estimate = getattr(figures, name)
            held[i] += estimate.low <= getattr(truth, name).value <= estimate.high
    assert all(0.89 <= count / 100 <= 0.99 for count in held)


def test_bad_features_are_errors() -> None:
    good = _features(20, 5, 1)
    with pytest.raises(GenbenchError, match="5 neighbours need at least 6 samples and references"):
        neighbour_figures(good, good[:5])
    with pytest.raises(GenbenchError, match="cannot be compared"):
        neighbour_figures(good, _features(20, 6, 1))
    bad = good.clone()
    bad[17, 0] = math.nan
    with pytest.raises(GenbenchError, match="sample 17 are not finite"):
        neighbour_figures(bad, good)
    with pytest.raises(GenbenchError, match="of the reference"):
        neighbour_figures(good, bad)
