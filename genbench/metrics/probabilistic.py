"""P-precision and P-recall: how likely a row lies on the other set's support, not whether."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import Estimate, normal_mean
from genbench.metrics.nearest import neighbour_distances
from genbench.metrics.screening import BLOCK, centre_of

OVER_ROWS = "over the rows, the other set and its balls fixed"
REACH = 1.2  # times the mean distance to the k-th neighbour: radius of every ball


def p_support(
    rows: Tensor, support: Tensor, *, neighbours: int, interval: bool = False
) -> Estimate:
    """Mean probability that a row lies on the support of the other set (Park and Kim 2023,
    arXiv:2309.01590): 1 less the product over the support's rows of min(d / R, 1), where d is the
    distance to one and R is 1.2 times their mean distance to their k-th neighbour.

    rows: float32 [N, D]; samples for P-precision, references for P-recall. support: float32 [M, D],
    M above k; the other set. Holds O(N + M) numbers and a block of float64 distances.
    GenbenchError where the support is copies alone.
    """
    radius = REACH * float(neighbour_distances(support, neighbours).mean())
    if radius == 0:
        raise GenbenchError(
            f"every row has {neighbours} copies of itself in its set, so that balls have no size: "
            "leave P-precision and P-recall out, or look at the images"
        )
    centre = centre_of(support).to(torch.float64)
    missed = torch.empty(len(rows), dtype=torch.float64)  # log of the product
    for i in range(0, len(rows), BLOCK):
        left = rows[i : i + BLOCK].to(torch.float64) - centre
        total = torch.zeros(len(left), dtype=torch.float64)
        for j in range(0, len(support), BLOCK):
            right = support[j : j + BLOCK].to(torch.float64) - centre
            distances = torch.cdist(left, right, compute_mode="use_mm_for_euclid_dist")
            total += distances.div_(radius).clamp_(max=1).log_().sum(dim=1)
        missed[i : i + BLOCK] = total
    found = -torch.expm1(missed)
    return normal_mean(found, OVER_ROWS) if interval else Estimate(float(found.mean()))
