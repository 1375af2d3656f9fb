"""Runs taken off record: their lines removed from a record file, everything else left as it is."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.records.lines import from_line
from genbench.records.remote import change_lines
from genbench.records.store import still_there
from genbench.runtime.addresses import address_in
from genbench.runtime.files import lock, refuse_special, replacing


def delete_runs(path: Path, runs: Collection[str]) -> int:
    """Remove the lines of some runs from a record file, whole or not at all; how many there were.

    Lines that are no records stay. Whoever appends meanwhile waits (`append_records`). Raises
    GenbenchError for a file that cannot be read or written.
    """
    if address := address_in(path):
        return _deleted_at(address, runs)
    refuse_special(path)
    target = path.resolve()  # a link stays one
    try:
        removed = None
        while removed is None:
            removed = _deleted(target, runs)
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    return removed


def _deleted(path: Path, runs: Collection[str]) -> int | None:
    """How many lines were removed; None where another took the file's place meanwhile."""
    with path.open("rb") as file:
        lock(file)
        if not still_there(file, path):
            return None
        lines = file.read().splitlines(keepends=True)
        kept = [line for line in lines if not _is_of(line, runs)]
        if len(kept) < len(lines):
            with replacing(path) as temporary:
                temporary.write_bytes(b"".join(kept))
                temporary.chmod(path.stat().st_mode)
    return len(lines) - len(kept)


def _deleted_at(address: str, runs: Collection[str]) -> int:
    removed = 0

    def kept(data: bytes) -> bytes:
        nonlocal removed
        lines = data.splitlines(keepends=True)
        left = [line for line in lines if not _is_of(line, runs)]
        removed += len(lines) - len(left)
        return b"".join(left)

    change_lines(address, kept)
    return removed


def _is_of(line: bytes, runs: Collection[str]) -> bool:
    try:
        return from_line(line).run in runs
    except GenbenchError:
        return False
