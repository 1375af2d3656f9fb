"""The batch size that a device is fastest at: doubled until memory, gain or time runs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from genbench.errors import GenbenchError
from genbench.speed.memory import OutOfMemoryAt

_NEAR = 0.99  # of the best rate: the smallest batch that reaches it is chosen
_FLAT = 2  # doublings in a row without a gain end the sweep


@dataclass(frozen=True, kw_only=True)
class Point:
    """One batch size tried. memory: bytes at the peak, 0 where nobody knows."""

    batch: int
    rate: float  # images a second
    memory: int = 0


@dataclass(frozen=True, kw_only=True)
class BatchSweep:
    """Every point tried, the batch size chosen, and why the sweep ended."""

    points: tuple[Point, ...]
    batch: int
    ended: str


def sweep(
    measure: Callable[[int], Point],
    *,
    largest: int = 4096,
    longest: float = float("inf"),
    room: Callable[[], float] = lambda: float("inf"),
    time_left: Callable[[], float] = lambda: float("inf"),
) -> BatchSweep:
    """Double the batch size from 1. measure: raises OutOfMemoryAt where a size does not fit.

    longest: seconds that one call may take. room: bytes that a peak may reach: a size that would
    not fit is not tried. time_left: seconds for all that is to come; the next size is
    tried when twice the last one's time fits. Raises GenbenchError when not even one image fits.
    """
    points: list[Point] = []
    batch, ended = 1, "largest size"
    while batch <= largest:
        before = time_left()
        try:
            points.append(measure(batch))
        except OutOfMemoryAt as error:
            if not points:
                raise GenbenchError(
                    "there is not enough memory for one image: use a smaller --res, a half "
                    "precision --dtype, or another device"
                ) from error
            ended = f"out of memory at {batch}"
            break
        if _is_flat(points):
            ended = f"no gain beyond {_best(points)}"
            break
        if _next_peak(points) > room():
            ended = f"memory would be short at {2 * batch}"
            break
        if 2 * batch / points[-1].rate > longest:
            ended = f"a call of {2 * batch} would take too long"
            break
        if 2 * (before - time_left()) > time_left():
            ended = f"no time was left for {2 * batch}"
            break
        batch *= 2
    return BatchSweep(points=tuple(points), batch=_best(points), ended=ended)


def _next_peak(points: list[Point]) -> float:
    """Bytes that twice the last batch will take: by what each image more took in the last step,
    since weights take the same at every size; after one size, twice as much at most."""
    last = points[-1]
    if len(points) == 1:
        return 2 * last.memory
    before = points[-2]
    each = (last.memory - before.memory) / (last.batch - before.batch)
    return last.memory + last.batch * max(each, 0.0)


def _best(points: list[Point]) -> int:
    """The smallest batch within 1% of the best rate."""
    most = max(point.rate for point in points)
    return min(point.batch for point in points if point.rate >= _NEAR * most)


def _is_flat(points: list[Point]) -> bool:
    """Whether the last doublings brought less than 1% over what was reached before them."""
    if len(points) <= _FLAT:
        return False
    reached = max(point.rate for point in points[:-_FLAT])
    return all(point.rate * _NEAR <= reached for point in points[-_FLAT:])
