"""EDM network pickles read without running anything that is in them.

A pickle is a program for a small machine that can call whatever it names; EDM's also carry their
modules' source code, which the official tools execute. Three fences stand here. Operations beyond
those that such a file needs are refused before the first one is carried out. Every name is
answered from a short list whose answers are all written in this folder, whatever the file calls
them: holders of state, and makers of tensors and numbers that check what they are given. And what
comes out is used only after its type was looked at. The source code stays a string nobody reads.
"""

from __future__ import annotations

import mmap
import pickle
import pickletools
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench_adapters.emd.storages import MAGIC, Storage, read_storage

# Of protocols 2 to 5: plain data, names, and calls of what the names stand for. Not: persistent
# ids, the extension registry, out-of-band buffers.
_OPERATIONS = frozenset({
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "NONE", "NEWTRUE", "NEWFALSE",
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "BINBYTES8", "SHORT_BINBYTES", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINUNICODE", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1",
    "TUPLE2", "TUPLE3", "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS",
    "FROZENSET", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GLOBAL",
    "STACK_GLOBAL", "REDUCE", "BUILD", "NEWOBJ",
})  # fmt: skip
_PLACES = 1 << 24  # of the memo; a higher one only makes the reader allocate
_TUPLES = 20_000  # many times what a network has; nested deeper, hashing them exhausts the stack
_DEPTH = 64  # of modules inside modules
_NUMBERS = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1")


class Holder:
    """Stands for any module or persistent object: a class name, a state, nothing to call."""

    __slots__ = ("kind", "state")
    kind: str
    state: dict[object, Any]

    def __new__(cls, *_: object) -> Holder:
        """With an empty state, however the file makes it."""
        made = super().__new__(cls)
        made.kind, made.state = "", {}
        return made

    def __setstate__(self, state: object) -> None:
        self.state = state if isinstance(state, dict) else {}


class PlainDict(dict[Any, Any]):
    """Stands for dnnlib.EasyDict and OrderedDict, without attributes of its own."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Attributes are passed over."""


class _Piece:
    """A tensor out of the file's reach: Tensor.__setstate__ would let it be altered."""

    __slots__ = ("values",)

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it alters a tensor")


class _NumberKind:
    """Stands for the numpy.dtype of a plain number."""

    __slots__ = ("code",)

    def __init__(self, code: object, *_: object) -> None:
        if code not in _NUMBERS:
            raise pickle.UnpicklingError(f"a number is of the kind {_quoted(code)}")
        self.code = str(code)

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else ""
        if order not in ("<", "|", "="):
            raise pickle.UnpicklingError("a number is not of little-endian order")


class _Maker:
    """What a name stands for that the file calls; it cannot be changed by the file."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *given: Any) -> object:
        made: object = getattr(self, f"_{self.name}")(*given)
        return made

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError(f"it alters {self.name}")

    def _persistent(self, meta: object) -> Holder:
        """torch_utils.persistence._reconstruct_persistent_obj, less its execution of source."""
        holder = Holder()
        if isinstance(meta, dict):
            holder.__setstate__(meta.get("state"))
            holder.kind = str(meta.get("class_name", ""))
        return holder

    def _set(self, *_: object) -> None:
        """builtins.set, named up to protocol 3: of hooks and the like, nothing that is read."""

    def _storage(self, data: object) -> Storage:
        """torch.storage._load_from_bytes."""
        if not isinstance(data, bytes):
            raise pickle.UnpicklingError("a storage is made of no bytes")
        return read_storage(data)

    def _tensor(
        self, storage: object, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
    ) -> _Piece:
        """torch._utils._rebuild_tensor_v2, which would make up what the storage lacks."""
        if not isinstance(storage, Storage):
            raise pickle.UnpicklingError("a tensor has no storage")
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
            raise pickle.UnpicklingError(f"a tensor of size {_quoted(size)} is impossible")
        count = 1
        for length in size:
            count *= length
        reach = sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if count > len(storage.values) or (count and offset + reach >= len(storage.values)):
            raise pickle.UnpicklingError(f"a tensor of size {_quoted(size)} leaves its storage")
        return _Piece(torch.as_strided(storage.values, size, stride, offset).clone())

    def _parameter(self, data: object, *_: object) -> _Piece:
        """torch._utils._rebuild_parameter."""
        if not isinstance(data, _Piece):
            raise pickle.UnpicklingError("a parameter is no tensor")
        return data

    def _scalar(self, kind: object, data: object = b"") -> object:
        """numpy.core.multiarray.scalar, as a plain Python number."""
        if not isinstance(kind, _NumberKind) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("a number holds an object")
        return np.frombuffer(data, kind.code)[0].item()


_KNOWN: Mapping[tuple[str, str], object] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _Maker("persistent"),
    ("dnnlib.util", "EasyDict"): PlainDict,
    ("collections", "OrderedDict"): PlainDict,
    ("builtins", "set"): _Maker("set"),
    ("torch.storage", "_load_from_bytes"): _Maker("storage"),
    ("torch._utils", "_rebuild_tensor_v2"): _Maker("tensor"),
    ("torch._utils", "_rebuild_parameter"): _Maker("parameter"),
    ("numpy", "dtype"): _NumberKind,
    ("numpy.core.multiarray", "scalar"): _Maker("scalar"),
    ("numpy._core.multiarray", "scalar"): _Maker("scalar"),
    ("torch.nn.modules.container", "ModuleDict"): Holder,
    ("torch.nn.modules.container", "ModuleList"): Holder,
}


class _Reader(pickle.Unpickler):
    """Answers names from the list above alone."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name. Raises UnpicklingError for one that is not on the list."""
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {_quoted(f'{module}.{name}')}")
        return _KNOWN[module, name]


def is_pickle(path: Path) -> bool:
    """Whether a file is a bare pickle, and not one of torch's, by its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    return head[:1] == b"\x80" and MAGIC.to_bytes(10, "little") not in head


def read_network(path: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """State dict (any shape and dtype, on the CPU) and constructor arguments of the `ema` network
    in an EDM pickle.

    Raises GenbenchError when the file is damaged, asks for anything that is not needed to hold
    tensors and configuration, or holds a network of another preconditioning than EDM's.
    """
    try:
        # Mapped, since of an open file even a reading of 2^63 bytes takes its memory first.
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _check_operations(data)
            data.seek(0)
            held = _Reader(data).load()
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    except Exception as error:  # a damaged or hostile file makes the reader raise anything
        reason = str(error).splitlines()[0][:200] if str(error) else "it is cut short"
        raise GenbenchError(
            f"{path} is no EDM network pickle that can be read safely "
            f"({type(error).__name__}: {reason}); nothing of it was run"
        ) from error
    network = held.get("ema") if isinstance(held, dict) else None
    if not isinstance(network, Holder):
        raise GenbenchError(f"{path} holds no network under 'ema': name an EDM network snapshot")
    if network.kind != "EDMPrecond":
        raise GenbenchError(
            f"{path} holds a {_quoted(network.kind)}; only the parameterisation EDMPrecond is "
            "known: name a network that EDM's own recipe trained"
        )
    arguments = network.state.get("_init_kwargs")
    if not isinstance(arguments, dict) or not all(isinstance(key, str) for key in arguments):
        raise GenbenchError(f"{path} does not say its configuration: name an EDM network snapshot")
    tensors: dict[str, Tensor] = {}
    try:
        _collect(network, "", tensors, set())
    except ValueError as error:
        raise GenbenchError(f"{path} {error}: name an EDM network snapshot") from error
    return tensors, arguments


def _check_operations(file: mmap.mmap) -> None:
    """Read the file as a list of operations, carrying none out, and refuse those not needed."""
    tuples = frame_end = 0
    for operation, argument, position in pickletools.genops(cast(IO[bytes], file)):
        if operation.name == "FRAME" and isinstance(argument, int) and position is not None:
            if position < frame_end:  # which Python's own reader takes for a lack of memory
                raise pickle.UnpicklingError("its frames overlap")
            frame_end = position + 9 + argument  # the operation and eight bytes of length
        tuples += operation.name.startswith(("TUPLE", "FROZENSET"))
        if operation.name not in _OPERATIONS:
            raise pickle.UnpicklingError(f"it uses the operation {operation.name}")
        if "PUT" in operation.name and isinstance(argument, int) and argument > _PLACES:
            raise pickle.UnpicklingError("it numbers its parts too high")
        if tuples > _TUPLES:
            raise pickle.UnpicklingError("it nests its parts too deep")


def _collect(holder: Holder, prefix: str, tensors: dict[str, Tensor], seen: set[int]) -> None:
    """The tensors of a module and those inside it. Raises ValueError for no tree of modules."""
    if id(holder) in seen or prefix.count(".") > _DEPTH:
        raise ValueError("holds modules that are no tree")
    seen.add(id(holder))
    for group in ("_parameters", "_buffers", "_modules"):
        members = holder.state.get(group, {})
        for name, value in members.items() if isinstance(members, dict) else ():
            if not isinstance(name, str):
                raise ValueError("names a tensor by no text")
            if isinstance(value, Holder):
                _collect(value, f"{prefix}{name}.", tensors, seen)
            elif isinstance(value, _Piece):
                tensors[prefix + name] = value.values


def _quoted(text: object) -> str:
    """A word of the file for a message: short, and with nothing that steers a terminal."""
    return ascii(text)[:100]
