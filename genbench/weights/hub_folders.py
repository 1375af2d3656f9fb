"""Folders of configurations and weights: here, or fetched from the Hub by its own client."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, UsageError
from genbench.runtime.digests import file_sha256

_TEXTS = ("*.json", "*.txt", "*.model")  # configurations and vocabularies
_TENSORS = ("*.safetensors",)
_PICKLES = ("*.bin", "*.pt", "*.ckpt", "*.pth")


def folder_of(
    argument: str, *, weights: bool, pickles: bool = False, what: str = "a pipeline"
) -> Path:
    """Where `what` lies: a folder, or the Hub's `owner/name@revision` in its cache, fetched where
    it is not there.

    weights: those too; else configurations alone are fetched. Raises UsageError for what is neither
    a folder nor an id, GenbenchError where the Hub cannot be reached.
    """
    path = Path(argument).expanduser()
    if path.is_dir():
        return path
    name, _, revision = argument.partition("@")
    if name.count("/") != 1 or argument.startswith((".", "/", "~")):
        raise UsageError(f"there is no folder {argument}: name {what}'s folder, or a Hub id")
    return _fetched(name, revision or None, weights=weights, pickles=pickles)


def _fetched(name: str, revision: str | None, *, weights: bool, pickles: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise GenbenchError(
            f"there is no folder {name}, and fetching from the Hub needs huggingface_hub: pip "
            "install 'genbench[diffusers]'"
        ) from error
    wanted = [*_TEXTS, *(_TENSORS if weights else ()), *(_PICKLES if weights and pickles else ())]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except Exception as error:  # of the client, of its transport, of the Hub
        told = " ".join(str(error).split())[:200] or type(error).__name__
        at = f"@{revision}" if revision else ""
        raise GenbenchError(
            f"{name}{at} is no folder here and cannot be fetched from the Hub ({told}): check the "
            "name and the network, or name a folder"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """A configuration. Raises GenbenchError for a file that is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise GenbenchError(f"{path} is not JSON ({error}): fetch it again") from error
    if not isinstance(found, dict):
        raise GenbenchError(f"{path} holds no configuration: fetch it again")
    return found


def pickles_in(folder: Path) -> list[Path]:
    """Weights of a folder that have no safetensors beside them: pickles, which could run code."""
    found = _files(folder, _PICKLES)
    return [path for path in found if not any(path.parent.glob("*.safetensors"))]


def folder_digest(folder: Path, *, pickles: bool = True) -> str:
    """SHA-256 (hex) of every configuration, vocabulary and weights file by its name. pickles: those
    too. Raises GenbenchError for a file that cannot be read."""
    total = hashlib.sha256()
    patterns = (*_TEXTS, *_TENSORS, *(_PICKLES if pickles else ()))
    for path in _files(folder, patterns):
        name = path.relative_to(folder).as_posix()
        total.update(f"{name} {file_sha256(path)}\n".encode())
    return total.hexdigest()


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """The files of those names in a folder and those below it, linked ones too, in order."""
    found = _below(folder, ())
    return sorted(path for path in found if any(path.match(pattern) for pattern in patterns))


def _below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:  # a link that leads back up
        return
    try:
        items = list(folder.iterdir())
    except OSError as error:
        raise GenbenchError(f"cannot read {folder}: {error.strerror or error}") from error
    for item in items:
        if item.is_dir():
            yield from _below(item, (*above, real))
        else:
            yield item
