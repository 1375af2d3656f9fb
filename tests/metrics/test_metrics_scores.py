"""Inception Score and KID: closed forms, torch-fidelity, and intervals that hold."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.clip_score import clip_score
from genbench.metrics.estimate import Estimate
from genbench.metrics.inception_score import inception_score
from genbench.metrics.kernel_distance import kernel_distance


def _score(
    logits: Tensor,
    *,
    splits: int = 0,
    split_size: int = 5000,
    shuffle: bool = False,
    interval: bool = False,
) -> Estimate:
    return inception_score(
        logits, splits=splits, split_size=split_size, shuffle=shuffle, interval=interval
    )


def _normal(count: int, width: int, seed: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def _balanced(classes: int, each: int) -> Tensor:
    """One-hot logits, sorted by class, far enough apart that exp underflows."""
    return 2000 * torch.eye(classes).repeat_interleave(each, dim=0)


@pytest.mark.parametrize("splits", [0, 10])
def test_knowing_nothing_scores_one(splits: int) -> None:
    assert _score(torch.zeros(200, 1008), splits=splits).value == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("splits", [0, 1])
def test_balanced_certain_classes_score_their_number(splits: int) -> None:
    # Ten more classes than are ever seen: their probability is 0 in every row.
    logits = torch.cat((_balanced(20, 30), torch.zeros(600, 10)), dim=1)
    assert _score(logits, splits=splits).value == pytest.approx(20, rel=1e-12)


def test_sorted_classes_score_less_unless_shuffled() -> None:
    logits = _balanced(20, 50)
    assert _score(logits, split_size=100).value == pytest.approx(2, rel=1e-12)
    assert _score(logits, split_size=500, shuffle=True).value > 19
    assert _score(logits, splits=2, shuffle=True).value > 19


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("count", "splits"), [(1000, 10), (997, 10), (50, 1), (7, 7)])
def test_splits_are_those_of_torch_fidelity(count: int, splits: int, shuffle: bool) -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = _normal(count, 40, count) * 3
    expected = isc_features_to_metric(logits, splits, shuffle, 2020)["inception_score_mean"]
    assert _score(logits, splits=splits, shuffle=shuffle).value == pytest.approx(
        expected, rel=1e-12
    )


def test_the_last_part_counts_like_any_other() -> None:
    logits = _normal(1100, 12, 5) * 2
    parts = [_score(logits[start : start + 500]).value for start in (0, 500, 1000)]
    assert _score(logits, split_size=500).value == pytest.approx(statistics.mean(parts), rel=1e-12)


def test_the_interval_of_the_score_holds_the_truth_as_often_as_it_says() -> None:
    truth = _score(_normal(200_000, 6, 900) * 2, split_size=200_000).value
    for splits, trials in ((1, 150), (2, 150)):
        held = 0
        for trial in range(trials):
            logits = _normal(1000, 6, trial) * 2
            estimate = _score(logits, split_size=1000 // splits, interval=True)
            assert estimate.low is not None
            assert estimate.high is not None
            held += estimate.low <= truth <= estimate.high
        assert 0.89 <= held / trials <= 0.995
    assert "delta method" in estimate.interval


def test_bad_logits_are_errors() -> None:
    logits = _normal(20, 5, 1)
    with pytest.raises(GenbenchError, match="cut into 21 splits"):
        _score(logits, splits=21)
    with pytest.raises(GenbenchError, match="splits of 0"):
        _score(logits, split_size=0)
    logits[13, 2] = math.nan
    with pytest.raises(GenbenchError, match="logits of sample 13 are not finite"):
        _score(logits)


def _kernel(
    samples: Tensor, reference: Tensor, *, size: int = 100, interval: bool = False, seed: int = 2020
) -> Estimate:
    return kernel_distance(
        samples, reference, subsets=20, subset_size=size, seed=seed, interval=interval
    )


def test_kid_is_that_of_torch_fidelity() -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    samples, reference = _normal(350, 30, 1), _normal(420, 30, 2) + 0.2
    expected = kid_features_to_metric(
        samples.double(), reference.double(), kid_subsets=20, kid_subset_size=100, rng_seed=2020,
        verbose=False,
    )  # fmt: skip
    assert _kernel(samples, reference).value == expected["kernel_inception_distance_mean"]


def _cubic_mmd(samples: Tensor, reference: Tensor) -> float:
    """Unbiased squared MMD of the kernel (x.y / D + 1)^3, by its definition, in float64."""
    one, two = samples.double(), reference.double()
    width = one.shape[1]
    inside = 0.0
    for side in (one, two):
        kernel = (side @ side.T / width + 1) ** 3
        inside += float(kernel.sum() - kernel.trace()) / (len(side) * (len(side) - 1))
    return inside - 2 * float(((one @ two.T / width + 1) ** 3).mean())


def test_kid_is_the_unbiased_mmd_of_the_cubic_kernel() -> None:
    samples, reference = _normal(100, 8, 1).double(), _normal(100, 8, 2).double() + 0.3
    expected = _cubic_mmd(samples, reference)
    assert _kernel(samples, reference).value == pytest.approx(expected, rel=1e-10)


def test_kid_of_features_far_from_the_origin_is_no_noise() -> None:
    """In float32 nothing is left of the difference of kernels of the order of 1e24."""
    samples, reference = _normal(100, 48, 1) + 1e4, 1.2 * _normal(100, 48, 2) + 1e4 + 0.3
    expected = _cubic_mmd(samples, reference)
    assert _kernel(samples, reference).value == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("far", [0.0, 0.5])
def test_the_interval_of_kid_holds_the_truth_as_often_as_it_says(far: float) -> None:
    """Samples and subsets are drawn anew in each trial, the reference is fixed, as it says."""
    shift = torch.tensor([far, 0.0, far / 2])
    reference = _normal(800, 3, 901) + shift
    truth = _cubic_mmd(_normal(20_000, 3, 902), reference)
    held = 0
    for trial in range(150):
        estimate = _kernel(_normal(800, 3, trial), reference, interval=True, seed=trial)
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= truth <= estimate.high
    assert 0.89 <= held / 150 <= 0.995
    assert "reference fixed" in estimate.interval


def test_kid_says_what_it_lacks() -> None:
    samples, reference = _normal(99, 4, 1), _normal(500, 4, 2)
    with pytest.raises(GenbenchError, match="99 samples and 500 references; lower the subset size"):
        _kernel(samples, reference)
    reference[3, 1] = math.inf
    with pytest.raises(GenbenchError, match="sample 3 are not finite"):
        _kernel(reference, samples, size=50)


def test_kid_draws_other_subsets_from_another_seed() -> None:
    samples, reference = _normal(300, 4, 1), _normal(300, 4, 2)
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    assert _kernel(samples, reference).value != _kernel(samples, reference, seed=7).value
    after = np.random.get_state(legacy=False)["state"]["key"]
    assert np.array_equal(before, after)  # and leaves the global stream alone


def test_clip_score_is_a_hundred_times_the_mean_positive_cosine() -> None:
    images = torch.tensor([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [1.0, 1.0]])
    texts = torch.tensor([[5.0, 0.0], [0.0, 0.1]])  # of images 0 and 2, of images 1 and 3
    found = clip_score(images, texts, interval=True)
    each = np.array([100, 100, 0, 100 / np.sqrt(2)])  # -1 counts as 0
    assert found.value == pytest.approx(each.mean())
    assert found.high == pytest.approx(each.mean() + 1.959964 * each.std(ddof=1) / 2)
    assert clip_score(images, texts, interval=False).low is None
    assert clip_score(images[:1], texts, interval=True).low is None  # one has no spread
    with pytest.raises(GenbenchError, match="images have 2 features and texts 3"):
        clip_score(images, torch.ones(1, 3), interval=False)
