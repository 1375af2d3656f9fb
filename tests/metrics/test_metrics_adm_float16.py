"""The whole numeric stage against the ADM evaluator's arithmetic, written again in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.metrics import adm_float16
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.inception_score import inception_score
from genbench.metrics.moments import Moments, stream_moments
from genbench.metrics.precision_recall import neighbour_figures

Floats = NDArray[Any]


def _activations(count: int, seed: int, *, size: float = 1.0) -> Tensor:
    """Like pool_3: float32, non-negative, squared norms of some hundred."""
    mixing = torch.randn(20, 96, generator=torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(seed)
    factors = torch.mm(torch.randn(count, 20, generator=generator), mixing)
    return size * torch.relu(factors / 3 + 0.4 * torch.randn(count, 96, generator=generator) + 1)


def test_fid_from_features_and_from_a_reference_file() -> None:
    from scipy.linalg import sqrtm

    samples, reference = _activations(1500, 1), _activations(1200, 2, size=1.05)
    (mu1, sigma1), (mu2, sigma2) = (
        (np.mean(acts.numpy(), axis=0), np.cov(acts.numpy(), rowvar=False))
        for acts in (samples, reference)
    )
    offset = mu1.astype(np.float64) - mu2
    expected = offset @ offset + np.trace(sigma1) + np.trace(sigma2)
    expected -= 2 * np.trace(sqrtm(sigma1 @ sigma2)).real
    ours = stream_moments([samples], [1500])[1500]
    file = Moments.from_statistics(mu2, sigma2, None)
    streamed = stream_moments([reference], [1200])[1200]
    # The evaluator's means are float32: 1e-7 of a mean, and so of the distance.
    assert frechet_distance(ours, file) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(ours, streamed) == pytest.approx(expected, rel=1e-6)


def test_inception_score_of_consecutive_parts() -> None:
    logits = _activations(1230, 1).double().numpy() * 2
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    predictions = exponentials / exponentials.sum(1, keepdims=True)
    scores = []
    for start in range(0, 1230, 500):
        part = predictions[start : start + 500]
        divergence = part * (np.log(part) - np.log(np.mean(part, 0, keepdims=True)))
        scores.append(np.exp(np.mean(np.sum(divergence, 1))))
    found = inception_score(
        torch.from_numpy(logits), splits=0, split_size=500, shuffle=False, interval=False
    )
    assert found.value == pytest.approx(float(np.mean(scores)), rel=1e-12)


def _adm_float16(one: Floats, two: Floats) -> Floats:
    """Every operation in numpy float16, but sums of products exact, rounded through float32."""
    one, two = np.asarray(one, dtype=np.float16), np.asarray(two, dtype=np.float16)
    norms: list[Floats] = []
    for side in (one, two):
        squares: Floats = side * side
        exact = squares.sum(axis=1, dtype=np.float64)
        norms.append(exact.astype(np.float32).astype(np.float16))
    exact_product: Floats = one.astype(np.float64) @ two.astype(np.float64).T
    product: Floats = exact_product.astype(np.float32).astype(np.float16)
    sums: Floats = norms[0][:, None] - np.float16(2) * product + norms[1]
    return np.maximum(sums, np.float16(0))


def _full_distances(one: Floats, two: Floats) -> Floats:
    norms: list[Floats] = [np.sum(side * side, axis=1) for side in (one, two)]
    sums: Floats = norms[0][:, None] - 2 * one @ two.T + norms[1]
    return np.maximum(sums, 0)


def _blocks(one: Floats, two: Floats, size: int) -> Floats:
    """All distances, block by block: float16, or float32 where a block is not finite."""
    rows = []
    for i in range(0, len(one), size):
        row = []
        for j in range(0, len(two), size):
            block = _adm_float16(one[i : i + size], two[j : j + size])
            if not np.isfinite(block).all():
                block = _full_distances(one[i : i + size], two[j : j + size])
            row.append(block.astype(np.float32))
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows)


def _half_precision_recall(samples: Tensor, reference: Tensor, size: int) -> tuple[float, float]:
    ours, theirs = samples.numpy(), reference.numpy()
    radii = [np.sort(_blocks(side, side, size), axis=1)[:, 3] for side in (ours, theirs)]
    cross = _blocks(theirs, ours, size)
    precise = (cross <= radii[1][:, None]).any(0)
    recalled = (cross <= radii[0]).any(1)
    return float(precise.mean()), float(recalled.mean())


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("size", [1.0, 12.0])  # at 12 some blocks overflow float16, not all
def test_precision_and_recall_in_half(size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adm_float16, "HALF_BLOCK", 300)
    monkeypatch.setattr(adm_float16, "STRIP", 70)
    samples, reference = _activations(800, 1), _activations(700, 2, size=0.9)
    samples[:300] *= size
    figures = neighbour_figures(samples, reference, half=True)
    expected = _half_precision_recall(samples, reference, 300)
    assert (figures.precision.value, figures.recall.value) == pytest.approx(expected, abs=1e-12)
    finite = [np.isfinite(_adm_float16(side, side)).all() for side in (samples.numpy(),)]
    assert finite == [size == 1.0]


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("size", [1.0, 40.0])
def test_a_block_is_half_or_full_as_a_whole(size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adm_float16, "STRIP", 70)
    left, right = _activations(200, 1), _activations(150, 2)
    left[180:] *= size  # overflows in the last strip alone
    strips = [strip for _, strip in adm_float16.half_distances(left, right)]
    found = torch.cat(strips).numpy()
    np.testing.assert_allclose(found, _blocks(left.numpy(), right.numpy(), 1000), rtol=2e-5)
    assert np.array_equal(found, found.astype(np.float16)) == (size == 1)


def test_half_is_coarser_than_exact() -> None:
    samples, reference = _activations(800, 1), _activations(700, 2)
    exact = neighbour_figures(samples, reference)
    half = neighbour_figures(samples, reference, half=True)
    assert half != exact
    assert half.precision.value == pytest.approx(exact.precision.value, abs=0.02)
    assert half.density.value == pytest.approx(exact.density.value, rel=0.02)
    assert half.coverage.value == pytest.approx(exact.coverage.value, abs=0.02)


def test_precision_and_recall_in_full() -> None:
    samples, reference = _activations(800, 1), _activations(700, 2, size=0.9)
    ours, theirs = samples.numpy(), reference.numpy()
    radii = [np.partition(_full_distances(s, s), range(4), axis=1)[:, 3] for s in (ours, theirs)]
    cross = _full_distances(theirs, ours)
    figures = neighbour_figures(samples, reference)
    assert figures.precision.value == pytest.approx(
        float((cross <= radii[1][:, None]).any(0).mean()), abs=1e-12
    )
    assert figures.recall.value == pytest.approx(
        float((cross <= radii[0]).any(1).mean()), abs=1e-12
    )
