"""Whether a file whose digest nobody publishes is at least whole: looked at before it is pinned."""

from __future__ import annotations

import zipfile
from pathlib import Path

from genbench.errors import GenbenchError

_PAGE = (b"<!doctype html", b"<html", b"<?xml")
_ZIPS = {".npz", ".zip"}


def check_looks(path: Path, name: str) -> None:
    """Raises GenbenchError for an empty file, a web page, and a container cut short.

    path: where it lies. name: the published one, whose ending tells the kind. Of a zip (`.npz`, a
    torch file) the directory at its end is read, of `.safetensors` the length that its header
    announces. Nothing is unpickled.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise GenbenchError("the file is empty")
    if start.lstrip().lower().startswith(_PAGE):
        raise GenbenchError("what came is a web page, not the file")
    ending = Path(name).suffix
    if (ending in _ZIPS or start.startswith(b"PK\3\4")) and not zipfile.is_zipfile(path):
        raise GenbenchError("the zip has no end: the file is cut short")
    if ending == ".safetensors":
        _check_safetensors(path, size)


def _check_safetensors(path: Path, size: int) -> None:
    """As the format has it: 8 bytes of length, a JSON header, then the tensors it announces."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy"):
            return
    except (SafetensorError, OSError, ValueError) as error:
        raise GenbenchError(
            f"it is no whole safetensors file of {size} bytes ({str(error).splitlines()[0]})"
        ) from error
