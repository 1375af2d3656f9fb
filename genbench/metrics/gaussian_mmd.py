"""CMMD: the squared MMD with a Gaussian kernel between features of length 1."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import Estimate, normal_interval
from genbench.metrics.influence import Influence
from genbench.metrics.moments import require_finite

SIGMA = 10.0  # the width of the kernel (distance.py:25), and
SCALE = 1000.0  # what the distance is multiplied by (:28)
_ROWS = 1000  # of each side at once


def gaussian_mmd(samples: Tensor, reference: Tensor, *, interval: bool) -> Estimate:
    """1000 (mean k(x, x') + mean k(y, y') - 2 mean k(x, y)), k = exp(-|x - y|^2 / (2 10^2)).

    samples: float32 [N, D], reference: float32 [M, D], compared as they are: `unit_length` them
    first for CMMD (Jayasumana et al. 2024, arXiv:2401.09603; google-research cmmd/distance.py:32
    `mmd`). The estimator is the biased one of that code, although the paper advertises the
    unbiased: each mean counts every row with itself. The unbiased value is this less
    1000 ((1 - k_xx) / N + (1 - k_yy) / M), with k_xx and k_yy the means over distinct pairs.
    float64, in blocks of 1,000 x 1,000 pairs and each pair of one side once; memory O(N + M).

    The interval is the delta method: twice the kernel's mean over the samples less that over the
    reference, at each sample. GenbenchError for other widths, no rows, or features that are not
    finite.
    """
    if samples.shape[1] != reference.shape[1]:
        raise GenbenchError(
            f"samples have {samples.shape[1]} features and the reference {reference.shape[1]}; use "
            "features of the same detector and layer"
        )
    if not len(samples) or not len(reference):
        raise GenbenchError("CMMD needs samples and references: pass at least one of each")
    require_finite(samples)
    require_finite(reference, what="features (of the reference)")
    own = _means_within(samples)  # [N]
    cross = _means_across(samples, reference)  # [N]
    value = SCALE * float(own.mean() + _means_within(reference).mean() - 2 * cross.mean())
    if not interval or len(samples) < 2:
        return Estimate(value)
    influence = Influence(rows=(2 * SCALE * (own - cross)).numpy())
    return normal_interval(
        value, influence.variance(),
        "over the samples, reference fixed; bias of a finite count not corrected", influence,
    )  # fmt: skip


def _means_within(rows: Tensor) -> Tensor:
    """Mean of the kernel over all rows, at each row, float64 [N]."""
    sums = torch.zeros(len(rows), dtype=torch.float64)
    for start in range(0, len(rows), _ROWS):
        some = slice(start, start + _ROWS)
        sums[some] += _kernel(rows[some], rows[some]).sum(dim=1)
        for later in range(start + _ROWS, len(rows), _ROWS):
            others = slice(later, later + _ROWS)
            kernel = _kernel(rows[some], rows[others])
            sums[some] += kernel.sum(dim=1)
            sums[others] += kernel.sum(dim=0)
    return sums / len(rows)


def _means_across(rows: Tensor, others: Tensor) -> Tensor:
    """Mean of the kernel over the others, at each row, float64 [N]."""
    sums = [
        torch.stack([_kernel(some, part).sum(dim=1) for part in others.split(_ROWS)]).sum(dim=0)
        for some in rows.split(_ROWS)
    ]
    return torch.cat(sums) / len(others)


def _kernel(rows: Tensor, others: Tensor) -> Tensor:
    """[n, m]."""
    rows, others = rows.double(), others.double()
    squares = rows.square().sum(dim=1)[:, None] + others.square().sum(dim=1)
    return squares.addmm_(rows, others.T, alpha=-2).clamp_(min=0).div_(-2 * SIGMA**2).exp_()
