"""Precision, recall, density, coverage and the clipped two from nearest neighbours, in bounded
memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.adm_float16 import half_radii, half_verdicts
from genbench.metrics.clipped import clipped_coverage, clipped_density
from genbench.metrics.estimate import Estimate, fraction, normal_mean
from genbench.metrics.moments import require_finite
from genbench.metrics.neighbour_search import Found, Verdicts, exact_verdicts
from genbench.metrics.parts import FEWEST, PartVerdicts, with_interval
from genbench.metrics.screening import CPU

OVER_SAMPLES = "over the samples, reference and its balls fixed"
DRAW_SEED = 0  # of the rows looked at where a protocol takes a part

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class NeighbourFigures:
    """The figures of one pair of feature sets."""

    precision: Estimate  # fraction of samples inside a reference's ball
    recall: Estimate  # fraction of references inside a sample's ball
    density: Estimate  # reference balls around a sample, over k; may exceed 1
    coverage: Estimate  # fraction of references with a sample in their ball
    clipped_density: Estimate  # as density where no sample and no ball counts for much, at most 1
    clipped_coverage: Estimate  # share of good samples that would cover as much, at most 1


def neighbour_figures(
    samples: Tensor,
    reference: Tensor,
    *,
    pr_neighbours: int = 3,
    dc_neighbours: int = 5,
    half: bool = False,
    strict: bool = False,
    drawn: int = 0,
    interval: bool = False,
    device: torch.device = CPU,
    progress: Progress | None = None,
) -> NeighbourFigures:
    """Improved precision and recall, density and coverage, and the clipped two of them
    (genbench.metrics.clipped) from one pass over all pairs.

    samples: float32 [N, D], reference: float32 [M, D]. A ball's squared radius is the squared L2
    distance to its centre's k-th neighbour in its own set, the centre itself not counted.
    Precision and recall (Kynkäänniemi et al. 2019, eq. 1-2; constants and `<=` of the ADM
    evaluator) count the rim as inside, unless `strict`, as the prdc package and dgm-eval do.
    Density and coverage (Naeem et al. 2020, eq. 3-4 and the prdc package) never do. float32
    products only screen the pairs: whatever they cannot tell is measured in float64 from the
    features as given, so counts are those of exact distances, ties included, on any machine and any
    number of threads. half: the values of the first four are by the float16
    distances of the ADM evaluator, and the exact ones stand beside (`Estimate.exact`). drawn: as
    many rows of each set are looked at, or those of the smaller set, by `drawn_rows`; 0: all.
    device: of the products, which decides no count.
    progress(done, total) is called after each block of exact pairs. GenbenchError when a k is not
    below N and M, when widths differ, and for NaN or infinity.
    """
    if drawn:
        drawn = min(drawn, len(samples), len(reference))
        samples, reference = drawn_rows(samples, drawn, 0), drawn_rows(reference, drawn, 1)
    _check(samples, reference, pr_neighbours, dc_neighbours)
    samples, reference = samples.to(torch.float32), reference.to(torch.float32)
    wanted = (pr_neighbours, dc_neighbours)
    spread = interval and len(samples) >= max(FEWEST, 2 * pr_neighbours)
    found = exact_verdicts(
        samples, reference, wanted, progress, strict=strict, parts=spread, device=device
    )
    k, clipped, parts = dc_neighbours, found.clipped, found.parts
    exact = NeighbourFigures(
        **_figures(found.verdicts, parts, k, interval=interval),
        clipped_density=clipped_density(clipped.balls, clipped.own, k, interval=interval),
        clipped_coverage=_clipped_coverage(found, k, interval=interval),
    )
    if not half:
        return exact
    radii = [half_radii(side, wanted) for side in (samples, reference)]
    verdicts = Verdicts(*half_verdicts(samples, reference, radii[0], radii[1], strict=strict))
    rounded = _figures(verdicts, parts, k, interval=interval)
    beside = {
        name: replace(found, exact=getattr(exact, name).value) for name, found in rounded.items()
    }
    return replace(exact, **beside)


def drawn_rows(features: Tensor, count: int, side: int) -> Tensor:
    """`count` rows of features [N, D] drawn without replacement, in their order; all where there
    are no more. side: 0 of samples, 1 of references, which are drawn independently; by it and N
    alone the draw is decided."""
    if len(features) <= count:
        return features
    chosen = np.random.default_rng((DRAW_SEED, side)).permutation(len(features))[:count]
    return features[torch.from_numpy(np.sort(chosen))]


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


def _figures(
    verdicts: Verdicts, parts: PartVerdicts | None, k: int, *, interval: bool
) -> dict[str, Estimate]:
    """Precision, recall, density and coverage by name."""
    around = verdicts.balls.to(torch.float64) / k
    density = normal_mean(around, OVER_SAMPLES) if interval else Estimate(float(around.mean()))
    if density.low is not None:
        density = replace(density, low=max(density.low, 0.0))
    reached = {"recall": verdicts.recalled, "coverage": verdicts.held > 0}
    figures = {name: Estimate(float(hits.double().mean())) for name, hits in reached.items()}
    if interval:
        of_parts = {} if parts is None else {
            "recall": parts.recalled.double().mean(dim=1),
            "coverage": (parts.held > 0).double().mean(dim=1),
        }  # fmt: skip
        figures = {
            name: _spread(figure.value, of_parts.get(name), len(verdicts.recalled))
            for name, figure in figures.items()
        }
    precision = fraction(verdicts.precise, OVER_SAMPLES if interval else "")
    return {"precision": precision, "density": density, **figures}


def _clipped_coverage(found: Found, k: int, *, interval: bool) -> Estimate:
    held, references = found.verdicts.held, len(found.verdicts.held)
    value = clipped_coverage(held, k, len(found.verdicts.balls))
    if not interval:
        return Estimate(value)
    if found.parts is None:
        return _spread(value, None, references)
    of_parts = [
        clipped_coverage(part, k, int(kept.sum()))
        for part, kept in zip(found.parts.held, found.parts.kept, strict=True)
    ]
    return _spread(value, torch.tensor(of_parts, dtype=torch.float64), references)


def _spread(value: float, of_parts: Tensor | None, references: int) -> Estimate:
    if of_parts is None:
        return Estimate(value, interval=f"none: fewer than {FEWEST} samples, or than 2 k")
    return with_interval(value, of_parts, references)
