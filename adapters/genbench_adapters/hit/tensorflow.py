"""TensorFlow checkpoints (tensor bundles) read without TensorFlow: names, shapes, numbers.

A bundle is an index, PREFIX.index, and data files, PREFIX.data-0000i-of-0000n. The index is a
LevelDB table (github.com/google/leveldb, doc/table_format.md) whose values are BundleEntryProto
messages (tensorflow/core/protobuf/tensor_bundle.proto).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genbench.errors import GenbenchError

_MAGIC = 0xDB4775248B80FB57  # ends every LevelDB table
_FOOTER = 48
_KEY = 1024  # bytes of a name: many times what Keras makes
_TYPES: dict[int, np.dtype[np.generic]] = {  # DataType of tensorflow/core/framework/types.proto
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    9: np.dtype("<i8"),
    19: np.dtype("<f2"),
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies. dtype None: a type that is not read, such as strings."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic] | None
    shard: int
    offset: int
    size: int  # bytes


@dataclass(frozen=True)
class Bundle:
    """An opened checkpoint: its entries by name."""

    prefix: Path
    shards: int
    entries: dict[str, Entry]

    def read(self, name: str) -> NDArray[np.generic]:
        """A tensor's numbers [*entry.shape] in its entry's dtype, which must be one that is read.

        Raises GenbenchError when its data file is missing or too short.
        """
        entry = self.entries[name]
        assert entry.dtype is not None
        path = Path(f"{self.prefix}.data-{entry.shard:05d}-of-{self.shards:05d}")
        wanted = entry.dtype.itemsize * math.prod(entry.shape)
        try:
            with path.open("rb") as file:
                there = max(0, min(entry.size, file.seek(0, 2) - entry.offset))
                if there != entry.size or entry.size != wanted:
                    raise GenbenchError(
                        f"{path} is cut short at {name}: {there} bytes of {wanted}; copy it again"
                    )
                file.seek(entry.offset)
                data = file.read(entry.size)
        except OSError as error:
            raise GenbenchError(f"cannot read {path}: {error.strerror}; put it there") from error
        return np.frombuffer(data, entry.dtype).reshape(entry.shape)


def checkpoint_prefix(path: Path) -> Path:
    """The prefix a user means: PREFIX, PREFIX.index, or a folder with one checkpoint or more (the
    one of its `checkpoint` file, else the latest by number).

    Raises GenbenchError when there is none.
    """
    if path.is_dir():
        named = _latest_named(path)
        found = sorted(path.glob("*.index"), key=lambda index: (len(index.name), index.name))
        if named is not None:
            return named
        if not found:
            raise GenbenchError(f"{path} holds no TensorFlow checkpoint (*.index): check the path")
        return found[-1].with_suffix("")
    if path.suffix == ".index":
        path = path.with_suffix("")
    if not Path(f"{path}.index").is_file():
        raise GenbenchError(f"{path}.index does not exist: name the checkpoint as PREFIX-1234")
    return path


def _latest_named(folder: Path) -> Path | None:
    state = folder / "checkpoint"
    if not state.is_file():
        return None
    for line in state.read_text(errors="replace").splitlines():
        key, _, value = line.partition(":")
        name = Path(value.strip().strip('"')).name
        if key.strip() == "model_checkpoint_path" and (folder / f"{name}.index").is_file():
            return folder / name
    return None


def open_bundle(prefix: Path) -> Bundle:
    """Read the index of a checkpoint. Raises GenbenchError when it is missing or damaged."""
    path = Path(f"{prefix}.index")
    try:
        table = path.read_bytes()
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    try:
        records = dict(_table(table))
        shards = _number(dict(_fields(records.pop(b""))).get(1, 1))
        entries = {key.decode(): _entry(value) for key, value in records.items()}
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise GenbenchError(
            f"{path} is not the index of a TensorFlow checkpoint, or damaged "
            f"({type(error).__name__}: {error}): copy it again"
        ) from error
    return Bundle(prefix, shards, entries)


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a LevelDB table."""
    if len(data) < _FOOTER or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise ValueError("it does not end as a table does")
    footer = data[-_FOOTER:]
    _, place = _varint(footer, 0)  # offset and size of the meta index, which is empty
    _, place = _varint(footer, place)
    offset, place = _varint(footer, place)
    size, place = _varint(footer, place)
    total = 0
    for _, handle in _block(data, offset, size):
        start, after = _varint(handle, 0)
        length, _ = _varint(handle, after)
        total += length
        if total > len(data):  # a table of which every line is the whole table takes for ever
            raise ValueError("its blocks overlap")
        yield from _block(data, start, length)


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; keys share prefixes with the key before."""
    block = data[offset : offset + size]
    if len(block) != size or data[offset + size] != 0:
        raise ValueError("a block is compressed or cut short")
    (restarts,) = struct.unpack("<I", block[-4:])
    end = size - 4 * (restarts + 1)
    place, key = 0, b""
    while place < end:
        shared, place = _varint(block, place)
        fresh, place = _varint(block, place)
        length, place = _varint(block, place)
        key = key[:shared] + block[place : place + fresh]
        if len(key) > _KEY:
            raise ValueError("a name is too long")
        place += fresh
        yield key, block[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A variable-length integer and the place after it."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a protocol buffer message."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        value: int | bytes
        if kind == _VARINT:
            value, place = _varint(message, place)
        elif kind == _BYTES:
            length, place = _varint(message, place)
            value = message[place : place + length]
            place += length
        elif kind in (_FIXED32, _FIXED64):
            width = 4 if kind == _FIXED32 else 8
            value = int.from_bytes(message[place : place + width], "little")
            place += width
        else:
            raise ValueError(f"a field has wire type {kind}")
        yield tag >> 3, value


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("a number is not a number")
    return value


def _entry(message: bytes) -> Entry:
    """A BundleEntryProto: dtype 1, shape 2, shard_id 3, offset 4, size 5."""
    found = dict(_fields(message))
    shape: list[int] = []
    described = found.get(2, b"")
    if not isinstance(described, bytes):
        raise ValueError("a shape is not a message")
    for field, dimension in _fields(described):
        if field == 2 and isinstance(dimension, bytes):
            shape.append(_number(dict(_fields(dimension)).get(1, 0)))
    dtype = _TYPES.get(_number(found.get(1, 0)))
    shard, offset, size = (_number(found.get(field, 0)) for field in (3, 4, 5))
    return Entry(tuple(shape), dtype, shard, offset, size)
