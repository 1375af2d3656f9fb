"""Tests that look several times: boundaries that spend one error over all looks.

Lan and DeMets 1983 with the spending function of O'Brien and Fleming's kind: next to nothing at
first, so that a stop needs overwhelming evidence early and the last look loses little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_POINTS = 401  # of the grid that the statistic's distribution is carried along on
_WIDE = 8.0  # deviations that the grid reaches below 0


def spent(share: float, level: float) -> float:
    """How much of a one-sided level is spent once `share` (0 to 1) of the samples was seen."""
    from scipy.special import ndtr, ndtri

    if share <= 0:
        return 0.0
    return float(2 * ndtr(ndtri(level / 2) / math.sqrt(min(share, 1.0))))


def boundaries(shares: Sequence[float], level: float) -> list[float]:
    """The normal deviates that must be exceeded at each look, so that without any effect the chance
    of ever exceeding one is `level`, one-sided.

    shares: of the samples seen at each look, rising to 1. A look's statistic is taken as the mean
    so far over its deviation, whose increments are independent (Armitage, McPherson and Rowe 1969).
    """
    from scipy.special import ndtri

    limits: list[float] = []
    so_far = 0.0
    grid, weights = np.zeros(0), np.zeros(0)  # of the sum so far, where no look has stopped
    for number, share in enumerate(shares):
        root, step = math.sqrt(share), math.sqrt(share - so_far)
        wanted = spent(share, level) - spent(so_far, level)
        if number:
            limit = _falling_to(wanted, partial(_stopped, grid, weights, root, step))
        else:
            limit = -float(ndtri(wanted))
        limits.append(limit)
        reached = np.linspace(-_WIDE * root, limit * root, _POINTS)
        if number:
            density = _normal((reached[:, None] - grid) / step) @ weights / step
        else:
            density = _normal(reached / root) / root
        weights = density * (reached[1] - reached[0])
        weights[[0, -1]] /= 2
        grid, so_far = reached, share
    return limits


def _stopped(grid: Floats, weights: Floats, root: float, step: float, limit: float) -> float:
    """The chance to exceed `limit` at this look and none before."""
    from scipy.special import ndtr

    return float(weights @ ndtr((grid - limit * root) / step))


def _normal(deviates: Floats) -> Floats:
    """The normal distribution's density."""
    found: Floats = np.exp(-0.5 * deviates**2) / math.sqrt(2 * math.pi)
    return found


def _falling_to(wanted: float, function: Callable[[float], float]) -> float:
    """Where a falling function of deviates comes to `wanted`."""
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > wanted else (low, middle)
    return (low + high) / 2
