"""Parts of the samples, a fifth left out of each: how far figures of all move with the samples.

A ball's size and who it holds hang together through all samples, so the figures of references that
samples reach (recall, coverage) have no interval of independent rows. Each part gives them anew,
radii included; their spread is the jackknife's. With a twentieth left out intervals came out up to
1.6 times as wide as the spread of the figures, with half left out a fifth too narrow
(docs/uncertainty.md).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genbench.metrics.estimate import NORMAL_95, Estimate
from genbench.metrics.influence import Influence

GROUPS = 5
REPEATS = 4  # of the division into groups
DEPTH = 8  # neighbours looked at beyond the k-th: some of the nearest are left out
FEWEST = 20  # samples
_HELD = "95% jackknife over the samples, a fifth left out, reference fixed"
_SEED = 0


def kept_in_parts(count: int) -> Tensor:
    """Which of `count` samples each part keeps, bool [20, count]; by the count alone."""
    kept = torch.ones(REPEATS * GROUPS, count, dtype=torch.bool)
    for repeat in range(REPEATS):
        order = np.random.default_rng((_SEED, repeat)).permutation(count)
        for group, left_out in enumerate(np.array_split(order, GROUPS)):
            kept[repeat * GROUPS + group, torch.from_numpy(left_out)] = False
    return kept


class PartVerdicts:
    """Verdicts of every part, as float32 sees distances: an interval needs them no sharper.

    near, index: float32 distances and rows [N, kept] of each sample's nearest others, squared and
    scaled, in no order. k: of recall. references: how many.
    """

    def __init__(self, near: Tensor, index: Tensor, k: int, references: int) -> None:
        self.kept = kept_in_parts(len(near))  # bool [20, N]
        order = near.sort(dim=1)
        others = index.gather(1, order.indices)
        self.radii = torch.stack([_radii(order.values, others, kept, k) for kept in self.kept])
        self.recalled = torch.zeros(len(self.kept), references, dtype=torch.bool)
        self.held = torch.zeros(len(self.kept), references, dtype=torch.int64)

    @property
    def widest(self) -> Tensor:
        """The largest squared radius of each sample, float64 [N]."""
        return self.radii.amax(dim=0).to(torch.float64)

    def enter(self, rows: Tensor, columns: Tensor, distances: Tensor, within: Tensor) -> None:
        """Pairs of a sample and a reference, int64 [P] each, at squared distances float64 [P];
        within: bool [P], whether the sample lies in the reference's ball."""
        for part, kept in enumerate(self.kept):
            self.recalled[part, columns[distances <= self.radii[part, rows]]] = True
            held = columns[within & kept[rows]]
            self.held[part] += torch.bincount(held, minlength=self.held.shape[1])


def _radii(near: Tensor, others: Tensor, kept: Tensor, k: int) -> Tensor:
    """Distances float32 [N] to the k-th neighbour that is kept, or to the last one known; below 0
    of samples that are left out, so that nothing lies within."""
    rank = kept[others].cumsum(dim=1)
    column = (rank < k).sum(dim=1).clamp(max=near.shape[1] - 1)
    found = near.gather(1, column[:, None])[:, 0]
    return torch.where(kept, found, -1.0)


def with_interval(value: float, of_parts: Tensor, references: int) -> Estimate:
    """A figure in [0, 1] with the interval that its values of the S parts, float64 [S], give; at
    least a reference wide on either side, since a figure cannot tell less."""
    influence = Influence(parts=of_parts.view(REPEATS, GROUPS).numpy())
    half_width = max(NORMAL_95 * influence.deviation(), 1 / references)
    low, high = max(value - half_width, 0.0), min(value + half_width, 1.0)
    return Estimate(value, low, high, _HELD, influence=influence)
