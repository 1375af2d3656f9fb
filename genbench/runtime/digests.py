"""SHA-256 of values and of files."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.runtime.files import refuse_special


def canonical_digest(value: object) -> str:
    """SHA-256 (hex) of `value` as JSON with sorted keys (what JSON lacks as text): equal values,
    equal digests."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file, remembered for as long as its size and time stay the same."""
    refuse_special(path)
    try:
        found = path.stat()
        return _sha256_of(str(path), found.st_size, found.st_mtime_ns, found.st_ino)
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror or error}") from error


@lru_cache(maxsize=64)
def _sha256_of(path: str, size: int, modified: int, inode: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
