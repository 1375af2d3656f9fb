"""Arrays in .npz archives, looked at before memory is taken for them; nothing is unpickled."""

from __future__ import annotations

import math
import tokenize
import zipfile
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from genbench.runtime.archives import claims_too_much

_VERSIONS = ((1, 0), (2, 0), (3, 0))
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those that numpy writes


@dataclass(frozen=True)
class ArrayHeader:
    """An array of an archive before its data is read. size: bytes of the data, by the header."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int  # bytes of the member before the data
    whole: bool  # whether the member is as long as the header says

    @property
    def size(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize


def array_header(archive: zipfile.ZipFile, name: str) -> ArrayHeader | None:
    """The header of array `name`; None when there is no such array.

    Raises ValueError for what is no header and for a member that claims to be longer than it can
    be, and what zipfile raises.
    """
    if name + ".npy" not in archive.namelist():
        return None
    info = archive.getinfo(name + ".npy")
    if info.compress_type not in _METHODS:
        raise ValueError(f"{name} is compressed in a way that numpy does not know")
    if claims_too_much(archive, info):
        raise ValueError(f"{name} claims to be longer than the file can hold")
    with archive.open(info) as member:
        shape, fortran, dtype = _header(member, name)
        size = math.prod(shape) * dtype.itemsize
        offset = member.tell()
    return ArrayHeader(shape, fortran, dtype, offset, info.file_size == offset + size)


def _header(member: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    if version not in _VERSIONS:
        raise ValueError(f"{name} has the unknown .npy version {version}")
    # Version 3 differs from 2 in the header's encoding alone (UTF-8), which only matters to
    # the field names of structured arrays.
    first = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read(member)
    # A header is a text of Python, which numpy reads without running it, but not without surprise.
    except (TypeError, LookupError, AttributeError, SyntaxError, tokenize.TokenError,
            RecursionError, MemoryError, OverflowError) as error:  # fmt: skip
        raise ValueError(f"{name} has a header that is none") from error
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"{name} has the impossible shape {shape}")
    return shape, fortran, dtype


def read_array(archive: zipfile.ZipFile, name: str, header: ArrayHeader) -> NDArray[Any]:
    """The array [*header.shape] of a header that is `whole`."""
    with archive.open(name + ".npy") as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array
