"""The bytes that torch writes for a tensor's storage inside a pickle, read without torch.load.

torch.load(weights_only=True) would do, but for its own past: before torch 2.6 a crafted file ran
code through it (CVE-2025-32434). The format (torch.save before version 1.6) is five small pickles,
then a count and the numbers.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MAGIC = 0x1950A86A20F9469CFC6C  # of torch's files before version 1.6
_PROTOCOL = 1001
_LENGTH = 200  # of each small pickle, in operations
_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_OPERATIONS = frozenset({
    "PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2",
    "LONG1", "SHORT_BINSTRING", "BINUNICODE", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE",
    "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "SETITEM", "SETITEMS", "BINGET",
    "BINPUT", "GLOBAL", "BINPERSID",
})  # fmt: skip


@dataclass(frozen=True)
class Storage:
    """The numbers [count] of a storage, in its dtype, on the CPU."""

    values: Tensor

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it alters a storage")


@dataclass(frozen=True)
class _Announced:
    """A storage named in the file, whose numbers follow later."""

    dtype: torch.dtype
    key: str
    count: int


class _Reader(pickle.Unpickler):
    """Knows the names of storages, and calls nothing: there is no such operation in its list."""

    def find_class(self, module: str, name: str) -> Any:
        """The dtype of a storage class. Raises UnpicklingError for any other name."""
        if module != "torch" or name not in _DTYPES:
            raise pickle.UnpicklingError(f"a storage asks for {ascii(f'{module}.{name}')[:100]}")
        return _DTYPES[name]

    def persistent_load(self, pid: Any) -> _Announced:
        """A storage as its file announces it: ("storage", kind, key, device, count, view)."""
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise pickle.UnpicklingError("a storage is announced in an unknown way")
        _, dtype, key, _, count, *view = pid
        if not isinstance(dtype, torch.dtype) or type(count) is not int or any(view):
            raise pickle.UnpicklingError("a storage is announced in an unknown way")
        return _Announced(dtype, str(key), count)


def read_storage(data: bytes) -> Storage:
    """The storage in `data`. Raises UnpicklingError for anything that is not one, whole."""
    file = io.BytesIO(data)
    magic, protocol, machine, announced, keys = (_loaded(file) for _ in range(5))
    if magic != MAGIC or protocol != _PROTOCOL or not isinstance(announced, _Announced):
        raise pickle.UnpicklingError("a storage is not in torch's format")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise pickle.UnpicklingError("a storage is not of little-endian order")
    head = file.read(8)
    size = announced.count * announced.dtype.itemsize
    body = file.read()
    whole = len(head) == 8 and struct.unpack("<q", head) == (announced.count,)
    if keys != [announced.key] or not whole or len(body) != size:
        raise pickle.UnpicklingError("a storage is cut short")
    if not body:
        return Storage(torch.empty(0, dtype=announced.dtype))
    return Storage(torch.frombuffer(bytearray(body), dtype=announced.dtype))


def _loaded(file: io.BytesIO) -> object:
    start = file.tell()
    for number, (operation, _, _) in enumerate(pickletools.genops(file)):
        if operation.name not in _OPERATIONS or number > _LENGTH:
            raise pickle.UnpicklingError(f"a storage uses the operation {operation.name}")
    file.seek(start)
    return _Reader(file).load()
