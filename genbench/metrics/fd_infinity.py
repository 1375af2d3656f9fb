"""Fréchet distance extrapolated to infinitely many samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import NORMAL_95, Estimate
from genbench.metrics.frechet import frechet_distance, frechet_interval
from genbench.metrics.moments import MOMENT_BLOCK, Moments, stream_moments

_FEWEST = 3  # samples: of 2 there is one size, and no line
_LARGEST_START = 5000


@dataclass(frozen=True)
class Extrapolation:
    """The curve and the value its line has where 1 / size is 0.

    sizes: int64 [P] samples of each subset, distances: float64 [P]. weights: float64 [P] with
    value = weights @ distances; their sum is 1.
    """

    value: float
    sizes: NDArray[np.int64]
    distances: NDArray[np.float64]
    weights: NDArray[np.float64]


def fd_infinity(samples: Tensor, reference: Moments, *, points: int, seed: int) -> Extrapolation:
    """Least squares of FD_n against 1/n over `points` random subsets of n samples, at 1/n = 0.

    samples: float32 [N, D]. Chong and Forsyth 2020, arXiv:1911.07023; sizes, draws and fit of
    dgm-eval (dgm_eval/metrics/fd.py:93), which draws without a seed: n runs evenly from
    min(5000, max(N // 10, 2)) to N, rounded down, and each subset is drawn without replacement from
    one numpy.random.default_rng(seed). The bias that a finite reference adds stays in the value.
    GenbenchError for fewer than 3 samples or 2 points, other widths, or features that are not
    finite. Holds O(D^2) numbers beside the samples; of a subset larger than half it sums over the
    rows left out.
    """
    if len(samples) < _FEWEST or points < 2:
        raise GenbenchError(
            f"a line needs 2 points of {_FEWEST} samples at least, and there are {points} points "
            f"of {len(samples)} samples: add samples"
        )
    sizes = _sizes(len(samples), points)
    whole = stream_moments(iter([samples]), [len(samples)])[len(samples)]
    drawn = np.random.default_rng(seed)
    distances = np.array([
        frechet_distance(
            _of_rows(samples, whole, drawn.choice(len(samples), size, replace=False)), reference
        )
        for size in sizes
    ])  # fmt: skip
    weights = _weights_at_zero(1 / sizes)
    return Extrapolation(float(weights @ distances), sizes, distances, weights)


def fd_infinity_interval(
    found: Extrapolation, samples: Tensor, whole: Moments, reference: Moments
) -> Estimate:
    """The value with its 95% interval over the samples and the draws, the reference held fixed.

    samples: float32 [N, D], whole: their moments. With sigma^2 the variance of the distance's
    influence function (see frechet_interval) and w_i the weights of the fit, two random subsets of
    the same N samples share sigma^2 / N, and one of n_i samples has (1/n_i - 1/N) sigma^2 of its
    own, so that the value's variance is
        sigma^2 / N + sigma^2 sum_i w_i^2 (1/n_i - 1/N).
    Where the points scatter more about their line than the second term says, what the residuals
    give counts instead. A curve that is not straight in 1/n biases the value: no interval covers
    that, so its text says where the smallest subsets have no covariance of full rank.
    """
    count = len(samples)
    direct = frechet_interval(iter([samples]), whole, reference, frechet_distance(whole, reference))
    assert direct.high is not None
    of_samples = ((direct.high - direct.value) / NORMAL_95) ** 2  # sigma^2 / N
    drawn = float(found.weights**2 @ (count / found.sizes - 1)) * of_samples
    variance = of_samples + max(drawn, _residual_variance(found))
    half_width = NORMAL_95 * math.sqrt(variance)
    text = "95% delta method over the samples and the subsets drawn, reference fixed"
    if found.sizes[0] <= samples.shape[1]:
        text += (
            f"; the smallest subsets ({found.sizes[0]} samples, {samples.shape[1]} features) have "
            "no full rank, and what that bends the line by is not in it"
        )
    return Estimate(found.value, found.value - half_width, found.value + half_width, text)


def _sizes(count: int, points: int) -> NDArray[np.int64]:
    start = min(_LARGEST_START, max(count // 10, 2))
    return np.linspace(start, count, points).astype(np.int64)


def _of_rows(samples: Tensor, whole: Moments, rows: NDArray[np.int64]) -> Moments:
    """Moments of some rows of `samples` [N, D], summed over those rows or over the others,
    whichever are fewer."""
    count, others = len(samples), len(rows) > len(samples) / 2
    taken = np.setdiff1d(np.arange(count), rows, assume_unique=True) if others else rows
    total = torch.zeros_like(whole.mean)  # [D], of rows less the mean of all
    products = torch.zeros_like(whole.scatter)  # [D, D]
    for start in range(0, len(taken), MOMENT_BLOCK):
        block = samples[torch.from_numpy(np.sort(taken[start : start + MOMENT_BLOCK]))]
        centred = (block.to(torch.float64) - whole.mean).numpy()
        total += torch.from_numpy(centred.sum(axis=0))
        products += torch.from_numpy(centred.T @ centred)
    if others:  # rows less the mean of all sum to 0
        total, products = -total, whole.scatter - products
    mean = total / len(rows)
    scatter = products - torch.outer(mean, mean) * len(rows)
    return Moments(len(rows), whole.mean + mean, scatter)


def _weights_at_zero(inverse: NDArray[np.float64]) -> NDArray[np.float64]:
    """w with w @ y the intercept of the least-squares line through (inverse, y)."""
    centred = inverse - inverse.mean()
    weights: NDArray[np.float64] = 1 / len(inverse) - inverse.mean() * centred / (centred @ centred)
    return weights


def _residual_variance(found: Extrapolation) -> float:
    """Of the intercept, by the scatter of the points about the line; 0 for 2 points."""
    if len(found.sizes) < 3:
        return 0.0
    inverse = 1 / found.sizes
    centred = inverse - inverse.mean()
    slope = centred @ found.distances / (centred @ centred)
    off = found.distances - found.value - slope * inverse
    return float(off @ off / (len(off) - 2) * (found.weights @ found.weights))
