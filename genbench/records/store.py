"""Append-only records: one measurement a line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from genbench.errors import GenbenchError
from genbench.records.kinds import Record
from genbench.records.lines import from_line, to_line
from genbench.runtime.files import lock, write_error

_BLOCK = 4096  # bytes read at once while looking for the last whole line


def append_records(path: Path, records: Iterable[Record]) -> None:
    """Add records to a JSON-lines file, all or none, beside other runs doing the same.

    A last line without its end is what a machine that died while writing left of a record that
    was never finished; it is dropped.
    """
    text = "".join(to_line(record) + "\n" for record in records)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            lock(file)
            size = _whole_lines(file)
            os.ftruncate(file.fileno(), size)
            try:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), size)
                raise
    except OSError as error:
        raise write_error(path, error) from error


def _whole_lines(file: IO[bytes]) -> int:
    """Bytes of a file up to the end of its last whole line, found from its end."""
    position = file.seek(0, os.SEEK_END)
    while position:
        start = max(position - _BLOCK, 0)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def read_records(path: Path) -> list[Record]:
    """Every record of a file, oldest first; an absent file has none.

    Raises GenbenchError naming the file and the line that is not a record, or of a newer version.
    """
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise GenbenchError(f"{path} is no record file ({error}): name another") from error
    return [
        from_line(line, name=f"{path}, line {number}")
        for number, line in enumerate(text.splitlines(), start=1)
        if line
    ]
