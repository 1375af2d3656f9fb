"""Pieces of files by index: an offset and a length each, read where they lie."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path

from genbench.errors import GenbenchError


class ByteRanges:
    """Pieces of the files `paths`, in the order they were added: 20 bytes of memory each.

    Every reading opens its file anew, so that threads and forked processes share no position.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._file, self._offset, self._size = array("i"), array("q"), array("q")

    def add(self, file: int, offset: int, size: int) -> None:
        """Add the piece of paths[file] that begins at `offset` and is `size` bytes long."""
        self._file.append(file)
        self._offset.append(offset)
        self._size.append(size)

    def __len__(self) -> int:
        return len(self._file)

    def place(self, index: int) -> tuple[Path, int, int]:
        """The file that a piece lies in, its offset and its length."""
        return self.paths[self._file[index]], self._offset[index], self._size[index]

    def read(self, index: int, limit: int = -1) -> bytes:
        """A piece, or its first `limit` bytes. Raises GenbenchError for a file that changed."""
        path, offset, size = self.place(index)
        return read_range(path, offset, size if limit < 0 else min(limit, size))


def read_range(path: Path, offset: int, size: int) -> bytes:
    """`size` bytes of a file. Raises GenbenchError when they cannot be read or are not there."""
    try:
        with path.open("rb", buffering=0) as file:
            data = read_at(file.fileno(), offset, size)
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    if len(data) != size:
        raise GenbenchError(f"{path} became shorter during the run: run it again")
    return data


def read_at(descriptor: int, offset: int, size: int) -> bytes:
    """Up to `size` bytes at an offset of an open file, fewer only at its end."""
    parts: list[bytes] = []
    while size > 0 and (part := os.pread(descriptor, size, offset)):
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
