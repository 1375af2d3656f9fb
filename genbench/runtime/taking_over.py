"""Shards that other caches hold: copied where they are missing, and named where nobody has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genbench.runtime.addresses import shown
from genbench.runtime.shards import SHARD_ROWS, ShardFolder
from genbench.runtime.sharing import MissingShards, as_ranges

Spans = list[tuple[int, int]]


def taken_over(
    folder: ShardFolder, missing: Spans, layers: Sequence[str], caches: Sequence[Path]
) -> Spans:
    """Copy missing shards from the folders of the same key in other caches, each read and checked
    as a whole; what is still missing. Raises GenbenchError when the disk is full."""
    for other in (folder.of_cache(cache) for cache in caches):
        missing = [span for span in missing if not _copied(folder, other, span, layers)]
    return missing


def _copied(
    folder: ShardFolder, other: ShardFolder, span: tuple[int, int], layers: Sequence[str]
) -> bool:
    start, stop = span
    found = {layer: other.read(start // SHARD_ROWS, layer, stop - start) for layer in layers}
    whole = {layer: data for layer, data in found.items() if data is not None}
    if len(whole) < len(layers):
        return False
    folder.write(start // SHARD_ROWS, whole)
    return True


def missing_shards(folder: ShardFolder, missing: Spans, count: int, label: str) -> MissingShards:
    """What to say where shards of `count` are in no cache, counted from 0."""
    numbers = as_ranges([start // SHARD_ROWS for start, _ in missing])
    damaged = f" ({len(folder.corrupt)} files were damaged)" if folder.corrupt else ""
    where = shown(folder.path.parent)
    if len(missing) == count:
        return MissingShards(
            f"{label}: none of its {count} shards is in {where}{damaged}: give the options, "
            "cache and kind of device that the shards were computed with"
        )
    return MissingShards(
        f"{label}: {len(missing)} of {count} shards are missing in {where}{damaged}: {numbers}"
    )
