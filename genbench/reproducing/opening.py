"""What is to be reproduced as the user names it: a run, a record file, a line of it, a bundle."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.bundles.archive import read_bundle
from genbench.bundles.verification import records_of
from genbench.errors import GenbenchError, UsageError
from genbench.records.kinds import Record
from genbench.records.lines import from_line
from genbench.records.protocols import EvalProtocol
from genbench.records.runs import find_run
from genbench.records.store import read_records
from genbench.runtime.files import refuse_special

_LINE = re.compile(r"(?P<path>.+):(?P<number>\d+)$")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Records to reproduce. protocol: as a bundle holds it; None: to be found by its digest."""

    name: str
    records: tuple[Record, ...]
    protocol: EvalProtocol | None = None


def wanted(
    word: str, on_record: Callable[[], Sequence[Record]], told: Callable[[str], object]
) -> Wanted:
    """The records that a word names: RUN by id or name, FILE.jsonl, the line N of it as
    FILE.jsonl:N, or a bundle.

    on_record: the records among which runs are found. told: as of `read_records`. Raises UsageError
    for what is not there, GenbenchError for a file that is none of them.
    """
    if word.endswith(".genbench"):
        path = _there(Path(word), "bundle")
        bundle = read_bundle(path)
        return Wanted(
            name=path.name, records=tuple(records_of(bundle)), protocol=bundle.manifest.protocol
        )
    line = None if Path(word).is_file() else _LINE.match(word)
    if line and ("/" in line["path"] or line["path"].endswith(".jsonl")):
        path = _there(Path(line["path"]), "record file")
        return Wanted(name=word, records=(_line_of(path, int(line["number"])),))
    if "/" in word or word.endswith(".jsonl") or Path(word).is_file():
        path = _there(Path(word), "record file")
        found = read_records(path, told=told)
        if not found:
            raise GenbenchError(f"{path} holds no records: name another file, or a run")
        return Wanted(name=path.name, records=tuple(found))
    run = find_run(word, on_record())
    return Wanted(name=f"run {run[0].run}", records=tuple(run))


def _there(path: Path, what: str) -> Path:
    if not path.is_file():
        refuse_special(path)
        raise UsageError(f"there is no {what} {path}: check the path")
    return path


def _line_of(path: Path, number: int) -> Record:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    count = len(lines) - (not lines[-1].strip())
    if not 1 <= number <= count:
        raise UsageError(f"{path} has the lines 1 to {count}, and no line {number}: name one")
    return from_line(lines[number - 1], name=f"{path}, line {number}")
