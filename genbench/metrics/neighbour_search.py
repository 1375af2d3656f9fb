"""Who lies in whose ball of nearest neighbours: screened in float32, decided in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genbench.metrics.nearest import own_neighbours, radii, told
from genbench.metrics.parts import DEPTH, PartVerdicts
from genbench.metrics.screening import (
    CPU,
    Screened,
    full_float32,
    measured,
    onto,
    products,
    relative_error,
    screen,
)

STRIP = 1024  # rows of a block looked at together: bounds memory where every pair is a hit

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Verdicts:
    """Who lies in whose ball, as counted over all pairs of a sample and a reference."""

    precise: Tensor  # bool [N], per sample
    recalled: Tensor  # bool [M], per reference
    balls: Tensor  # int64 [N], reference balls (k of density) that hold the sample
    held: Tensor  # int64 [M], samples in the reference's ball (k of density)


@dataclass(frozen=True)
class ClippedVerdicts:
    """Who lies in a ball of the reference (k of density) once no radius exceeds their median."""

    balls: Tensor  # int64 [N], such balls that hold the sample, the rim inside
    own: Tensor  # int64 [M], balls of those k references around another that hold the reference


@dataclass(frozen=True)
class Found:
    """What one pass over all pairs tells. parts: of parts of the samples, where wanted."""

    verdicts: Verdicts
    clipped: ClippedVerdicts
    parts: PartVerdicts | None = None


@dataclass(frozen=True)
class _Balls:
    """Squared radii, scaled: float64, per centre; strict: the rim of the first two is outside."""

    sample: Tensor  # [N]
    reference: Tensor  # [M], of precision
    density: Tensor  # [M]
    clipped: Tensor  # [M]
    strict: bool


def exact_verdicts(
    samples: Tensor,
    reference: Tensor,
    wanted: tuple[int, int],
    progress: Progress | None = None,
    *,
    strict: bool = False,
    parts: bool = False,
    device: torch.device = CPU,
) -> Found:
    """The verdicts of exact distances for k = `wanted`, (precision and recall, density).

    samples: float32 [N, D], reference: float32 [M, D], finite, with more rows than either k. Holds
    O((N + M) k) numbers and a block of distances. progress(done, total) counts blocks. strict:
    whether a rim is outside for precision and recall too. parts: whether those of parts of the
    samples are wanted, for intervals. device: of the products, which decides nothing.
    """
    ours, theirs = screen(samples, reference, device=device)
    rows, columns = len(ours.starts), len(theirs.starts)
    blocks = rows * (rows + 1) // 2 + columns * (columns + 1) // 2 + rows * columns
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, blocks)

    with full_float32():
        near, index = own_neighbours(ours, wanted[0] + (DEPTH if parts else 0), advance)
        of_parts = PartVerdicts(near, index, wanted[0], len(reference)) if parts else None
        sample_radii = radii(ours, near, index, wanted[:1])[:, 0].contiguous()
        near, index = own_neighbours(theirs, max(wanted), advance)
        reference_radii = radii(theirs, near, index, wanted)
        density = reference_radii[:, 1].contiguous()
        balls = _Balls(
            sample=sample_radii,
            reference=reference_radii[:, 0].contiguous(),
            density=density,
            clipped=density.clamp(max=_median_squared(density)),
            strict=strict,
        )
        distances, others = told(theirs, theirs, near, index, wanted[1])
        reached = others[distances <= balls.clipped[:, None]]
        own = torch.bincount(reached, minlength=len(reference))
        found = Found(
            Verdicts(
                torch.zeros(len(samples), dtype=torch.bool),
                torch.zeros(len(reference), dtype=torch.bool),
                torch.zeros(len(samples), dtype=torch.int64),
                torch.zeros(len(reference), dtype=torch.int64),
            ),
            ClippedVerdicts(torch.zeros(len(samples), dtype=torch.int64), own),
            of_parts,
        )
        _compare(found, ours, theirs, balls, advance)
    return found


def _median_squared(squared: Tensor) -> float:
    """Square of the median of distances, from the squared ones float64 [M]: the mean of the middle
    two is one of distances."""
    lower = squared.kthvalue((len(squared) + 1) // 2).values
    upper = squared.kthvalue(len(squared) // 2 + 1).values
    if bool(lower == upper):  # a root squared is another number
        return float(lower)
    return float(((lower.sqrt() + upper.sqrt()) / 2).square())


def _compare(
    found: Found, ours: Screened, theirs: Screened, balls: _Balls, advance: Callable[[], None]
) -> None:
    """Enter every pair that may lie in a ball."""
    error = relative_error(ours.features.shape[1])
    widest = torch.maximum(balls.reference, balls.density)  # none of the clipped is wider
    sample = balls.sample if found.parts is None else found.parts.widest.maximum(balls.sample)
    reach = [onto((squared + ours.floor).to(torch.float32), ours.placed.device)
             for squared in (sample, widest)]  # fmt: skip
    for i in ours.starts:
        left, here = ours.block(i), ours.rows(i)
        for j in theirs.starts:
            there = theirs.rows(j)
            # Shrunken norms make each distance the least that it can be.
            norms = [
                side.norms[part] * (1 - error) for side, part in ((ours, here), (theirs, there))
            ]
            least = products(left, norms[0], theirs.block(j), norms[1])  # a block at most
            for k in range(0, len(left), STRIP):
                strip = least[k : k + STRIP]
                inside = strip <= reach[0][i + k : i + k + len(strip), None]
                inside |= strip <= reach[1][there]
                rows, columns = inside.nonzero(as_tuple=True)  # [P] each
                distances = strip[rows, columns].cpu().to(torch.float64)
                pairs = (rows.cpu() + (i + k), columns.cpu() + j)
                _decide(found, ours, theirs, pairs, distances, balls)
            advance()


def _decide(
    found: Found,
    ours: Screened,
    theirs: Screened,
    pairs: tuple[Tensor, Tensor],
    distances: Tensor,
    balls: _Balls,
) -> None:
    """Enter the pairs (rows of ours, rows of theirs), int64 [P] each, whose least distances
    float64 [P] reach a ball."""
    rows, columns = pairs
    margin = (ours.host_norms[rows] + theirs.host_norms[columns]).to(torch.float64)
    margin = margin * relative_error(ours.features.shape[1]) + ours.floor
    distances += margin  # the likeliest value; the truth is within `margin` of it
    limits = (balls.reference[columns], balls.sample[rows], balls.density[columns],
              balls.clipped[columns])  # fmt: skip
    unsure = torch.zeros(len(rows), dtype=torch.bool)
    for limit in limits:
        unsure |= (distances - limit).abs_() < margin
    distances[unsure] = measured(ours, rows[unsure], theirs, columns[unsure])
    inside = torch.lt if balls.strict else torch.le
    verdicts, clipped = found.verdicts, found.clipped.balls
    verdicts.precise[rows[inside(distances, limits[0])]] = True
    verdicts.recalled[columns[inside(distances, limits[1])]] = True
    within = distances < limits[2]
    verdicts.balls.add_(torch.bincount(rows[within], minlength=len(verdicts.balls)))
    verdicts.held.add_(torch.bincount(columns[within], minlength=len(verdicts.held)))
    reached = rows[distances <= limits[3]]
    clipped.add_(torch.bincount(reached, minlength=len(clipped)))
    if found.parts is not None:
        found.parts.enter(rows, columns, distances, within)
