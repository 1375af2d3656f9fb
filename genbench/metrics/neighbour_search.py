"""Who lies in whose ball of nearest neighbours: screened in float32, decided in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genbench.errors import GenbenchError

BLOCK = 2048  # rows and columns of a block of distances: 16 MiB, the fastest of those tried
STRIP = 1024  # rows of a block looked at together: bounds memory where every pair is a hit
PAIRS = 256  # pairs measured exactly together: the temporaries stay in the cache
SPARE = 4  # neighbours kept beyond the k wanted, in case float32 puts them in the wrong order

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Verdicts:
    """Who lies in whose ball, as counted over all pairs of a sample and a reference."""

    precise: Tensor  # bool [N], per sample
    recalled: Tensor  # bool [M], per reference
    balls: Tensor  # int64 [N], reference balls (k of density) that hold the sample
    covered: Tensor  # bool [M]


@dataclass(frozen=True)
class _Screened:
    """A set of features as float32 products see it: around a common centre, of size about 1."""

    features: Tensor  # float32 [N, D], as given
    centre: Tensor  # float32 [D]
    scale: float  # a power of two, so that scaling rounds nothing
    floor: float  # error that underflow can make in a scaled squared distance
    norms: Tensor  # float32 [N], squared, centred and scaled

    def block(self, start: int) -> Tensor:
        """Centred, scaled rows [n, D]; made each time, as a whole copy would double the memory."""
        return (self.features[start : start + BLOCK] - self.centre).mul_(self.scale)

    @property
    def starts(self) -> range:
        return range(0, len(self.features), BLOCK)


def _screened(samples: Tensor, reference: Tensor) -> list[_Screened]:
    """Both sets around the reference's mean: float32 keeps most of a distance near its data."""
    total = torch.zeros(reference.shape[1], dtype=torch.float64)
    for start in range(0, len(reference), BLOCK):
        total += reference[start : start + BLOCK].sum(0, dtype=torch.float64)
    centre = (total / len(reference)).to(torch.float32)
    largest = 0.0
    for side in (samples, reference):
        for start in range(0, len(side), BLOCK):
            part = side[start : start + BLOCK] - centre
            largest = max(largest, float(part.abs_().max()))
    if not math.isfinite(largest):
        raise GenbenchError("features as large as float32 goes cannot be compared; rescale them")
    scale = 2.0 ** -math.frexp(largest)[1] if largest else 1.0
    floor = 1e-30 if largest else 0.0
    sides = []
    for features in (samples, reference):
        bare = _Screened(features, centre, scale, floor, torch.empty(0))
        norms = torch.cat([bare.block(start).square_().sum(1) for start in bare.starts])  # [N]
        sides.append(replace(bare, norms=norms))
    return sides


def exact_verdicts(
    samples: Tensor, reference: Tensor, wanted: tuple[int, int], progress: Progress | None = None
) -> Verdicts:
    """The verdicts of exact distances for k = `wanted`, (precision and recall, density).

    samples: float32 [N, D], reference: float32 [M, D], finite, with more rows than either k. Holds
    O((N + M) k) numbers and a block of distances. progress(done, total) counts blocks.
    """
    ours, theirs = _screened(samples, reference)
    rows, columns = len(ours.starts), len(theirs.starts)
    blocks = rows * (rows + 1) // 2 + columns * (columns + 1) // 2 + rows * columns
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, blocks)

    with _full_float32():
        sample_radii = _radii(ours, wanted, advance)
        reference_radii = _radii(theirs, wanted, advance)
        return _compare(ours, theirs, sample_radii[:, 0].contiguous(), reference_radii, advance)


@contextmanager
def _full_float32() -> Iterator[None]:
    """Products in true float32, whatever the caller allows (TF32, bfloat16): bounds need it."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _slack(width: int) -> float:
    """Rounding error of a float32 squared distance as a share of |x|^2 + |y|^2, generously.

    The error of a product of D terms grows as sqrt(D); measured, it is 6 times smaller or more.
    """
    return float(torch.finfo(torch.float32).eps) * (2 * math.sqrt(width) + 8)


def _products(left: Tensor, left_norms: Tensor, right: Tensor, right_norms: Tensor) -> Tensor:
    """|x|^2 + |y|^2 - 2 x.y, float32 [rows of left, rows of right]."""
    return torch.addmm(right_norms, left, right.T, alpha=-2).add_(left_norms[:, None])


def _measured(left: _Screened, rows: Tensor, right: _Screened, columns: Tensor) -> Tensor:
    """Exact squared distances float64 [P] of the pairs (left[rows], right[columns]), scaled.

    The difference of two float32 numbers is exact in float64, so equal pairs give equal bits.
    """
    found = torch.empty(len(rows), dtype=torch.float64)
    for start in range(0, len(rows), PAIRS):
        part = slice(start, start + PAIRS)
        difference = left.features[rows[part]].to(torch.float64)
        difference.sub_(right.features[columns[part]]).mul_(left.scale)
        found[part] = difference.square_().sum(1)
    return found


def _radii(screened: _Screened, wanted: Sequence[int], advance: Callable[[], None]) -> Tensor:
    """Squared distances float64 [N, len(wanted)] to each row's k-th neighbour, k of `wanted`.

    Each pair of blocks is multiplied once and serves the rows of both.
    """
    count = len(screened.features)
    kept = min(max(wanted) + SPARE, count - 1)
    near = torch.full((count, kept), math.inf)
    index = torch.zeros(count, kept, dtype=torch.int64)
    for i in screened.starts:
        left = screened.block(i)
        for j in screened.starts[i // BLOCK :]:
            right = left if i == j else screened.block(j)
            distances = _products(
                left, screened.norms[i : i + BLOCK], right, screened.norms[j : j + BLOCK]
            )
            if i == j:
                distances.fill_diagonal_(math.inf)  # nobody is a neighbour of itself
            else:
                _keep_nearest(near[j : j + BLOCK], index[j : j + BLOCK], distances.T, i)
            _keep_nearest(near[i : i + BLOCK], index[i : i + BLOCK], distances, j)
            advance()
    return _sharpened(screened, near, index, wanted)


def _sharpened(screened: _Screened, near: Tensor, index: Tensor, wanted: Sequence[int]) -> Tensor:
    """Radii float64 [N, len(wanted)] from float32 distances `near` of rows `index`, [N, kept].

    Only neighbours that float32 cannot tell from the k-th are measured; the others keep its order.
    """
    order = near.sort(dim=1)
    distances, others = order.values.to(torch.float64), index.gather(1, order.indices)
    margin = (screened.norms[:, None] + screened.norms[others]).to(torch.float64)  # [N, kept]
    margin = margin * _slack(screened.features.shape[1]) + screened.floor
    unsure = torch.zeros_like(distances, dtype=torch.bool)
    for column in (k - 1 for k in wanted):
        apart = (distances - distances[:, column, None]).abs()
        unsure |= apart <= margin + margin[:, column, None]
    rows = unsure.nonzero(as_tuple=True)[0]
    distances[unsure] = _measured(screened, rows, screened, others[unsure])
    return distances.sort(dim=1).values[:, [k - 1 for k in wanted]]


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


def _compare(
    ours: _Screened,
    theirs: _Screened,
    sample_radii: Tensor,
    reference_radii: Tensor,
    advance: Callable[[], None],
) -> Verdicts:
    verdicts = Verdicts(
        torch.zeros(len(ours.features), dtype=torch.bool),
        torch.zeros(len(theirs.features), dtype=torch.bool),
        torch.zeros(len(ours.features), dtype=torch.int64),
        torch.zeros(len(theirs.features), dtype=torch.bool),
    )
    slack = _slack(ours.features.shape[1])
    reach = [
        (radii + ours.floor).to(torch.float32) for radii in (sample_radii, reference_radii.amax(1))
    ]
    for i in ours.starts:
        left = ours.block(i)
        for j in theirs.starts:
            # Shrunken norms make each distance the least that it can be.
            norms = [s.norms[k : k + BLOCK] * (1 - slack) for s, k in ((ours, i), (theirs, j))]
            least = _products(left, norms[0], theirs.block(j), norms[1])  # [BLOCK, BLOCK] at most
            for k in range(0, len(left), STRIP):
                strip = least[k : k + STRIP]
                inside = strip <= reach[0][i + k : i + k + len(strip), None]
                inside |= strip <= reach[1][j : j + BLOCK]
                rows, columns = inside.nonzero(as_tuple=True)  # [P] each
                pairs = (rows + (i + k), columns + j)
                distances = strip[rows, columns].to(torch.float64)
                _decide(verdicts, ours, theirs, pairs, distances, sample_radii, reference_radii)
            advance()
    return verdicts


def _decide(
    verdicts: Verdicts,
    ours: _Screened,
    theirs: _Screened,
    pairs: tuple[Tensor, Tensor],
    distances: Tensor,
    sample_radii: Tensor,
    reference_radii: Tensor,
) -> None:
    """Enter the pairs (rows of ours, rows of theirs), int64 [P] each, whose least distances
    float64 [P] reach a ball. Radii float64: sample_radii [N], reference_radii [M, 2]."""
    rows, columns = pairs
    margin = (ours.norms[rows] + theirs.norms[columns]).to(torch.float64)
    margin = margin * _slack(ours.features.shape[1]) + ours.floor
    distances += margin  # the likeliest value; the truth is within `margin` of it
    limits = (reference_radii[columns, 0], sample_radii[rows], reference_radii[columns, 1])
    unsure = torch.zeros(len(rows), dtype=torch.bool)
    for limit in limits:
        unsure |= (distances - limit).abs_() < margin
    distances[unsure] = _measured(ours, rows[unsure], theirs, columns[unsure])
    verdicts.precise[rows[distances <= limits[0]]] = True
    verdicts.recalled[columns[distances <= limits[1]]] = True
    within = distances < limits[2]
    verdicts.balls.add_(torch.bincount(rows[within], minlength=len(verdicts.balls)))
    verdicts.covered[columns[within]] = True
