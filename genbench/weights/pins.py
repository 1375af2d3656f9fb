"""Digests that nobody publishes, pinned when a file is first fetched: the lock file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge

from genbench.errors import GenbenchError
from genbench.runtime.files import lock, replacing, write_error
from genbench.runtime.folders import cache_folder, expanded
from genbench.runtime.validated import validated_json
from genbench.weights.addresses import LOCK_NAME


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What a file was when it was first fetched. sha256: hex. bytes: its size. pinned: the day,
    2026-11-29 (UTC)."""

    sha256: str
    bytes: Annotated[int, Ge(0)]
    pinned: str

    def __post_init__(self) -> None:
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            raise GenbenchError(
                f"SHA-256 {self.sha256!r} must be 64 hexadecimal digits: correct the entry, or "
                "remove it to have the file's pinned anew"
            )


@dataclass(frozen=True, kw_only=True)
class LockFile:
    """Pins by the address at which each file is published."""

    format: Literal[1] = 1
    files: Mapping[str, Pin] = field(default_factory=dict)


def lock_file() -> Path:
    """$GENBENCH_LOCK, so that a project can keep its own under version control; else genbench.lock
    in the cache folder."""
    if given := os.environ.get("GENBENCH_LOCK"):
        return expanded(given, "GENBENCH_LOCK")
    return cache_folder() / LOCK_NAME


def read_pins(path: Path | None = None) -> Mapping[str, Pin]:
    """The pins of a lock file, by address; none where there is no file. Raises GenbenchError for
    one that cannot be read."""
    path = path or lock_file()
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise GenbenchError(
            f"cannot read {path}: {error.strerror or error}; check GENBENCH_LOCK"
        ) from error
    return parsed_pins(text, path)


def parsed_pins(text: bytes, name: object) -> Mapping[str, Pin]:
    """The pins in the text of a lock file. name: of the file, for the refusal. Raises GenbenchError
    for a text that is none."""
    return validated_json(text, LockFile, name=name).files


def pin(url: str, *, sha256: str, size: int, path: Path | None = None) -> bool:
    """Pin the digest (hex, in full) and size in bytes of what an address sent; whether that is new.

    Several processes may pin at once: each pin of a lock file is kept. Raises GenbenchError, naming
    both digests, where another is pinned, and for a file that cannot be written.
    """
    path = path or lock_file()
    with _held(path):
        pins = dict(read_pins(path))
        known = pins.get(url)
        if known is not None:
            if known.sha256 != sha256:
                raise GenbenchError(
                    f"{url} has SHA-256 {sha256}, and {known.sha256} is pinned in {path} since "
                    f"{known.pinned}: the published file changed, or is not the published one; "
                    f"{how_to_repin(url, path)}"
                )
            return False
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        pins[url] = Pin(sha256=sha256, bytes=size, pinned=day)
        content = asdict(LockFile(files=dict(sorted(pins.items()))))
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")
    return True


def how_to_repin(url: str, path: Path | None = None) -> str:
    """The remedy where a change is meant, for error lines."""
    return f"if that is meant, remove the entry of {url} from {path or lock_file()} and run again"


@contextmanager
def _held(path: Path) -> Iterator[None]:
    beside = path.with_name(f".{path.name}.lock")
    try:
        beside.parent.mkdir(parents=True, exist_ok=True)
        file = beside.open("a")
    except OSError as error:
        raise write_error(path, error) from error
    with file:
        lock(file)
        yield
