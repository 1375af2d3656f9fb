"""Filling shard folders: only what is missing, shared among processes, gathered on rank 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbench.errors import GenbenchError
from genbench.runtime.distributed import World
from genbench.runtime.progress import Advance, Reporter
from genbench.runtime.shards import SHARD_ROWS, ShardFolder, shard_spans

Arrays = Mapping[str, NDArray[Any]]
Producer = Callable[[int, int], Iterator[Arrays]]  # rows start … stop-1, in pieces of any size


def fill_shards(
    folder: ShardFolder,
    layers: Sequence[str],
    count: int,
    produce: Producer,
    *,
    label: str,
    world: World,
    reporter: Reporter,
) -> None:
    """Make sure that rank 0 can read the first `count` rows of every layer.

    Every process of `world` computes its share of the missing shards. Raises GenbenchError when
    `produce` does or when the disk is full; finished shards stay.
    """
    missing = [span for span in shard_spans(count) if not _kept(folder, span, layers)]
    missing = world.broadcast(missing)
    for path in folder.corrupt:
        reporter.note(f"shard {path.name} in the cache was damaged: computing it again")
    with reporter.task(label, count) as advance:
        advance(count - sum(stop - start for start, stop in missing))
        for start, stop in _merged(world.share(missing)):
            _fill_span(folder, layers, start, stop, produce, advance, world.size)
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
    done = start
    for rows in _cut(produce(start, stop), start, stop):
        folder.write(done // SHARD_ROWS, {layer: rows[layer] for layer in layers})
        finished = len(rows[layers[0]])
        done += finished
        advance(finished * weight)  # ranks advance alike, so rank 0 speaks for all of them
    if done != stop:
        raise GenbenchError(f"the source gave {done - start} of {stop - start} rows: check it")


def _cut(pieces: Iterator[Arrays], start: int, stop: int) -> Iterator[dict[str, NDArray[Any]]]:
    """The pieces joined and cut at the borders of shards."""
    held: list[Arrays] = []
    first, have = start, 0
    for piece in pieces:
        held.append(piece)
        have += len(next(iter(piece.values())))
        while have and (wanted := min(SHARD_ROWS - first % SHARD_ROWS, stop - first)) <= have:
            joined = {layer: np.concatenate([part[layer] for part in held]) for layer in piece}
            yield {layer: array[:wanted] for layer, array in joined.items()}
            held = [{layer: array[wanted:] for layer, array in joined.items()}]
            first, have = first + wanted, have - wanted
            if first >= stop:
                return


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
