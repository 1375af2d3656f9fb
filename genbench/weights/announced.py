"""What a file of torch.save says of its sizes, looked at before torch.load takes memory for it.

It is a zip of stored members; before version 1.6 of torch it was five small pickles, of which the
fourth holds the state dict, then the numbers. Of either torch.load believes every length it reads.
"""

from __future__ import annotations

import io
import os
import pickletools
import zipfile
from collections.abc import Iterator

from genbench.runtime.archives import claims_too_much

_NUMBERS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG"})
_BESIDE = frozenset({"BINPUT", "LONG_BINPUT", "MEMOIZE", "PUT"})
_NEAR = 8  # operations before a storage's announcement that hold its kind, key, place and count
_BYTES = 16  # of the widest number


class WholeReads(io.BufferedReader):
    """An open file whose `read` takes memory for what is there, not for what was asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes."""
        if size is not None and size > io.DEFAULT_BUFFER_SIZE:
            size = min(size, max(0, os.fstat(self.fileno()).st_size - self.tell()))
        return super().read(size)


def check_announced(file: WholeReads) -> None:
    """Whether what a file says of the sizes of its parts can be; it stands at its beginning, before
    and after. Raises ValueError or BadZipFile for what cannot, and for no file of torch's."""
    if file.peek(4)[:4] == b"PK\3\4":
        with zipfile.ZipFile(file) as archive:
            if any(claims_too_much(archive, info) for info in archive.infolist()):
                raise ValueError("a part of it claims to be longer than the file")
    else:
        _check_pickles(file)
    file.seek(0)


def _check_pickles(file: WholeReads) -> None:
    """`check_announced` of what the four pickles say of storages and of tensors."""
    size = os.fstat(file.fileno()).st_size
    near: list[int] = []
    announced = False
    for name, number in _operations(file):
        near = [*near[1 - _NEAR :], number]
        announced |= name == "BINPERSID"
        if announced and max(near) > size * _BYTES:
            raise ValueError("it announces more numbers than it holds")
        announced &= name != "REDUCE"


def _operations(file: WholeReads) -> Iterator[tuple[str, int]]:
    """The operations of the four pickles, none carried out, with their numbers or 0; up to where
    there is no pickle, which is for torch to refuse."""
    for _ in range(4):  # magic number, version, machine, tensors
        operations = pickletools.genops(file)
        while True:
            try:
                operation, argument, _ = next(operations)
            except StopIteration:
                break
            except ValueError:
                return
            if operation.name not in _BESIDE:
                counts = operation.name in _NUMBERS and isinstance(argument, int)
                yield operation.name, int(argument or 0) if counts else 0
