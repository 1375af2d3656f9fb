"""Filling shard folders: only what is missing, shared among processes, gathered on rank 0."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbench.errors import GenbenchError
from genbench.runtime.distributed import World
from genbench.runtime.progress import Advance, Reporter
from genbench.runtime.pulling import pull
from genbench.runtime.shards import PART_ROWS, SHARD_ROWS, ShardFolder, shard_spans
from genbench.runtime.sharing import ALONE, Sharing
from genbench.runtime.taking_over import missing_shards, taken_over

Arrays = Mapping[str, NDArray[Any]]
Producer = Callable[[int, int], Iterator[Arrays]]  # rows start … stop-1, in pieces of any size
_PART_SECONDS = 10.0  # what a killed run loses at most, beside a piece


def fill_shards(
    folder: ShardFolder,
    layers: Sequence[str],
    count: int,
    produce: Producer,
    *,
    label: str,
    world: World,
    reporter: Reporter,
    sharing: Sharing = ALONE,
) -> None:
    """Make sure that rank 0 can read the first `count` rows of every layer, or this process's share
    of them.

    Every process of `world` computes its share of the missing shards; a world that pulls, whatever
    no process of any host is computing. Raises GenbenchError when `produce` does or when the disk
    is full, and MissingShards where nothing is to be computed; finished shards stay.
    """
    wanted = sharing.share(shard_spans(count))
    missing: list[tuple[int, int]] = []
    if world.leads:  # the others would read every shard to no end
        missing = [span for span in wanted if not _kept(folder, span, layers)]
    if missing:
        missing = taken_over(folder, missing, layers, sharing.others)
    missing = world.broadcast(missing)
    for path in folder.corrupt:
        reporter.note(f"shard {path.name} in the cache was damaged: computing it again")
    if missing and not sharing.draws:
        raise missing_shards(folder, missing, len(wanted), label)
    rows = sum(stop - start for start, stop in wanted)

    def fill(start: int, stop: int, weight: int) -> None:
        _fill_span(folder, layers, start, stop, produce, advance, weight)

    with reporter.task(label, rows) as advance:
        advance(rows - sum(stop - start for start, stop in missing))
        if sharing.pulls:
            pull(folder, layers, missing, fill, advance)
        else:
            for start, stop in _merged(world.share(missing)):
                fill(start, stop, world.size)
        world.barrier()
    _bring_to_leader(folder, missing, layers, world)


def _kept(folder: ShardFolder, span: tuple[int, int], layers: Sequence[str]) -> bool:
    start, stop = span
    return folder.holds(start // SHARD_ROWS, layers, stop - start)


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbouring spans joined, so that reading ahead does not stop at every shard."""
    merged: list[tuple[int, int]] = []
    for start, stop in spans:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return merged


def _fill_span(
    folder: ShardFolder,
    layers: Sequence[str],
    start: int,
    stop: int,
    produce: Producer,
    advance: Advance,
    weight: int,
) -> None:
    """Rows start … stop-1, from the beginning of a shard; what a killed run left of that shard is
    taken over. Ranks advance alike (weight), so rank 0 speaks for all of them."""
    shard = _Growing(folder, layers, start, stop)
    advance(shard.done - start)
    try:
        for piece in produce(shard.done, stop):
            shard.add(piece)
            advance(len(piece[layers[0]]) * weight)
    except KeyboardInterrupt:
        shard.keep_part()
        raise
    if shard.done != stop:
        raise GenbenchError(
            f"the source gave {shard.done - start} of {stop - start} rows: check it"
        )


class _Growing:
    """Rows start … stop-1 on their way into shards. Of a slow source the unfinished shard is kept
    every _PART_SECONDS as far as it is there, so that a killed run loses no more."""

    def __init__(self, folder: ShardFolder, layers: Sequence[str], start: int, stop: int) -> None:
        self._folder, self._layers, self._stop = folder, layers, stop
        self._first = start  # of the shard that is being filled
        part = folder.part(start // SHARD_ROWS, layers, min(SHARD_ROWS, stop - start))
        self._held: list[Arrays] = [part] if part else []
        self.done = start + (len(next(iter(part.values()))) if part else 0)
        self._written = time.monotonic()

    def add(self, piece: Arrays) -> None:
        """Take the next rows, [n, ...] by layer, of any n."""
        self._held.append({layer: piece[layer] for layer in self._layers})
        self.done += len(piece[self._layers[0]])
        while self.done >= self._end and self._first < self._stop:
            self._write(self._end - self._first)
        if time.monotonic() - self._written > _PART_SECONDS:
            self.keep_part()

    @property
    def _end(self) -> int:
        return min(self._first - self._first % SHARD_ROWS + SHARD_ROWS, self._stop)

    def _joined(self) -> dict[str, NDArray[Any]]:
        return {
            layer: np.concatenate([part[layer] for part in self._held]) for layer in self._layers
        }

    def _write(self, rows: int) -> None:
        joined = self._joined()
        self._folder.write(
            self._first // SHARD_ROWS, {layer: array[:rows] for layer, array in joined.items()}
        )
        self._first += rows
        self._held = [{layer: array[rows:] for layer, array in joined.items()}]
        self._written = time.monotonic()

    def keep_part(self) -> None:
        """Write what there is of the unfinished shard."""
        rows = (self.done - self._first) // PART_ROWS * PART_ROWS
        if rows > 0:
            joined = {layer: array[:rows] for layer, array in self._joined().items()}
            self._folder.write_part(self._first // SHARD_ROWS, joined)
        self._written = time.monotonic()


def _bring_to_leader(
    folder: ShardFolder, spans: Sequence[tuple[int, int]], layers: Sequence[str], world: World
) -> None:
    """Send rank 0 the shards it cannot see: processes of other hosts have caches of their own."""
    lost = [span for span in spans if world.leads and not _kept(folder, span, layers)]
    for start, stop in world.broadcast(lost):
        shard = start // SHARD_ROWS
        found = {layer: folder.read(shard, layer, stop - start) for layer in layers}
        whole = {layer: data for layer, data in found.items() if data is not None}
        copies = world.gather(whole if len(whole) == len(layers) else {})
        complete = [copy for copy in copies if copy]
        if complete:
            folder.write(shard, complete[0])
    world.barrier()
