"""Tensors from files, never unpickled: every key and shape is checked."""

from __future__ import annotations

import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import GenbenchError
from genbench.weights.announced import WholeReads, check_announced

if TYPE_CHECKING:
    from torch import Tensor, nn


# What torch's unpickler was seen to raise on truncated and altered files.
_DAMAGE = (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError,
           AssertionError, struct.error, zipfile.BadZipFile)  # fmt: skip


_NAMED = 4  # keys named in an error about a state dict that does not fit


def load_checkpoint(path: Path) -> Any:
    """What a checkpoint holds, on the CPU: `.safetensors`, or a torch file of tensors and plain
    containers. Pickled objects of any other kind are refused and never run.

    Raises GenbenchError when the file is missing, damaged or holds more than tensors.
    """
    if not path.is_file():
        raise GenbenchError(f"{path} is not a file: name a checkpoint")
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    import pickle

    import torch

    try:
        with warnings.catch_warnings():  # on foreign pickle protocols, before the refusal
            warnings.simplefilter("ignore", UserWarning)
            with path.open("rb", buffering=0) as raw, WholeReads(raw) as file:
                check_announced(file)
                return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "Can only" in str(error):  # anything but plain containers
            raise GenbenchError(
                f"{path} holds pickled Python objects, which could run code and are refused: use a "
                "file of tensors only (.safetensors, or torch.save of a state dict)"
            ) from error
        raise damaged(path, "it is not a checkpoint that torch can read") from error
    except _DAMAGE as error:
        if "TorchScript" in str(error):
            raise GenbenchError(
                f"{path} is a TorchScript archive, which carries code: use the state dict of the "
                "same model (.safetensors, or torch.save of a state dict)"
            ) from error
        reason = str(error).splitlines()[0] if str(error) else "it is empty or cut short"
        raise damaged(path, reason) from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """A checkpoint that is one flat mapping of names to tensors (any shape and dtype), on the CPU;
    nothing is unwrapped.

    Raises GenbenchError as `load_checkpoint` does, and for a file whose top level holds anything
    but tensors (the error names the keys, so that the caller can be told which part to take).
    """
    import torch

    held = load_checkpoint(path)
    if not isinstance(held, dict):
        raise GenbenchError(f"{path} holds a {type(held).__name__}, not a state dict of tensors")
    other = [str(key) for key, value in held.items() if not isinstance(value, torch.Tensor)]
    if other:
        raise GenbenchError(_not_flat(path, held, other))
    return {str(key): value for key, value in held.items()}


def _not_flat(path: Path, held: Mapping[Any, Any], other: list[str]) -> str:
    """What a checkpoint holds beside tensors, and how its state dict is taken out."""
    import torch

    states = [
        str(key)
        for key, value in held.items()
        if isinstance(value, dict)
        and any(isinstance(part, torch.Tensor) for part in value.values())
    ]
    if not states:
        return (
            f"{path} is not a flat state dict: it also holds {_some(other)}; save the state dict "
            "alone and name that file"
        )
    where = "its state dict is" if len(states) == 1 else "state dicts are"
    return (
        f"{path} is not a flat state dict: {where} under {_some(states)}; save it alone and name "
        f'that file: python -c "import torch; torch.save(torch.load({str(path)!r}, '
        f"weights_only=True, map_location='cpu')[{states[0]!r}], 'weights.pt')\""
    )


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(path, str(error).splitlines()[0]) from error
    return tensors


def damaged(path: Path, reason: str) -> GenbenchError:
    """The error that a file is damaged, with the remedy."""
    return GenbenchError(
        f"cannot load {path}: {reason}; it is damaged or cut short, fetch it again"
    )


def load_state_strictly(module: nn.Module, state: Mapping[str, Tensor], *, what: str) -> None:
    """Copy `state` into `module` when every key and every shape agrees, both ways.

    state: any shape and dtype; the module keeps its own dtypes. Raises GenbenchError as
    `check_state`; the module is then left as it was.
    """
    check_state(module, state, what=what)
    module.load_state_dict(state, strict=True)


def check_state(module: nn.Module, state: Mapping[str, Tensor], *, what: str) -> None:
    """Whether `state` (any shape and dtype) fits `module`, which may be on the meta device. what:
    the model, for the error. Raises GenbenchError that names the first few missing, unexpected and
    misshapen tensors."""
    wanted = module.state_dict()
    wrong = [
        f"{key} {list(state[key].shape)} for {list(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in state and state[key].shape != tensor.shape
    ]
    problems = {
        "missing": [key for key in wanted if key not in state],
        "unexpected": [key for key in state if key not in wanted],
        "wrong shape": wrong,
    }
    found = [f"{len(keys)} {label} ({_some(keys)})" for label, keys in problems.items() if keys]
    if found:
        raise GenbenchError(
            f"the weights do not fit {what}: {'; '.join(found)}; they belong to another network or "
            "variant: name its own file"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
