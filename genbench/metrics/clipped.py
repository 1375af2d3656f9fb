"""Clipped density and clipped coverage (Salvy et al. 2025, arXiv:2507.01761), from counts of balls.

Both read as a share of good samples: 1 - x of them replaced by bad ones lowers them to about x.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaln, gammaln
from torch import Tensor

from genbench.metrics.estimate import Estimate, normal_mean


def clipped_density(balls: Tensor, own: Tensor, k: int, *, interval: bool = False) -> Estimate:
    """Mean of min(balls around a sample / k, 1), over the same of the references themselves, at
    most 1; k-NN balls of the reference whose radii are cut at their median.

    balls: int64 [N], balls that hold a sample, rims inside; own: int64 [M], balls of which a
    reference is among the centre's k nearest and within. interval: the samples' spread, normal.
    """
    shares = (balls.to(torch.float64) / k).clamp(max=1)
    ideal = float((own.to(torch.float64) / k).clamp(max=1).mean())
    found = normal_mean(shares / ideal, "over the samples, reference and its balls fixed")
    low, high = (max(min(end, 1.0), 0.0) for end in (found.low or 0.0, found.high or 0.0))
    value = min(found.value, 1.0)
    return replace(found, value=value, low=low, high=high) if interval else Estimate(value)


def clipped_coverage(held: Tensor, k: int, count: int) -> float:
    """The share of `count` samples, were they drawn as the reference is, that would give the mean
    over references of min(samples in its k-NN ball / k, 1) that there is.

    held: int64 [M], samples strictly within a reference's ball.
    """
    return calibrated(uncalibrated_coverage(held, k), k, len(held), count)


def uncalibrated_coverage(held: Tensor, k: int) -> float:
    """Mean over the references of min(samples in the ball / k, 1). held: int64 [M]."""
    return float((held.to(torch.float64) / k).clamp(max=1).mean())


def calibrated(value: float, k: int, references: int, count: int) -> float:
    """The share of counts 0 ... `count` whose expected coverage is below `value`."""
    expected = expected_coverage(k, references, count)
    return int(np.searchsorted(expected, value)) / len(expected)


def expected_coverage(k: int, references: int, count: int) -> NDArray[np.float64]:
    """Expected mean of min(samples in the ball / k, 1), float64 [count + 1], of 0 ... `count`
    samples drawn as the references are, k below `references`; below k samples it is set to 0, as
    the official code does.

    The mass of a ball is Beta(k, references - k), so the samples in it are beta-binomial:
    E min(j, k) = k - sum over j < k of (k - j) P(j), which needs k terms where the sum over all j
    needs as many as there are samples.
    """
    samples = np.arange(k, count + 1, dtype=np.float64)[:, None]
    inside = np.arange(k, dtype=np.float64)
    logarithm = (
        gammaln(samples + 1) - gammaln(inside + 1) - gammaln(samples - inside + 1)
        + betaln(k + inside, references + samples - k - inside) - betaln(k, references - k)
    )  # fmt: skip
    missing = ((k - inside) * np.exp(logarithm)).sum(axis=1)
    return np.concatenate([np.zeros(min(k, count + 1)), 1 - missing / k])
