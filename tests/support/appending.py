"""A process that appends records: in a module of its own, where a new process finds it."""

from __future__ import annotations

from pathlib import Path

from made_records import made

from genbench.records.kinds import QualityRecord
from genbench.records.store import append_records


def measurement(value: float = 1.0, run: str = "r") -> QualityRecord:
    return made("toy", "fd", value, run=run, samples=10, notes=("n",), low=0.1, high=60.5)


def append_many(path: str, name: str) -> None:
    for number in range(50):
        append_records(Path(path), [measurement(float(number), name)])
