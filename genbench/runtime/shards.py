"""Results of long work kept as small files: written whole or not at all, found again by their key.

A shard folder is named by the digest of everything its content depends on, so a stale shard cannot
be met: whatever changes the content changes the folder. Every shard is written to a temporary file
and renamed; two processes may write the same shard at once, and since both hold the same content
the last rename wins harmlessly.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbench.runtime.arrays import array_header, read_array
from genbench.runtime.digests import canonical_digest
from genbench.runtime.files import TEMPORARY, replacing
from genbench.runtime.spans import spans

_PART = "-part"
_REMEDY = "choose a folder with --cache or GENBENCH_CACHE"
_DAMAGE = (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, struct.error, zlib.error,
           RuntimeError)  # fmt: skip
SHARD_ROWS = 500  # samples a shard
PART_ROWS = 50  # a shard that is not finished holds a multiple of these; divides SHARD_ROWS
_STALE_SECONDS = 24 * 3600  # a temporary file this old belongs to a killed run


class ShardFolder:
    """The shards of one key under `root`: shard s holds rows [s * SHARD_ROWS, (s+1) * SHARD_ROWS).

    A shard is one file a layer (an .npz with one stored array: the zip's CRC finds corruption).
    The last shard may be shorter; it is written again when more rows are wanted.
    """

    def __init__(self, root: Path, key: Mapping[str, Any]) -> None:
        self.path = root / canonical_digest(key)[:32]
        self.corrupt: list[Path] = []  # files found corrupt, and removed, by this object
        with_header = self.path / "key.json"
        if not os.path.exists(with_header):
            with replacing(with_header, remedy=_REMEDY) as temporary:
                temporary.write_text(json.dumps(key, indent=1, sort_keys=True))
        self._remove_stale()

    def _remove_stale(self) -> None:
        for leftover in self.path.glob(f"*{TEMPORARY}"):
            try:
                if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
                    leftover.unlink()
            except FileNotFoundError:  # another run tidied it first
                continue

    def _file(self, shard: int, layer: str, suffix: str = "") -> Path:
        return self.path / f"{shard:06d}-{layer}{suffix}.npz"

    def write(self, shard: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Store [rows, ...] arrays by layer name. Raises GenbenchError when the disk is full."""
        self._write(shard, arrays, "")
        for layer in arrays:
            self._file(shard, layer, _PART).unlink(missing_ok=True)

    def write_part(self, shard: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """`write`, arrays [rows, ...] of a shard that is not finished: a file of its own, beside a
        finished one of another run."""
        self._write(shard, arrays, _PART)

    def _write(self, shard: int, arrays: Mapping[str, NDArray[Any]], suffix: str) -> None:
        for layer, array in arrays.items():
            path = self._file(shard, layer, suffix)
            with replacing(path, remedy=_REMEDY) as temporary, temporary.open("wb") as file:
                np.savez(file, data=array)

    def read(self, shard: int, layer: str, rows: int) -> NDArray[Any] | None:
        """The first `rows` rows of a layer, [rows, ...], or None when absent, too short or corrupt.

        A corrupt file is removed, so the caller computes it again like an absent one.
        """
        data = self._read(self._file(shard, layer))
        return data[:rows] if data is not None and data.shape[0] >= rows else None

    def part(self, shard: int, layers: Sequence[str], rows: int) -> dict[str, NDArray[Any]]:
        """What there is of an unfinished shard of `rows` rows: arrays [n, ...] of the first n of
        each layer, n a multiple of PART_ROWS; nothing is an empty dict."""
        whole: dict[str, NDArray[Any]] = {}
        for layer in layers:
            for suffix in (_PART, ""):
                data = self._read(self._file(shard, layer, suffix))
                if data is not None and len(data) > len(whole.get(layer, ())):
                    whole[layer] = data
        have = min((len(whole.get(layer, ())) for layer in layers), default=0)
        have = min(have, rows - 1) // PART_ROWS * PART_ROWS
        return {layer: data[:have] for layer, data in whole.items()} if have else {}

    def _read(self, path: Path) -> NDArray[Any] | None:
        try:
            with path.open("rb") as raw, zipfile.ZipFile(raw) as archive:
                data = _numbers(archive)
        except FileNotFoundError:
            return None
        except (*_DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise  # of the disk; the two are of offsets and streams that are none
            path.unlink(missing_ok=True)
            self.corrupt.append(path)
            return None
        return data if data.ndim else None

    def holds(self, shard: int, layers: Sequence[str], rows: int) -> bool:
        """Whether every layer of the shard can be read with at least `rows` rows."""
        return all(self.read(shard, layer, rows) is not None for layer in layers)


def _numbers(archive: zipfile.ZipFile) -> NDArray[Any]:
    """The one array of a shard. Raises ValueError for an archive without one of rows of numbers."""
    header = array_header(archive, "data")
    if header is None or header.dtype.kind not in "fiub" or not header.shape or not header.whole:
        raise ValueError("it holds no rows of numbers, or not all of them")
    return read_array(archive, "data", header)


def shard_spans(count: int) -> list[tuple[int, int]]:
    """[start, stop) of every shard of `count` rows."""
    return spans(0, count, SHARD_ROWS)
