"""Results of long work kept as small files: written whole or not at all, found again by their key.

A shard folder is named by the digest of everything its content depends on, so a stale shard cannot
be met: whatever changes the content changes the folder. Every shard is written to a temporary file
and renamed; two processes may write the same shard at once, and since both hold the same content
the last rename wins harmlessly.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbench.errors import GenbenchError
from genbench.runtime.addresses import address_in
from genbench.runtime.arrays import array_header, read_array
from genbench.runtime.digests import canonical_digest
from genbench.runtime.folders import cache_folder
from genbench.runtime.spans import spans
from genbench.runtime.stores import FolderStore, Store, store_at

_PART = "-part"
_KEY = "key.json"
_DAMAGE = (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, struct.error, zlib.error,
           RuntimeError)  # fmt: skip
SHARD_ROWS = 500  # samples a shard
PART_ROWS = 50  # a shard that is not finished holds a multiple of these; divides SHARD_ROWS


class ShardFolder:
    """The shards of one key under `root`: shard s holds rows [s * SHARD_ROWS, (s+1) * SHARD_ROWS).

    A shard is one file a layer (an .npz with one stored array: the zip's CRC finds corruption).
    The last shard may be shorter; it is written again when more rows are wanted. root: a folder, or
    an address (`genbench.runtime.addresses`), of which copies are kept near, in the cache folder.
    writes: False for a folder of others, in which nothing is made and nothing removed.
    """

    def __init__(self, root: Path, key: Mapping[str, Any], *, writes: bool = True) -> None:
        self.path = root / canonical_digest(key)[:32]
        self.corrupt: list[Path] = []  # files found corrupt, and removed, by this object
        self.store: Store = store_at(self.path)
        self._key, self._writes = key, writes
        self._near = _near(self.path)
        if not writes:
            return
        if self.store.modified(_KEY) is None:
            self.store.write(_KEY, json.dumps(key, indent=1, sort_keys=True).encode())
        self.store.tidy()

    def of_cache(self, cache: Path) -> ShardFolder:
        """The folder of the same key in another cache, to be read alone."""
        return ShardFolder(cache / self.path.parent.name, self._key, writes=False)

    def write(self, shard: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Store [rows, ...] arrays by layer name. A layer that has more rows already keeps them:
        another reader may want them. Raises GenbenchError when the disk is full."""
        longer = {
            layer: array
            for layer, array in arrays.items()
            if self._kept(shard, layer, len(array) + 1) is None
        }
        self._write(shard, longer, "")
        for layer in arrays:
            self.store.remove(_file(shard, layer, _PART))

    def write_part(self, shard: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """`write`, arrays [rows, ...] of a shard that is not finished: a file of its own, beside a
        finished one of another run."""
        self._write(shard, arrays, _PART)

    def _write(self, shard: int, arrays: Mapping[str, NDArray[Any]], suffix: str) -> None:
        for layer, array in arrays.items():
            packed = io.BytesIO()
            np.savez(packed, data=array)
            self.store.write(_file(shard, layer, suffix), packed.getvalue())

    def read(self, shard: int, layer: str, rows: int) -> NDArray[Any] | None:
        """The first `rows` rows of a layer, [rows, ...], or None when absent, too short or corrupt.

        A corrupt file is removed, so the caller computes it again like an absent one.
        """
        if self._near is not None:
            data = self._read(self._near, _file(shard, layer))
            if data is not None and data.shape[0] >= rows:
                return data[:rows]
        return self._kept(shard, layer, rows)

    def _kept(self, shard: int, layer: str, rows: int) -> NDArray[Any] | None:
        """As `read`, of the store alone, whatever copies there are."""
        data = self._read(self.store, _file(shard, layer), near=self._near)
        return data[:rows] if data is not None and data.shape[0] >= rows else None

    def part(self, shard: int, layers: Sequence[str], rows: int) -> dict[str, NDArray[Any]]:
        """What there is of an unfinished shard of `rows` rows: arrays [n, ...] of the first n of
        each layer, n a multiple of PART_ROWS; nothing is an empty dict."""
        whole: dict[str, NDArray[Any]] = {}
        for layer in layers:
            for suffix in (_PART, ""):
                data = self._read(self.store, _file(shard, layer, suffix))
                if data is not None and len(data) > len(whole.get(layer, ())):
                    whole[layer] = data
        have = min((len(whole.get(layer, ())) for layer in layers), default=0)
        have = min(have, rows - 1) // PART_ROWS * PART_ROWS
        return {layer: data[:have] for layer, data in whole.items()} if have else {}

    def _read(
        self, store: Store, name: str, *, near: FolderStore | None = None
    ) -> NDArray[Any] | None:
        content = store.read(name)
        if content is None:
            return None
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                data = _numbers(archive)
        except (*_DAMAGE, OSError):  # of offsets and streams that are none: no disk is read here
            if self._writes:
                store.remove(name)
                self.corrupt.append(self.path / name)
            return None
        if near is not None:
            with suppress(GenbenchError):  # without a copy it is read again
                near.write(name, content)
        return data

    def holds(self, shard: int, layers: Sequence[str], rows: int) -> bool:
        """Whether every layer of the shard can be read with at least `rows` rows."""
        return all(self._kept(shard, layer, rows) is not None for layer in layers)


def _file(shard: int, layer: str, suffix: str = "") -> str:
    return f"{shard:06d}-{layer}{suffix}.npz"


def _near(path: Path) -> FolderStore | None:
    """Where copies of a folder's shards lie that is an address: they are read once a metric."""
    address = address_in(path)
    return (
        FolderStore(cache_folder() / "near" / canonical_digest(address)[:32]) if address else None
    )


def _numbers(archive: zipfile.ZipFile) -> NDArray[Any]:
    """The one array of a shard. Raises ValueError for an archive without one of rows of numbers."""
    header = array_header(archive, "data")
    if header is None or header.dtype.kind not in "fiub" or not header.shape or not header.whole:
        raise ValueError("it holds no rows of numbers, or not all of them")
    return read_array(archive, "data", header)


def shard_spans(count: int) -> list[tuple[int, int]]:
    """[start, stop) of every shard of `count` rows."""
    return spans(0, count, SHARD_ROWS)
