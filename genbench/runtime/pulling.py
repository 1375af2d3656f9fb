"""Shards computed by whoever is free: several hosts fill one cache, and a killed one's shards are
computed by the others."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Sequence

from genbench.runtime.files import TEMPORARY  # so that leases of the killed are tidied
from genbench.runtime.leases import Leases
from genbench.runtime.progress import Advance
from genbench.runtime.shards import SHARD_ROWS, ShardFolder

_POLL = 2.0  # seconds between looks at shards that others compute, twice as long each time,
_POLL_MOST = 60.0  # and at most so long: many hosts wait, and one server answers them

Fill = Callable[[int, int, int], None]  # rows start … stop-1, and how many processes advance alike


def pull(
    folder: ShardFolder,
    layers: Sequence[str],
    missing: Sequence[tuple[int, int]],
    fill: Fill,
    advance: Advance,
) -> None:
    """Compute shards of `missing` that nobody holds a lease of, until all of them are there.

    Raises what `fill` does; finished shards stay, and what this process held is free again.
    """
    leases = Leases(folder.store)
    waiting = list(missing)
    # Each begins somewhere else, so that they seldom want the same shard.
    own = random.Random(f"{socket.gethostname()} {os.getpid()}")
    if waiting:
        first = own.randrange(len(waiting))
        waiting = waiting[first:] + waiting[:first]
    idle = _POLL
    while waiting:
        left = []
        for start, stop in waiting:
            if not _seen_to(folder, layers, start, stop, fill, advance, leases):
                left.append((start, stop))
        if len(left) == len(waiting):
            time.sleep(idle)
            idle = min(2 * idle, _POLL_MOST)
        else:
            idle = _POLL
        waiting = left


def _seen_to(
    folder: ShardFolder, layers: Sequence[str], start: int, stop: int, fill: Fill,
    advance: Advance, leases: Leases,
) -> bool:  # fmt: skip
    """Whether a shard is there now, computed by this process or by another."""
    shard = start // SHARD_ROWS
    if folder.holds(shard, layers, stop - start):
        advance(stop - start)
        return True
    with leases.held(f".{shard:06d}.lease{TEMPORARY}") as held:
        if not held:
            return False
        if folder.holds(shard, layers, stop - start):  # finished while the lease was waited for
            advance(stop - start)
        else:
            fill(start, stop, 1)
    return True
