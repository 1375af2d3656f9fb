"""Addresses such as s3://bucket/folder where a path is taken, and how they are told to others."""

from __future__ import annotations

import re
from pathlib import Path

# A path has one slash where an address has two: Path("s3://bucket/x") is "s3:/bucket/x". Schemes of
# one letter are drives.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)
_OF_THIS_MACHINE = ("file", "local")  # whose paths begin with a slash
_TOLD = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/@\s]*@|[^/@:\s]*:(?!\d+(?:/|$))[^@\s]*@)?(?P<path>[^?#\s]*)"
                   r"(?P<query>\?[^#\s]*)?")  # fmt: skip


def address_in(path: str | Path) -> str:
    """The address that a path stands for, "s3://bucket/x"; empty for a path of this machine."""
    found = _ADDRESS.fullmatch(path if isinstance(path, str) else path.as_posix())
    if found is None:
        return ""
    scheme, rest = found.groups()
    return f"{scheme}://{'/' if scheme in _OF_THIS_MACHINE else ''}{rest}"


def shown(path: Path) -> str:
    """A path or the address it stands for, as it may be told."""
    return without_secrets(address_in(path)) or str(path)


def without_secrets(text: str) -> str:
    """A text with the user, password and query of every address in it left out: what may stand in a
    message or a record."""
    return _TOLD.sub(lambda found: found["scheme"] + found["path"], text)
