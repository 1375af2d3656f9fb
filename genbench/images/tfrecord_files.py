"""The framing of TFRecord files: where each record lies, its checksums held against it.

A record is its length (uint64), the length's masked CRC-32C, the data, and their masked CRC-32C,
all little-endian (tensorflow/core/lib/io/record_writer.h).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Generator
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.images.byte_ranges import read_range
from genbench.images.libraries import library
from genbench.runtime.files import refuse_special

_HEAD, _FOOT = 12, 4
_MASK = 0xA282EAD8
_GZIP, _ZLIB = b"\x1f\x8b", (b"\x78\x01", b"\x78\x9c", b"\x78\xda")


def records(path: Path) -> Generator[tuple[int, memoryview], None, None]:
    """Where each record's data begin, and a view of them, valid until the next one is asked for.

    The checksum of each length is verified; that of the data when they are read (`record_at`).
    Raises GenbenchError for a file that is compressed, damaged, cut short or no TFRecord.
    """
    refuse_special(path)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if not size:
                raise GenbenchError(f"{path} is empty: copy or write it again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                yield from _records(path, mapped, size)
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error


def _records(
    path: Path, mapped: mmap.mmap, size: int
) -> Generator[tuple[int, memoryview], None, None]:
    position = 0
    with memoryview(mapped) as whole:
        while position < size:
            head = mapped[position : position + _HEAD]
            if len(head) < _HEAD:
                raise _damaged(path, "it is cut short")
            length, checksum = struct.unpack("<QI", head)
            if _masked(head[:8]) != checksum:
                if not position:
                    _refuse_compressed(path, head)
                raise _damaged(path, f"the checksum of the length at byte {position} is wrong")
            first = position + _HEAD
            position = first + length + _FOOT
            if position > size:
                raise _damaged(path, "it is cut short")
            with whole[first : first + length] as view:
                yield first, view


def record_at(path: Path, first: int, length: int) -> bytes:
    """The data of one record. Raises GenbenchError when their checksum is wrong."""
    read = read_range(path, first, length + _FOOT)
    data = read[:length]
    if _masked(data) != int.from_bytes(read[length:], "little"):
        raise _damaged(path, f"the checksum of the record at byte {first} is wrong")
    return data


def _masked(data: bytes) -> int:
    checksum = int(library("crc32c", "a TFRecord file").crc32c(data))
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF


def _refuse_compressed(path: Path, head: bytes) -> None:
    if head.startswith(_GZIP) or head[:2] in _ZLIB:
        raise GenbenchError(
            f"{path} is compressed, so that no record can be read without all before it: write it "
            "without compression (pictures are compressed themselves)"
        )


def _damaged(path: Path, reason: str) -> GenbenchError:
    return GenbenchError(f"{path} is damaged or no TFRecord file ({reason}): copy it again")
