"""The Fréchet distance against closed forms, torch-fidelity, scipy and the data's own SVD."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.frechet import frechet_distance, frechet_interval
from genbench.metrics.moments import Moments, stream_moments


def _gaussian(mean: Tensor, covariance: Tensor) -> Moments:
    return Moments.from_statistics(mean, covariance, None)


def _moments(features: Tensor) -> Moments:
    return stream_moments([features], [len(features)])[len(features)]


def _draw(count: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=torch.Generator().manual_seed(99))
    mixing = torch.eye(width) + mixing / width**0.5
    noise = torch.randn(count, width, generator=generator, dtype=torch.float64)
    return torch.mm(noise, mixing.double())


def _distance_by_svd(samples: Tensor, reference: Tensor) -> float:
    """Of the data, never forming a covariance: tr (S1 S2)^1/2 = nuclear norm of X1 X2^T."""
    one, two = samples.double().numpy(), reference.double().numpy()
    centred = [side - side.mean(0) for side in (one, two)]
    scaled = [side / math.sqrt(len(side) - 1) for side in centred]
    nuclear = np.linalg.svd(scaled[0] @ scaled[1].T, compute_uv=False).sum()
    offset = one.mean(0) - two.mean(0)
    traces = sum(float((side**2).sum()) for side in scaled)
    return float(offset @ offset + traces - 2 * nuclear)


def test_diagonal_gaussians_have_a_closed_form() -> None:
    one, two = torch.tensor([1.0, 4.0, 9.0]), torch.tensor([4.0, 4.0, 0.25])
    first = _gaussian(torch.tensor([1.0, 2.0, 3.0]), one.diag())
    second = _gaussian(torch.tensor([1.0, 0.0, 2.5]), two.diag())
    expected = 4 + 0.25 + float((one.sqrt() - two.sqrt()).square().sum())
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


def test_commuting_covariances_have_a_closed_form() -> None:
    generator = torch.Generator().manual_seed(1)
    square = torch.randn(300, 300, generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(square).Q
    one = torch.rand(300, generator=generator, dtype=torch.float64) + 0.1
    two = torch.rand(300, generator=generator, dtype=torch.float64) * 3 + 0.1
    zero = torch.zeros(300)
    first = _gaussian(zero, rotation @ one.diag() @ rotation.T)
    second = _gaussian(zero, rotation @ two.diag() @ rotation.T)
    expected = float((one.sqrt() - two.sqrt()).square().sum())
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-11)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-11)


def test_equal_to_torch_fidelity_and_scipy_at_full_rank() -> None:
    from scipy.linalg import sqrtm
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    first, second = _moments(_draw(900, 200, 1)), _moments(_draw(1100, 200, 2) * 1.1 + 0.05)
    sides = [{"mu": m.mean.numpy(), "sigma": m.covariance().numpy()} for m in (first, second)]
    fidelity = fid_statistics_to_metric(sides[0], sides[1], False)["frechet_inception_distance"]
    offset = sides[0]["mu"] - sides[1]["mu"]
    root = sqrtm(sides[0]["sigma"] @ sides[1]["sigma"])
    expected = offset @ offset + np.trace(sides[0]["sigma"] + sides[1]["sigma"] - 2 * root.real)
    value = frechet_distance(first, second)
    assert value == pytest.approx(fidelity, rel=1e-9)
    assert value == pytest.approx(expected, rel=1e-9)


def _broken(kind: str, seed: int) -> Tensor:
    count = {"few": 90, "full": 250}.get(kind, 200)
    features = _draw(count, 120, seed) + seed / 10
    generator = torch.Generator().manual_seed(5)
    if kind == "dead":
        features[:, ::3] = 0
    elif kind == "constant":
        features[:, 7] = 3.25
    elif kind == "duplicated":
        features[:, 60:] = features[:, :60]
    elif kind == "nearly duplicated":
        features[:, 60:] = features[:, :60] + 1e-7 * features[:, 60:]
    elif kind == "sums":  # the last features are sums of others: Cholesky may go through
        weights = torch.randn(60, 60, generator=generator, dtype=torch.float64)
        features[:, 60:] = features[:, :60] @ weights
    elif kind == "one huge":
        features[:, 11] *= 1e6
    elif kind == "spectrum":
        features *= torch.logspace(0, -7, 120, dtype=torch.float64)
    elif kind == "all the same":
        features[:] = features[0]
    return features


KINDS = [
    "full",
    "few",
    "dead",
    "constant",
    "duplicated",
    "nearly duplicated",
    "sums",
    "one huge",
    "spectrum",
    "all the same",
]


@pytest.mark.parametrize("reference", ["full", "few", "sums", "one huge"])
@pytest.mark.parametrize("samples", KINDS)
def test_right_at_any_rank(samples: str, reference: str) -> None:
    one, two = _broken(samples, 1), _broken(reference, 2)
    expected = _distance_by_svd(one, two)
    assert frechet_distance(_moments(one), _moments(two)) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(_moments(two), _moments(one)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_features_are_at_no_distance(kind: str) -> None:
    features = _broken(kind, 1)
    moments = _moments(features)
    assert frechet_distance(moments, moments) == 0
    # Equal but for rounding: another order of the rows.
    shuffled = _moments(features.flip(0))
    size = float(moments.covariance().trace()) + float(moments.mean.square().sum())
    assert 0 <= frechet_distance(moments, shuffled) <= 1e-6 * size


@pytest.mark.parametrize("scale", [1e-60, 1e-15, 1e15, 1e60])
def test_scale_changes_nothing_but_the_scale(scale: float) -> None:
    one, two = _broken("full", 1), _broken("few", 2)
    expected = frechet_distance(_moments(one), _moments(two)) * scale * scale
    found = frechet_distance(_moments(one * scale), _moments(two * scale))
    assert found == pytest.approx(expected, rel=1e-6, abs=0)


def test_the_number_of_threads_changes_no_bit() -> None:
    pairs = [(_moments(_broken("full", 1)), _moments(_broken(kind, 2))) for kind in ("full", "few")]
    before = torch.get_num_threads()
    try:
        figures = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            figures.append([frechet_distance(one, two) for one, two in pairs])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert figures[0] == figures[1]


def test_bad_moments_are_errors() -> None:
    good = _moments(_draw(50, 8, 1))
    with pytest.raises(GenbenchError, match="samples have 8 features and the reference 9"):
        frechet_distance(good, _moments(_draw(50, 9, 1)))
    bad = Moments(50, good.mean, good.scatter * math.nan)
    with pytest.raises(GenbenchError, match="moments of the reference are not finite"):
        frechet_distance(good, bad)


def _half_widths(sets: list[Tensor], reference: Moments) -> tuple[list[float], list[float]]:
    values, widths = [], []
    for features in sets:
        moments = _moments(features)
        value = frechet_distance(moments, reference)
        estimate = frechet_interval(torch.split(features, 130), moments, reference, value)
        assert estimate.high is not None
        values.append(value)
        widths.append(estimate.high - value)
    return values, widths


def test_the_interval_is_that_of_draws_repeated_and_of_the_bootstrap() -> None:
    reference = _moments(_draw(4000, 4, 0) * 1.3 + 0.4)
    values, widths = _half_widths([_draw(500, 4, seed) for seed in range(1, 151)], reference)
    predicted = statistics.mean(widths) / 1.96
    assert predicted == pytest.approx(statistics.stdev(values), rel=0.2)

    sample = _draw(500, 4, 1)
    generator = torch.Generator().manual_seed(3)
    resampled = [
        sample[torch.randint(500, (500,), generator=generator)].clone() for _ in range(150)
    ]
    boot = [frechet_distance(_moments(features), reference) for features in resampled]
    assert widths[0] / 1.96 == pytest.approx(statistics.stdev(boot), rel=0.2)


def test_the_interval_has_closed_forms() -> None:
    features = _draw(500, 5, 1)
    moments = _moments(features)
    # The same covariance, moved: T = I, and of the influence remains 2 (mu1 - mu2)^T c.
    offset = torch.arange(5, dtype=torch.float64)
    moved = Moments(500, moments.mean + offset, moments.scatter)
    estimate = frechet_interval([features], moments, moved, 30.0)
    deviation = 2 * float(offset @ moments.covariance() @ offset) ** 0.5
    assert estimate.high == pytest.approx(30 + 1.959964 * deviation / 500**0.5, rel=1e-6)
    # The same mean, three times as wide: T = 3 I, and of it remains -2 |c|^2.
    wide = Moments(500, moments.mean, 9 * moments.scatter)
    estimate = frechet_interval([features], moments, wide, 30.0)
    deviation = 2 * float((features - moments.mean).square().sum(1).std())
    assert estimate.high == pytest.approx(30 + 1.959964 * deviation / 500**0.5, rel=1e-6)


def test_the_interval_holds_the_true_distance_as_often_as_it_says() -> None:
    true = _moments(_draw(200_000, 3, 1234))
    reference = _moments(_draw(4000, 3, 0) * 1.5 + 0.6)
    truth = frechet_distance(true, reference)
    held = 0
    for seed in range(120):
        features = _draw(600, 3, seed + 1)
        moments = _moments(features)
        value = frechet_distance(moments, reference)
        estimate = frechet_interval([features], moments, reference, value)
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= truth <= estimate.high
    assert 0.90 <= held / 120 <= 0.985


@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_survives_any_rank(kind: str) -> None:
    features, reference = _broken(kind, 1), _moments(_broken("few", 2))
    moments = _moments(features)
    value = frechet_distance(moments, reference)
    estimate = frechet_interval([features], moments, reference, value)
    assert estimate.low is not None
    assert estimate.high is not None
    assert math.isfinite(estimate.high)
    assert estimate.low <= value <= estimate.high
    assert "reference fixed" in estimate.interval


def test_the_interval_is_indifferent_to_chunks_and_ignores_later_rows() -> None:
    features, reference = _draw(300, 6, 1), _moments(_draw(300, 6, 2) + 0.2)
    moments = stream_moments([features], [200])[200]
    whole = frechet_interval([features[:200]], moments, reference, 1.0)
    cut = frechet_interval(torch.split(features, 77), moments, reference, 1.0)
    assert cut.high == pytest.approx(whole.high, rel=1e-12)
    with pytest.raises(GenbenchError, match="end after 100 of 200"):
        frechet_interval([features[:100]], moments, reference, 1.0)
    published = _gaussian(moments.mean, moments.covariance())
    with pytest.raises(GenbenchError, match="features"):
        frechet_interval([features], published, reference, 1.0)
