"""Precision, recall, density and coverage from nearest neighbours, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.adm_float16 import half_radii, half_verdicts
from genbench.metrics.estimate import NORMAL_95, Estimate
from genbench.metrics.moments import require_finite
from genbench.metrics.neighbour_search import Verdicts, exact_verdicts

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class NeighbourFigures:
    """The four figures of one pair of feature sets."""

    precision: Estimate  # fraction of samples inside a reference's ball
    recall: Estimate  # fraction of references inside a sample's ball
    density: Estimate  # reference balls around a sample, over k; may exceed 1
    coverage: Estimate  # fraction of references with a sample in their ball


def neighbour_figures(
    samples: Tensor,
    reference: Tensor,
    *,
    pr_neighbours: int = 3,
    dc_neighbours: int = 5,
    half: bool = False,
    interval: bool = False,
    progress: Progress | None = None,
) -> NeighbourFigures:
    """Improved precision and recall, density and coverage from one pass over all pairs.

    samples: float32 [N, D], reference: float32 [M, D]. A ball's squared radius is the squared L2
    distance to its centre's k-th neighbour in its own set, the centre itself not counted.
    Precision and recall (Kynkäänniemi et al. 2019, eq. 1-2; constants and `<=` of the ADM
    evaluator) count the rim as inside; density and coverage (Naeem et al. 2020, eq. 3-4 and the
    prdc package) do not. float32 products only screen the pairs: whatever they cannot tell is
    measured in float64 from the features as given, so counts are those of exact distances, ties
    included, on any machine and any number of threads. (A radius alone may be off by float32's
    rounding, where more than 4 others than the k-th are as near to within it.) half: the values of
    all four are by the float16 distances of the ADM evaluator, and the exact ones stand beside
    (`Estimate.exact`). progress(done, total) is called after each block of exact pairs.
    GenbenchError when a k is not below N and M, when widths
    differ, and for NaN or infinity.
    """
    _check(samples, reference, pr_neighbours, dc_neighbours)
    samples, reference = samples.to(torch.float32), reference.to(torch.float32)
    wanted = (pr_neighbours, dc_neighbours)
    exact = _figures(
        exact_verdicts(samples, reference, wanted, progress), dc_neighbours, interval=interval
    )
    if not half:
        return exact
    radii = [half_radii(side, wanted) for side in (samples, reference)]
    rounded = Verdicts(*half_verdicts(samples, reference, radii[0], radii[1]))
    return _beside(_figures(rounded, dc_neighbours, interval=interval), exact)


def _beside(rounded: NeighbourFigures, exact: NeighbourFigures) -> NeighbourFigures:
    return NeighbourFigures(
        **{
            item.name: replace(getattr(rounded, item.name), exact=getattr(exact, item.name).value)
            for item in fields(NeighbourFigures)
        }
    )


def _check(samples: Tensor, reference: Tensor, pr_neighbours: int, dc_neighbours: int) -> None:
    if samples.ndim != 2 or reference.ndim != 2 or samples.shape[1] != reference.shape[1]:
        raise GenbenchError(
            f"features of shape {tuple(samples.shape)} and {tuple(reference.shape)} cannot be "
            "compared; use one detector and one layer for both"
        )
    fewest = min(len(samples), len(reference))
    for neighbours in (pr_neighbours, dc_neighbours):
        if not 1 <= neighbours < fewest:
            raise GenbenchError(
                f"{neighbours} neighbours need at least {neighbours + 1} samples and references "
                f"and there are {len(samples)} and {len(reference)}; add images or lower k"
            )
    require_finite(samples)
    require_finite(reference, what="features (of the reference)")


def _figures(verdicts: Verdicts, dc_neighbours: int, *, interval: bool) -> NeighbourFigures:
    density = verdicts.balls.to(torch.float64) / dc_neighbours
    value = float(density.mean())
    spread = NORMAL_95 * float(density.std()) / math.sqrt(len(density))
    over_samples = "over the samples, reference and its balls fixed"
    over_reference = "over the reference, samples and all balls fixed"
    return NeighbourFigures(
        _fraction(verdicts.precise, over_samples if interval else ""),
        _fraction(verdicts.recalled, over_reference if interval else ""),
        Estimate(value, max(value - spread, 0.0), value + spread, f"95% normal {over_samples}")
        if interval
        else Estimate(value),
        _fraction(verdicts.covered, over_reference if interval else ""),
    )


def _fraction(hits: Tensor, held: str) -> Estimate:
    """Share of True in bool [N] with Wilson's 95% score interval (Wilson 1927) where `held` is
    said."""
    count = len(hits)
    share = int(hits.sum()) / count
    if not held:
        return Estimate(share)
    z = NORMAL_95
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half_width = math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    half_width *= z / (1 + z * z / count)
    # At the ends the formula's own end is 0 or 1 but for rounding.
    low = max(middle - half_width, 0.0) if share > 0 else 0.0
    high = min(middle + half_width, 1.0) if share < 1 else 1.0
    return Estimate(share, low, high, f"95% Wilson {held}")
