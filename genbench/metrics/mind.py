"""Monge Inception Distance: sliced 2-Wasserstein distance between features."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import Estimate, normal_interval
from genbench.metrics.influence import Influence
from genbench.metrics.moments import require_finite

_DIRECTIONS = 100  # projected at once


class Drawn(NamedTuple):
    """What a seed chooses. directions: float32 [K, D] of length 1; samples and reference: int64
    rows of each side, None for all in order."""

    directions: Tensor
    samples: Tensor | None
    reference: Tensor | None


def draw(samples: int, reference: int, width: int, *, directions: int, seed: int) -> Drawn:
    """Directions float32 [K, D] and rows int64, as torch-fidelity draws them.

    Of the larger side as many random rows as the smaller side has, and they are drawn first: so the
    directions depend on both counts, not on the seed alone.
    """
    generator = torch.Generator().manual_seed(seed)
    fewest = min(samples, reference)
    ours, theirs = (
        torch.randperm(count, generator=generator)[:fewest] if count > fewest else None
        for count in (samples, reference)
    )
    normal = torch.randn(directions, width, generator=generator)
    return Drawn(normal / normal.norm(dim=1, keepdim=True).clamp_min(1e-12), ours, theirs)


def monge_distance(
    samples: Tensor, reference: Tensor, *, directions: int, seed: int, interval: bool
) -> Estimate:
    """3 D / (n K) times the sum over K random directions u and ranks j of the squared difference
    between the j-th smallest u.x and the j-th smallest u.y.

    samples: float32 [N, D], reference: float32 [M, D]; n is the smaller count, and random rows of
    the larger side are left out. Berthet et al. 2026, arXiv:2605.06797; draws of torch-fidelity
    0.5-dev (torch_fidelity/metric_mind.py:21), and as there projected in float32; summed in
    float64, 100 directions at a time.

    The interval is the delta method: along u the distance's influence function at x is the
    Kantorovich potential, the integral to x of 2 (t - T_u(t)) with T_u the map from one sorted side
    to the other (del Barrio and Loubes 2019, arXiv:1705.01299). GenbenchError for other widths, no
    rows, or features that are not finite.
    """
    _check(samples, reference, directions)
    drawn = draw(len(samples), len(reference), samples.shape[1], directions=directions, seed=seed)
    ours = samples if drawn.samples is None else samples[drawn.samples]
    theirs = reference if drawn.reference is None else reference[drawn.reference]
    scale = 3 * samples.shape[1] / directions
    total = 0.0
    potentials = torch.zeros(len(ours), dtype=torch.float64)
    for some in drawn.directions.split(_DIRECTIONS):
        single, order = (ours @ some.T).sort(dim=0)  # [n, directions]
        projected = single.double()
        apart = projected - (theirs @ some.T).sort(dim=0).values
        total += scale * float(apart.square().mean(dim=0).sum())
        if interval:
            steps = projected.diff(dim=0) * (apart[1:] + apart[:-1])
            rising = torch.cat((torch.zeros_like(apart[:1]), steps.cumsum(dim=0)))
            potentials += scale * torch.zeros_like(rising).scatter_(0, order, rising).sum(dim=1)
    if not interval or len(ours) < 2:
        return Estimate(total)
    influence = Influence(rows=potentials.numpy())
    return normal_interval(
        total, influence.variance(),
        "over the samples, reference and directions fixed; bias of a finite count not corrected",
        influence,
    )  # fmt: skip


def _check(samples: Tensor, reference: Tensor, directions: int) -> None:
    if samples.shape[1] != reference.shape[1]:
        raise GenbenchError(
            f"samples have {samples.shape[1]} features and the reference {reference.shape[1]}; use "
            "features of the same detector and layer"
        )
    if not len(samples) or not len(reference) or directions < 1:
        raise GenbenchError(
            f"MIND takes {directions} directions of {len(samples)} samples and {len(reference)} "
            "references: pass at least one of each"
        )
    require_finite(samples)
    require_finite(reference, what="features (of the reference)")
