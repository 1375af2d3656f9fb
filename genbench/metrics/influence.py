"""What an interval rests on, kept so that the difference of two figures can have one too.

An interval of one figure needs only a variance. That of a difference of two figures of paired
samples needs how far they move together, and so what each sample did to either. Two such things
subtract sample by sample, whatever they came from: influence functions, parts, subsets drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def _nothing() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class Influence:
    """Where a figure's variance comes from; each kind may be absent.

    rows: float [N], what each sample adds to N times the figure, but for a constant (the influence
    function). draws: float [S], the figure by each of S random subsets drawn. parts: float [R, G],
    the figure without one of G groups of samples, for R divisions (the jackknife's).
    """

    rows: Floats = field(default_factory=_nothing)
    draws: Floats = field(default_factory=_nothing)
    parts: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Two influences of the same shapes can be paired."""
        return self.rows.shape, self.draws.shape, self.parts.shape

    def less(self, other: Influence, scale: float = 1.0) -> Influence:
        """That of the difference, this figure less `scale` times the other one's, where sample i of
        both belong together. Both must have the same shapes."""
        return Influence(
            rows=np.subtract(self.rows, scale * other.rows.astype(np.float64)),
            draws=np.subtract(self.draws, scale * other.draws.astype(np.float64)),
            parts=np.subtract(self.parts, scale * other.parts.astype(np.float64)),
        )

    def variance(self) -> float:
        """The figure's variance over draws of its samples and subsets."""
        total = 0.0
        for values in (self.rows, self.draws):
            if len(values) > 1:
                total += float(np.var(values, ddof=1, dtype=np.float64)) / len(values)
        if self.parts.size:
            groups = self.parts.shape[1]
            squares = groups * np.var(self.parts, axis=1, dtype=np.float64)
            total += float(squares.mean()) * (groups - 1) / groups
        return total

    def deviation(self) -> float:
        """Root of the variance."""
        return math.sqrt(self.variance())

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance: G - 1 a division of the jackknife's, since divisions
        of the same samples err independently given these; else the rows' or the draws'."""
        if self.parts.size:
            return float(self.parts.shape[0] * (self.parts.shape[1] - 1))
        return float(max(len(self.rows), 2) - 1)
