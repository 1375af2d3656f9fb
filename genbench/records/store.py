"""Append-only records: one measurement a line."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.records.measurement import Measurement
from genbench.runtime.files import write_error


def append_records(path: Path, measurements: Iterable[Measurement]) -> None:
    """Add measurements to a JSON-lines file, all or none, beside other runs doing the same.

    A last line without its end is what a machine that died while writing left of a record that
    was never finished; it is dropped.
    """
    text = "".join(measurement.to_json() + "\n" for measurement in measurements)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            size = file.read().rfind(b"\n") + 1
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


def read_records(path: Path) -> list[Measurement]:
    """Every measurement of a file, oldest first; an absent file has none.

    Raises GenbenchError naming the line that is not a record.
    """
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line:
            continue
        try:
            records.append(Measurement.from_json(line))
        except (json.JSONDecodeError, TypeError) as error:
            raise GenbenchError(
                f"{path}, line {number} is not a genbench record ({error}): remove that line"
            ) from error
    return records
