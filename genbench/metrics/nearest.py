"""Nearest neighbours of rows, in their own set or another: found in float32, told by float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from genbench.metrics.screening import (
    CPU,
    PAIRS,
    Screened,
    full_float32,
    measured,
    onto,
    products,
    relative_error,
    screen,
)

SPARE = 4  # neighbours kept beyond the k wanted, in case float32 puts them in the wrong order
_TOGETHER = 64  # rows that are completed together: bounds memory where many are


def own_neighbours(
    screened: Screened, k: int, advance: Callable[[], None]
) -> tuple[Tensor, Tensor]:
    """Each row's nearest others of its own set: float32 distances and rows, both [N, k + SPARE] at
    most, in no order, on the CPU. Squared and scaled, as float32 sees them; `radii` and `told` make
    them exact.

    Each pair of blocks is multiplied once and serves the rows of both.
    """
    count = len(screened.features)
    kept = min(k + SPARE, count - 1)
    near, index = _nothing_found(count, kept, screened.placed.device)
    for i in screened.starts:
        left, rows = screened.block(i), screened.rows(i)
        for j in screened.starts[screened.starts.index(i) :]:
            right, columns = left if i == j else screened.block(j), screened.rows(j)
            distances = products(left, screened.norms[rows], right, screened.norms[columns])
            if i == j:
                distances.fill_diagonal_(math.inf)  # nobody is a neighbour of itself
            else:
                _keep_nearest(near[columns], index[columns], distances.T, i)
            _keep_nearest(near[rows], index[rows], distances, j)
            advance()
    return near.cpu(), index.cpu()


def _nothing_found(count: int, kept: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Distances float32 and rows int64, both [count, kept], before any block was looked at."""
    near, index = torch.full((count, kept), math.inf), torch.zeros(count, kept, dtype=torch.int64)
    return onto(near, device), onto(index, device)


def radii(screened: Screened, near: Tensor, index: Tensor, wanted: Sequence[int]) -> Tensor:
    """Exact squared distances float64 [N, len(wanted)] to each row's k-th neighbour, k of `wanted`,
    from what `own_neighbours` found.

    Only neighbours that float32 cannot tell from the k-th are measured; the others keep its order.
    Where one that was not kept may be as near, the row is looked at once more, unless nothing is
    nearer.
    """
    order = near.sort(dim=1)
    distances, others = order.values.to(torch.float64), index.gather(1, order.indices)
    norms = screened.host_norms
    margin = (norms[:, None] + norms[others]).to(torch.float64)  # [N, kept]
    margin = margin * relative_error(screened.features.shape[1]) + screened.floor
    unsure = torch.zeros_like(distances, dtype=torch.bool)
    for column in (k - 1 for k in wanted):
        apart = (distances - distances[:, column, None]).abs()
        unsure |= apart <= margin + margin[:, column, None]
    rows = unsure.nonzero(as_tuple=True)[0]
    distances[unsure] = measured(screened, rows, screened, others[unsure])
    found = distances.sort(dim=1).values[:, [k - 1 for k in wanted]]
    for column, k in enumerate(wanted):
        again = _open_rows(screened, screened, near, k)
        again = again[found[again, column] > 0]
        completed, _ = _completed(screened, screened, again, found[again, column], k)
        found[again, column] = completed[:, -1]
    return found


def told(
    left: Screened, right: Screened, near: Tensor, index: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """The k nearest of each row in order: exact squared distances float64 [N, k], and their rows of
    `right` int64 [N, k], the lower row first among equals. `near` and `index` as found."""
    rows = torch.arange(len(index)).repeat_interleave(index.shape[1])
    exact = measured(left, rows, right, index.flatten()).view(index.shape)
    by_row = index.sort(dim=1)
    order = exact.gather(1, by_row.indices).sort(dim=1, stable=True)
    distances, found = order.values[:, :k], by_row.values.gather(1, order.indices)[:, :k]
    again = _open_rows(left, right, near, k)
    distances[again], found[again] = _completed(left, right, again, distances[again, -1], k)
    return distances, found


def _open_rows(left: Screened, right: Screened, near: Tensor, k: int) -> Tensor:
    """Rows int64 [R] whose farthest of the kept, float32 [N, kept], float32 cannot tell from the
    k-th: another that was not kept may be among the k nearest."""
    if near.shape[1] == len(right.features) - (left is right):
        return torch.empty(0, dtype=torch.int64)  # all were kept
    kept = near.sort(dim=1).values.to(torch.float64)
    margin = (left.host_norms + right.host_norms.max()).to(torch.float64)
    margin = margin * relative_error(left.features.shape[1]) + left.floor
    return (kept[:, -1] - kept[:, k - 1] <= 2 * margin).nonzero()[:, 0]


def _completed(
    left: Screened, right: Screened, rows: Tensor, limits: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """`told` of some rows int64 [R] of `left`, from all of `right`, on the CPU. limits: exact
    squared distances float64 [R] within which k are known."""
    distances = torch.empty(len(rows), k, dtype=torch.float64)
    found = torch.empty(len(rows), k, dtype=torch.int64)
    error = relative_error(left.features.shape[1])
    for start in range(0, len(rows), _TOGETHER):
        part = rows[start : start + _TOGETHER]
        block, norms, others = left.on_host(part), left.host_norms[part], right.host_norms
        runs = [right.rows(j) for j in right.starts]
        with full_float32():
            seen = [products(block, norms, right.on_host(run), others[run]) for run in runs]
        margin = (norms[:, None] + others).to(torch.float64) * error + left.floor
        within = torch.cat(seen, dim=1) - margin <= limits[start : start + _TOGETHER, None]
        if left is right:
            within[torch.arange(len(part)), part] = False  # nobody is a neighbour of itself
        for number, row in enumerate(part, start):
            columns = within[number - start].nonzero()[:, 0]
            distances[number], found[number] = _nearest_among(left, row, right, columns, k)
    return distances, found


def _nearest_among(
    left: Screened, row: Tensor, right: Screened, columns: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Exact squared distances float64 [k] of a row int64 [] to the nearest of `columns`, rows of
    `right` int64 [P] in order, and those, int64 [k], the lower first among equals."""
    exact = torch.empty(0, dtype=torch.float64)
    for start in range(0, len(columns), PAIRS):
        some = columns[start : start + PAIRS]
        exact = torch.cat((exact, measured(left, row.expand(len(some)), right, some)))
        if int((exact == 0).sum()) >= k:  # nothing is nearer; of a collapsed model all are equal
            break
    order = exact.sort(stable=True)
    return order.values[:k], columns[order.indices[:k]]


def neighbour_distances(features: Tensor, k: int) -> Tensor:
    """Distance float64 [N] from each row of float32 [N, D] to its k-th neighbour, k below N."""
    (own,) = screen(features)
    with full_float32():
        near, index = own_neighbours(own, k, lambda: None)
    return radii(own, near, index, (k,))[:, 0].sqrt() / own.scale


def nearest_other(features: Tensor, *, device: torch.device = CPU) -> tuple[Tensor, Tensor]:
    """Exact squared distance float64 [N] from each row of float32 [N, D] to the nearest other row,
    and that row, int64 [N]. Holds O(N) numbers and a block of distances. device: of the products.
    """
    (own,) = screen(features, device=device)
    with full_float32():
        near, index = own_neighbours(own, 1, lambda: None)
    distances, rows = told(own, own, near, index, 1)
    return distances[:, 0] / own.scale**2, rows[:, 0]


def nearest_in(
    features: Tensor, others: Tensor, *, device: torch.device = CPU
) -> tuple[Tensor, Tensor]:
    """Exact squared distance float64 [N] from each row of `features`, float32 [N, D], to the
    nearest of `others`, float32 [M, D], and that row, int64 [N]. Holds O(N) numbers and a block.
    device: of the products."""
    left, right = screen(features, others, device=device)
    kept = min(1 + SPARE, len(others))
    near, index = _nothing_found(len(features), kept, left.placed.device)
    with full_float32():
        for i in left.starts:
            block, rows = left.block(i), left.rows(i)
            for j in right.starts:
                distances = products(
                    block, left.norms[rows], right.block(j), right.norms[right.rows(j)]
                )
                _keep_nearest(near[rows], index[rows], distances, j)
    distances, found = told(left, right, near.cpu(), index.cpu(), 1)
    return distances[:, 0] / left.scale**2, found[:, 0]


def _keep_nearest(near: Tensor, index: Tensor, distances: Tensor, first_column: int) -> None:
    """Fold a block of distances [rows, columns] into the nearest known of its rows, [rows, kept],
    in place."""
    kept = near.shape[1]
    block = distances.contiguous().topk(
        min(kept, distances.shape[1]), dim=1, largest=False, sorted=False
    )
    values = torch.cat((near, block.values), dim=1)  # [rows, 2 kept at most]
    columns = torch.cat((index, block.indices + first_column), dim=1)
    best = values.topk(kept, dim=1, largest=False, sorted=False)
    near.copy_(best.values)
    index.copy_(columns.gather(1, best.indices))
