"""Pickles of numbers, texts and arrays, read without running anything that is in them.

A pickle is a program that can call whatever it names. Here operations beyond those that plain data
need are refused before the first one is carried out, and every name is answered from a short list
of answers written in this file, which check what they are given. Nothing is made larger than the
file is, but for shapes of arrays, which must fit the bytes that are there.
"""

from __future__ import annotations

import io
import math
import mmap
import pickle
import pickletools
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from genbench.errors import GenbenchError
from genbench.runtime.files import refuse_special

# Of protocols 2 to 5: plain data, names, and calls of what the names stand for. Not: persistent
# ids, objects of classes, the extension registry, out-of-band buffers.
_OPERATIONS = frozenset({
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2",
    "LONG1", "BINFLOAT", "BINBYTES", "BINBYTES8", "SHORT_BINBYTES", "BYTEARRAY8", "BINUNICODE",
    "BINUNICODE8", "SHORT_BINUNICODE", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "SETITEM", "SETITEMS", "BINGET", "LONG_BINGET",
    "BINPUT", "LONG_BINPUT", "MEMOIZE", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
    "SHORT_BINSTRING", "BINSTRING",  # texts of Python 2, read as bytes
})  # fmt: skip
# Numbers, texts and their places in the memo: nothing can lie inside of them.
_FLAT = frozenset({
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "SHORT_BINSTRING", "BINPUT", "LONG_BINPUT",
    "MEMOIZE", "BINGET", "LONG_BINGET",
})  # fmt: skip
_MOST_FLAT = 1 << 20  # of them: a list of labels and names has that many
_PLACES = 1 << 24  # of the memo; a higher one only makes the reader allocate
_MOST = (
    20_000  # operations: many times what statistics need; tuples nested deeper exhaust the stack
)
_NUMBERS = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1")
_MOST_DIMENSIONS = 8


class PlainArray:
    """An array of a pickle, out of the file's reach once it is made.

    values: a view of the file's own bytes, of numbers, any shape; None until the file gave them.
    """

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        """numpy.ndarray.__setstate__: version, shape, dtype, Fortran order, bytes."""
        if self.values is not None or not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("it alters an array")
        _, shape, kind, fortran, data = state
        self.values = _shaped(data, kind, shape, "F" if fortran else "C")


class _NumberKind:
    """Stands for the numpy.dtype of a plain number."""

    __slots__ = ("code",)

    def __init__(self, code: object, *_: object) -> None:
        code = _text(code)
        if code not in _NUMBERS:
            raise pickle.UnpicklingError(f"it holds numbers of the kind {ascii(code)[:40]}")
        self.code = str(code)

    def __setstate__(self, state: object) -> None:
        order = _text(state[1]) if isinstance(state, tuple) and len(state) > 1 else ""
        if order not in ("<", "|", "="):
            raise pickle.UnpicklingError("its numbers are not of little-endian order")


def _text(given: object) -> object:
    """A text of Python 2 as one of Python 3; anything else as it is."""
    return given.decode("latin1") if isinstance(given, bytes) else given


def _shaped(data: object, kind: object, shape: object, order: object) -> NDArray[Any]:
    """Bytes as an array, a view of them. Raises UnpicklingError for a shape that they do not fill
    exactly."""
    if not isinstance(data, bytes | bytearray) or not isinstance(kind, _NumberKind):
        raise pickle.UnpicklingError("an array holds objects")
    if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS or order not in ("C", "F"):
        raise pickle.UnpicklingError("an array has an impossible shape")
    if not all(type(length) is int and length >= 0 for length in shape):
        raise pickle.UnpicklingError("an array has an impossible shape")
    if math.prod(shape) * np.dtype(kind.code).itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {shape} has {len(data)} bytes")
    return np.frombuffer(data, kind.code).reshape(shape, order="F" if order == "F" else "C")


class _Maker:
    """What a name stands for that the file calls; it cannot be changed by the file.

    budget: bytes that texts may become, which is where a file could make more than it holds.
    """

    __slots__ = ("budget", "name")

    def __init__(self, name: str, budget: int) -> None:
        self.name, self.budget = name, budget

    def __call__(self, *given: Any) -> object:
        made: object = getattr(self, f"_{self.name}")(*given)
        return made

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError(f"it alters {self.name}")

    def _array(self, *_: object) -> PlainArray:
        """numpy.core.multiarray._reconstruct: an array that a state will fill."""
        return PlainArray()

    def _view(
        self, data: object, kind: object, shape: object, order: object, *rest: object
    ) -> PlainArray:
        """numpy.core.numeric._frombuffer, of protocol 5."""
        if any(item is not None for item in rest):
            raise pickle.UnpicklingError("an array has its axes in another order")
        made = PlainArray()
        made.values = _shaped(data, kind, shape, order)
        return made

    def _scalar(self, kind: object, data: object = b"") -> object:
        """numpy.core.multiarray.scalar, as a plain Python number."""
        return _shaped(data, kind, (), "C").item()

    def _bytes(self, text: object, encoding: object) -> bytes:
        """_codecs.encode, by which protocols 2 and 3 write bytes."""
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError("it encodes what is no text of bytes")
        self.budget -= len(text)
        if self.budget < 0:
            raise pickle.UnpicklingError("it makes more bytes than it holds")
        return text.encode("latin1")

    def _class(self, *_: object) -> object:
        """numpy.ndarray, which is named beside _reconstruct and never called."""
        raise pickle.UnpicklingError("it makes an array of no bytes")


def _known(size: int) -> Mapping[tuple[str, str], object]:
    """What stands for each name that a file of `size` bytes may have."""
    array, view, scalar = (_Maker(name, size) for name in ("array", "view", "scalar"))
    return {
        ("numpy.core.multiarray", "_reconstruct"): array,
        ("numpy._core.multiarray", "_reconstruct"): array,
        ("numpy.core.numeric", "_frombuffer"): view,
        ("numpy._core.numeric", "_frombuffer"): view,
        ("numpy.core.multiarray", "scalar"): scalar,
        ("numpy._core.multiarray", "scalar"): scalar,
        ("numpy", "ndarray"): _Maker("class", size),
        ("numpy", "dtype"): _NumberKind,
        ("_codecs", "encode"): _Maker("bytes", size),
    }


class _Reader(pickle.Unpickler):
    """Answers names from the list above alone."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__(file, encoding="bytes")
        self._known = _known(size)

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name. Raises UnpicklingError for one that is not on the list."""
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"it asks for {ascii(f'{module}.{name}')[:100]}")
        return self._known[module, name]


def is_bare_pickle(path: Path) -> bool:
    """Whether a file begins as a pickle of protocol 2 or later does."""
    try:
        with path.open("rb") as file:
            head = file.read(2)
    except OSError:
        return False
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def read_array_pickle(path: Path) -> object:
    """What a pickle holds: dicts, lists, tuples, texts, numbers, None, and `PlainArray`s.

    Raises GenbenchError when the file cannot be read, is damaged, or asks for anything else.
    """
    refuse_special(path)
    try:
        # Mapped, since of an open file even a reading of 2^63 bytes takes its memory first.
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _loaded(cast(IO[bytes], data), len(data))
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    except Exception as error:
        raise _refusal(path, error) from error


def array_pickle_of(data: bytes, path: Path) -> object:
    """`read_array_pickle` of a pickle inside of the file `path`."""
    try:
        return _loaded(io.BytesIO(data), len(data))
    except Exception as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: Exception) -> GenbenchError:
    """A damaged or hostile file makes the reader raise anything."""
    reason = str(error).splitlines()[0][:200] if str(error) else "it is cut short"
    return GenbenchError(
        f"{path} is no pickle of plain numbers and arrays ({type(error).__name__}: {reason}); "
        "nothing of it was run: fetch it again, or name another file"
    )


def _loaded(file: IO[bytes], size: int) -> object:
    _check_operations(file)
    file.seek(0)
    held: object = _Reader(file, size).load()
    return held


def _check_operations(file: IO[bytes]) -> None:
    """Read the file as a list of operations, carrying none out, and refuse those not needed."""
    frame_end, count, flat = 0, 0, 0
    for operation, argument, position in pickletools.genops(file):
        if operation.name not in _OPERATIONS:
            raise pickle.UnpicklingError(f"it uses the operation {operation.name}")
        if operation.name == "FRAME" and isinstance(argument, int) and position is not None:
            if position < frame_end:  # which Python's own reader takes for a lack of memory
                raise pickle.UnpicklingError("its frames overlap")
            frame_end = position + 9 + argument  # the operation and eight bytes of length
        if "PUT" in operation.name and isinstance(argument, int) and argument > _PLACES:
            raise pickle.UnpicklingError("it numbers its parts too high")
        if operation.name in _FLAT:
            flat += 1
        else:
            count += 1
        if count > _MOST or flat > _MOST_FLAT:
            raise pickle.UnpicklingError("it has more parts than statistics have")
