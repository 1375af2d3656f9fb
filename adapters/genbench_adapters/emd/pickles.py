"""EDM network pickles read without running anything that is in them.

Such a file names classes, and carries their source code, which official tools execute. Here every
name the pickle asks for is answered from a short list of harmless ones, or refused: modules become
plain holders of their state, and the source code is a string that nobody reads.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.core import GenbenchError


class Holder:
    """Stands for any module or persistent object: a state, and nothing to call."""

    def __init__(self, *args: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.state = state


class _Dict(dict[str, Any]):
    """Stands for dnnlib.EasyDict."""


def _persistent(meta: Mapping[str, Any]) -> Holder:
    holder = Holder()
    holder.__setstate__(meta.get("state"))
    return holder


def _storage(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True)


def _scalar(dtype: np.dtype[Any], data: bytes = b"") -> Any:
    """A NumPy scalar of plain numbers."""
    if dtype.hasobject:
        raise pickle.UnpicklingError("a scalar holds an object")
    return np.frombuffer(data, dtype)[0]


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
    ("dnnlib.util", "EasyDict"): _Dict,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("torch.nn.modules.container", "ModuleDict"): Holder,
    ("torch.nn.modules.container", "ModuleList"): Holder,
}


class _Reader(pickle.Unpickler):
    """Answers names from the list above alone."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name. Raises UnpicklingError for one that is not on the list."""
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _KNOWN[module, name]


def read_network(path: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """State dict and constructor arguments of the `ema` network in an EDM pickle.

    Raises GenbenchError when the file is damaged, or asks for anything that is not needed to hold
    tensors and configuration.
    """
    try:
        with path.open("rb") as file:
            held = _Reader(file).load()
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError,
            TypeError, ValueError, RuntimeError) as error:  # fmt: skip
        raise GenbenchError(
            f"{path} is no EDM network pickle that can be read safely "
            f"({type(error).__name__}: {error}); nothing of it was run"
        ) from error
    network = held.get("ema") if isinstance(held, dict) else None
    if not isinstance(network, Holder):
        raise GenbenchError(f"{path} holds no network under 'ema': name an EDM network snapshot")
    arguments = network.state.get("_init_kwargs")
    if not isinstance(arguments, dict):
        raise GenbenchError(f"{path} does not say its configuration: name an EDM network snapshot")
    tensors: dict[str, Tensor] = {}
    _collect(network, "", tensors)
    return tensors, arguments


def _collect(holder: Holder, prefix: str, tensors: dict[str, Tensor]) -> None:
    for group in ("_parameters", "_buffers"):
        for name, value in holder.state.get(group, {}).items():
            if isinstance(value, Tensor):
                tensors[prefix + name] = value.detach()
    for name, child in holder.state.get("_modules", {}).items():
        if isinstance(child, Holder):
            _collect(child, f"{prefix}{name}.", tensors)
