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
from genbench.metrics.frechet import (
    distance_of_factors,
    factor_of_moments,
    factor_of_rows,
    frechet_distance,
    frechet_interval,
    require_comparable,
)
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
    require_comparable(whole, reference)
    drawn = np.random.default_rng(seed)
    factor = factor_of_moments(reference) if sizes[0] <= samples.shape[1] else None
    distances = np.zeros(points)
    for point, size in enumerate(sizes):
        rows = drawn.choice(len(samples), size, replace=False)
        if factor is not None and size <= samples.shape[1]:
            mean, own = factor_of_rows(samples[torch.from_numpy(rows)])
            distances[point] = distance_of_factors(mean - reference.mean, own, factor)
        else:
            distances[point] = frechet_distance(_of_rows(samples, whole, rows), reference)
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
    give counts instead. The distance is no straight line in 1/n where the smallest subsets have not
    many more samples than features: on the side where a parabola through the points has its
    intercept, the interval is widened as far as that, less what chance explains of it. None where
    they have no full rank. How often it holds the truth was simulated: benchmarks/fd_infinity.py,
    docs/uncertainty.md.
    """
    if found.sizes[0] <= samples.shape[1]:
        return Estimate(
            found.value,
            interval="none: the smallest subsets have no covariance of full rank, and an "
            "extrapolation from them misses the truth by more than chance",
        )
    count = len(samples)
    direct = frechet_interval(iter([samples]), whole, reference, frechet_distance(whole, reference))
    assert direct.high is not None
    of_samples = ((direct.high - direct.value) / NORMAL_95) ** 2  # sigma^2 / N
    own = of_samples * (count / found.sizes - 1)  # of each point
    variance = of_samples + max(float(found.weights**2 @ own), _residual_variance(found))
    half_width = NORMAL_95 * math.sqrt(variance)
    bend = _bend(found, own)
    text = (
        "95% delta method over the samples and the subsets drawn, widened by the curve's bend, "
        "reference fixed and its own bias not corrected"
    )
    low, high = found.value - half_width + min(bend, 0), found.value + half_width + max(bend, 0)
    return Estimate(found.value, low, high, text)


def note_on_subsets(found: Extrapolation, width: int) -> str:
    """What a reader must know of a curve whose smallest subsets have no covariance of full rank:
    there the curve is no line. width: of the features."""
    smallest = found.sizes[0]
    if smallest > width:
        return ""
    return (
        f"the smallest subsets that the distance was extrapolated from, of {smallest} samples, "
        f"have no covariance of full rank for {width} features: the limit is too low; bring more "
        "than 20 samples a feature"
    )


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


def _bend(found: Extrapolation, own: NDArray[np.float64]) -> float:
    """How far the intercept of the least-squares parabola lies above the line's, less what chance
    explains; 0 for too few points. own: float64 [P], the variance that each point has alone."""
    inverse = 1 / found.sizes
    if len(np.unique(found.sizes)) < 4:
        return 0.0
    powers = np.stack([np.ones_like(inverse), inverse, inverse**2], axis=1)
    scale = powers.max(axis=0)
    apart = np.linalg.pinv(powers / scale)[0] - found.weights  # [P]; the first column is ones
    bend, chance = float(apart @ found.distances), float(apart**2 @ own)
    return bend * max(1 - chance / bend**2, 0.0) if bend else 0.0


def _residual_variance(found: Extrapolation) -> float:
    """Of the intercept, by the scatter of the points about the line; 0 for 2 points."""
    if len(found.sizes) < 3:
        return 0.0
    inverse = 1 / found.sizes
    centred = inverse - inverse.mean()
    slope = centred @ found.distances / (centred @ centred)
    off = found.distances - found.value - slope * inverse
    return float(off @ off / (len(off) - 2) * (found.weights @ found.weights))
