"""The float16 distances of the ADM evaluator, emulated, for figures equal to published ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

HALF_BLOCK = 10_000  # row_batch_size and col_batch_size of the ADM evaluator
STRIP = 500  # rows of a block computed together


def half_radii(features: Tensor, wanted: Sequence[int]) -> Tensor:
    """Squared radii float32 [N, len(wanted)]: the value of rank k among all, rank 0 the smallest.

    features: float32 [N, D]. The centre itself is left out by rank alone, as manifold_radii does.
    """
    kept = max(wanted) + 1
    radii = torch.empty(len(features), len(wanted))
    for i in range(0, len(features), HALF_BLOCK):
        left = features[i : i + HALF_BLOCK]
        near = torch.empty(len(left), 0)  # [rows, ranks kept of each block]
        for right in torch.split(features, HALF_BLOCK):
            block = torch.cat(
                [
                    strip.topk(min(kept, len(right)), dim=1, largest=False, sorted=False).values
                    for _, strip in half_distances(left, right)
                ]
            )
            near = torch.cat((near, block), dim=1)
        radii[i : i + len(left)] = near.sort(dim=1).values[:, list(wanted)]
    return radii


def half_verdicts(
    samples: Tensor,
    reference: Tensor,
    sample_radii: Tensor,
    reference_radii: Tensor,
    *,
    strict: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Who lies in whose ball: precise [N], recalled [M], balls around a sample [N], samples held by
    a reference's ball [M].

    The last two are counted in int64, the others are bool, as in `Verdicts`. strict: whether a rim
    is outside for precision and recall too. Features float32 [N, D]
    and [M, D]; radii as `half_radii` gives them, column 0 for precision and recall, column 1 for
    density and coverage.
    """
    precise = torch.zeros(len(samples), dtype=torch.bool)
    balls = torch.zeros(len(samples), dtype=torch.int64)
    recalled = torch.zeros(len(reference), dtype=torch.bool)
    held = torch.zeros(len(reference), dtype=torch.int64)
    inside = torch.lt if strict else torch.le
    # As evaluate_pr: references in rows, samples in columns; float16 rounds the two unequally.
    for i in range(0, len(reference), HALF_BLOCK):
        for j in range(0, len(samples), HALF_BLOCK):
            columns = slice(j, j + HALF_BLOCK)
            for start, strip in half_distances(reference[i : i + HALF_BLOCK], samples[columns]):
                rows = slice(i + start, i + start + len(strip))
                precise[columns] |= inside(strip, reference_radii[rows, :1]).any(dim=0)
                recalled[rows] |= inside(strip, sample_radii[columns, 0]).any(dim=1)
                within = strip < reference_radii[rows, 1:]
                balls[columns] += within.sum(dim=0)
                held[rows] += within.sum(dim=1)
    return precise, recalled, balls, held


def half_distances(left: Tensor, right: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(first row, squared distances float32 [rows, len(right)]) of a block, strip by strip.

    The arithmetic of DistanceBlock: features, squares, norms, products and sums rounded to
    float16 (a sum of many terms once, at its end); when any number of the whole block is not
    finite, the whole block in float32 instead. Sums of float16 products are exact in float64, so
    the order in which a machine adds them changes no bit.
    """
    rounded = [side.to(torch.float16).to(torch.float64) for side in (left, right)]
    norms = [_rounded(_rounded(side.square()).double().sum(1)) for side in rounded]  # [rows] each
    strips = []
    for start in range(0, len(left), STRIP):
        product = 2 * _rounded(rounded[0][start : start + STRIP] @ rounded[1].T)
        distances = _rounded(norms[0][start : start + STRIP, None] - _rounded(product))
        distances = (distances + norms[1]).to(torch.float16)
        if not bool(distances.isfinite().all()):
            break
        strips.append(distances.clamp_(min=0))
    if len(strips) * STRIP >= len(left):
        for number, strip in enumerate(strips):
            yield number * STRIP, strip.to(torch.float32)
        return
    norms = [side.square().sum(1) for side in (left, right)]
    for start in range(0, len(left), STRIP):
        rows = slice(start, start + STRIP)
        product = 2 * (left[rows] @ right.T)
        yield start, (norms[0][rows, None] - product + norms[1]).clamp_(min=0)


def _rounded(values: Tensor) -> Tensor:
    """float32 of float16 precision; from float64 by way of float32."""
    return values.to(torch.float32).to(torch.float16).to(torch.float32)
