"""Weight files: find them, fetch and verify them, and load them without running code they carry."""

from __future__ import annotations

import string
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.core import WeightKind
from genbench.downloads import download
from genbench.errors import GenbenchError
from genbench.runtime.digests import file_sha256
from genbench.runtime.folders import cache_folder, torch_hub_folder

if TYPE_CHECKING:
    from torch import Tensor, nn
# What torch's unpickler was seen to raise on truncated and altered files.
_DAMAGE = (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError,
           AssertionError, struct.error)  # fmt: skip
_NAMED = 4  # keys named in an error about a state dict that does not fit


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A published weight file, known by its digest; nothing is read or fetched by naming it.

    url: https, http or file address; empty when the file ships in a package.
    sha256: the full SHA-256 in hex, or a published prefix of at least 8 digits (as the names of
        torch hub files carry).
    published_at: a page that a person can open.
    alternative: what needs no such file, named in the errors.
    option: the command-line option that names a copy, for the errors.
    search: further folders to look in.
    """

    filename: str
    url: str
    sha256: str
    published_at: str
    alternative: str = ""
    option: str = ""
    search: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if Path(self.filename).name != self.filename or self.filename in ("", ".", ".."):
            raise GenbenchError(
                f"weight file name {self.filename!r} must be a bare file name: correct its address"
            )
        if not (8 <= len(self.sha256) <= 64 and set(self.sha256) <= set(string.hexdigits)):
            raise GenbenchError(
                f"SHA-256 {self.sha256!r} of {self.filename} must be 8 to 64 hexadecimal digits: "
                "copy the published digest"
            )

    @property
    def place(self) -> Path:
        """Where genbench keeps the file, and where a person can put it; the name carries the
        digest's first digits, so that files of one name from two publishers do not meet."""
        start = self.sha256[:8].lower()
        name = self.filename if start in self.filename else f"{start}-{self.filename}"
        return cache_folder() / "weights" / name


def locate(weight: WeightFile, given: Path | None) -> Path | None:
    """The file on this machine, or None: `given` (a file, or a folder that holds it), the cache,
    torch hub's checkpoints, then `weight.search`. Uses no network and checks no digest.

    Raises GenbenchError when `given` is named but is not there.
    """
    if given is None:
        return next(iter(_copies(weight)), None)
    path = given / weight.filename if given.is_dir() else given
    if not path.is_file():
        raise GenbenchError(f"{path} is not a file: {how_to_get(weight)}")
    return path


def _copies(weight: WeightFile) -> list[Path]:
    folders = (torch_hub_folder() / "checkpoints", *weight.search)
    candidates = (weight.place, *(folder / weight.filename for folder in folders))
    return [path for path in candidates if path.is_file()]


def obtain(
    weight: WeightFile,
    given: Path | None = None,
    *,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """The file on this machine, downloaded into the cache when it is not there.

    Only a file with the published digest is taken, but for one named by `given`, which is the
    user's own choice and not checked against it (detectors record the digest of what they loaded).
    progress: called with (bytes so far, bytes in all or None). Raises GenbenchError, one line, when
    the file cannot be had, does not verify or cannot be written; without network in under 5 s.
    """
    if given is not None and (found := locate(weight, given)) is not None:
        return found
    copies = _copies(weight)
    for path in copies:
        if matches(weight, path):
            return path
    if weight.place in copies or (copies and not weight.url):
        raise GenbenchError(
            f"{copies[0]} is damaged or another file (SHA-256 {file_sha256(copies[0])[:16]}..., "
            f"not {weight.sha256[:16]}...): delete it and run again, or "
            f"{_fetch_by_hand(weight)} in its place"
        )
    hint = how_to_get(weight)
    if not weight.url:
        raise GenbenchError(f"{weight.filename} is not on this machine: {hint}")
    return download(weight.url, weight.place, sha256=weight.sha256, hint=hint, progress=progress)


def matches(weight: WeightFile, path: Path) -> bool:
    """Whether the file at `path` has the published digest of `weight`."""
    return file_sha256(path).startswith(weight.sha256.lower())


def how_to_get(weight: WeightFile) -> str:
    """Where the file is published, where to put it and what works without it, for error lines."""
    text = f"{_fetch_by_hand(weight)} to {weight.place}, or name your copy"
    text = f"{text} with {weight.option}" if weight.option else text
    return f"{text}; {weight.alternative}" if weight.alternative else text


def _fetch_by_hand(weight: WeightFile) -> str:
    if not weight.url:
        return f"copy it from {weight.published_at}"
    page = "" if weight.published_at == weight.url else f" (published at {weight.published_at})"
    return f"download {weight.url}{page}"


def weights_of(path: Path) -> Path:
    """The weights in a model's folder (a file is itself): model.safetensors, else
    pytorch_model.bin. Raises GenbenchError naming both when neither is there."""
    if not path.is_dir():
        return path
    names = ("model.safetensors", "pytorch_model.bin")
    for name in names:
        if (path / name).is_file():
            return path / name
    raise GenbenchError(f"{path} holds neither {' nor '.join(names)}: name the weights file itself")


def weights_origin(path: Path) -> WeightKind:
    """What a file that the user named says of itself: genbench writes "genbench.kind" into the
    metadata of the safetensors it trains or converts; anything else is just "given"."""
    if path.suffix != ".safetensors":
        return "given"
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            kind = (file.metadata() or {}).get("genbench.kind", "")
    except (SafetensorError, OSError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from error
    return kind if kind in ("trained-here", "converted") else "given"


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
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "Can only" in str(error):  # anything but plain containers
            raise GenbenchError(
                f"{path} holds pickled Python objects, which could run code and are refused: use a "
                "file of tensors only (.safetensors, or torch.save of a state dict)"
            ) from error
        raise _damaged(path, "it is not a checkpoint that torch can read") from error
    except _DAMAGE as error:
        if "TorchScript" in str(error):
            raise GenbenchError(
                f"{path} is a TorchScript archive, which carries code: use the state dict of the "
                "same model (.safetensors, or torch.save of a state dict)"
            ) from error
        reason = str(error).splitlines()[0] if str(error) else "it is empty or cut short"
        raise _damaged(path, reason) from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """A checkpoint that is one flat mapping of names to tensors, on the CPU; nothing is unwrapped.

    Raises GenbenchError as `load_checkpoint` does, and for a file whose top level holds anything
    but tensors (the error names the keys, so that the caller can be told which part to take).
    """
    import torch

    held = load_checkpoint(path)
    if not isinstance(held, dict):
        raise GenbenchError(f"{path} holds a {type(held).__name__}, not a state dict of tensors")
    other = [str(key) for key, value in held.items() if not isinstance(value, torch.Tensor)]
    if other:
        raise GenbenchError(
            f"{path} is not a flat state dict: {_some(other)} hold no tensor; save the state dict "
            "alone and name that file"
        )
    return {str(key): value for key, value in held.items()}


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from error
    return tensors


def _damaged(path: Path, reason: str) -> GenbenchError:
    return GenbenchError(
        f"cannot load {path}: {reason}; it is damaged or cut short, fetch it again"
    )


def load_state_strictly(module: nn.Module, state: Mapping[str, Tensor], *, what: str) -> None:
    """Copy `state` into `module` when every key and every shape agrees, both ways.

    what: the model, for the error. Raises GenbenchError that names the first few missing,
    unexpected and misshapen tensors; the module is then left as it was.
    """
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
        raise GenbenchError(f"the weights do not fit {what}: {'; '.join(found)}; name its own file")
    module.load_state_dict(state, strict=True)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
