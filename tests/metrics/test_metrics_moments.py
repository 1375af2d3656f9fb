"""Moments: equal to numpy's, and the same bits however the stream is cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.moments import MOMENT_BLOCK, Moments, stream_moments


def _features(count: int, width: int = 24, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator) * torch.arange(1, width + 1) + 5


def _cut(features: Tensor, sizes: list[int]) -> Iterator[Tensor]:
    start = 0
    for i in range(len(features)):
        size = sizes[i % len(sizes)]
        yield features[start : start + size]
        start += size


def _same_bits(one: Moments, other: Moments) -> bool:
    return (
        one.count == other.count
        and torch.equal(one.mean, other.mean)
        and torch.equal(one.scatter, other.scatter)
    )


def test_moments_are_those_of_numpy() -> None:
    features = _features(2 * MOMENT_BLOCK + 345)
    moments = stream_moments([features], [len(features)])[len(features)]
    values = features.double().numpy()
    np.testing.assert_allclose(moments.mean.numpy(), values.mean(0), rtol=1e-13)
    expected = np.cov(values, rowvar=False)
    error = np.abs(moments.covariance().numpy() - expected).max()
    assert error < 1e-13 * np.abs(expected).max()
    assert torch.equal(moments.scatter, moments.scatter.T)


def test_a_large_mean_does_not_drown_the_variance() -> None:
    whole = _features(3000, 4).double() + 1e9
    moments = stream_moments(_cut(whole, [700]), [3000])[3000]
    expected = np.cov((whole - 1e9).numpy(), rowvar=False)
    np.testing.assert_allclose(moments.covariance().numpy(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sizes", [[1], [7, 64], [999, 1001], [MOMENT_BLOCK], [2500]])
@pytest.mark.parametrize("threads", [1, 2])
def test_any_cut_and_any_threads_give_the_same_bits(sizes: list[int], threads: int) -> None:
    features = _features(2 * MOMENT_BLOCK + 500)
    counts = [3, MOMENT_BLOCK, MOMENT_BLOCK + 1, len(features)]
    expected = stream_moments([features], counts)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = stream_moments(_cut(features, sizes), counts)
    finally:
        torch.set_num_threads(before)
    assert list(found) == counts
    assert all(_same_bits(found[count], expected[count]) for count in counts)


def test_a_prefix_is_a_stream_of_its_own() -> None:
    features = _features(3 * MOMENT_BLOCK)
    counts = [2, 999, 1000, 1700, 2000, 2999, 3000]
    together = stream_moments(_cut(features, [256]), counts)
    for count in counts:
        alone = stream_moments([features[:count]], [count])[count]
        assert _same_bits(alone, together[count])


def test_only_what_was_asked_for_is_read() -> None:
    def endless() -> Iterator[Tensor]:
        while True:
            yield _features(400)

    assert stream_moments(endless(), [1234])[1234].count == 1234


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_row_that_is_not_finite_is_named(bad: float) -> None:
    features = _features(2500)
    features[2100, 3] = bad
    with pytest.raises(GenbenchError, match="sample 2100 are not finite"):
        stream_moments(_cut(features, [300]), [2500])
    assert stream_moments(_cut(features, [300]), [2100])[2100].count == 2100


def test_a_short_stream_and_wrong_shapes_are_errors() -> None:
    with pytest.raises(GenbenchError, match="50 samples were asked for and there are 40"):
        stream_moments([_features(40)], [10, 50])
    with pytest.raises(GenbenchError, match="one width"):
        stream_moments([_features(40), _features(40, 7)], [80])
    with pytest.raises(GenbenchError, match="must be 1 or more"):
        stream_moments([_features(40)], [0])
    with pytest.raises(GenbenchError, match="2 samples at least"):
        stream_moments([_features(1)], [1])[1].covariance()


@pytest.mark.parametrize("count", [None, 50])
def test_published_statistics_keep_their_covariance(count: int | None) -> None:
    values = _features(50).numpy()
    mu, sigma = values.mean(0), np.cov(values, rowvar=False)  # float32 and float64, as ADM's
    moments = Moments.from_statistics(mu, sigma, count)
    assert moments.mean.dtype == moments.scatter.dtype == torch.float64
    np.testing.assert_allclose(moments.covariance().numpy(), sigma, rtol=1e-14, atol=1e-14)
    mu[0] = 77
    assert float(moments.mean[0]) != 77  # a copy


def test_statistics_that_are_none_are_errors() -> None:
    mu, sigma = np.zeros(3), np.eye(3)
    with pytest.raises(GenbenchError, match="do not belong together"):
        Moments.from_statistics(mu, np.eye(4), 10)
    with pytest.raises(GenbenchError, match="not finite"):
        Moments.from_statistics(mu, sigma * np.nan, 10)
    for wrong in (-sigma, sigma + np.triu(np.ones((3, 3)), 1)):
        with pytest.raises(GenbenchError, match="not a covariance"):
            Moments.from_statistics(mu, wrong, 10)
