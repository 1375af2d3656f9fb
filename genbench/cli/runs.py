"""`genbench delete`: runs taken off record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from genbench.cli.options import Records
from genbench.errors import UsageError


def delete(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Run (`genbench ls runs`), by id or name.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    records: Records = None,
) -> None:
    """Remove runs from the record file: every figure of theirs, and nothing else.

    Says what would be removed, and asks. What was drawn and computed stays in the cache.
    """
    from genbench.cli.console import told
    from genbench.cli.tables import record_files
    from genbench.records.deletion import delete_runs
    from genbench.records.influences import influences_folder, influences_in
    from genbench.records.kinds import Record
    from genbench.records.labels import labels_of
    from genbench.records.runs import day_of, figures_in, find_run
    from genbench.records.store import read_records, refuse_absent

    files = record_files(records)
    for path in files:
        refuse_absent(path)
    known: dict[Path, list[Record]] = {path: read_records(path, told=told) for path in files}
    everything = [record for found in known.values() for record in found]
    label = labels_of(everything)
    chosen = {run[0].run: run for run in (find_run(word, everything) for word in runs)}
    for name, run in chosen.items():
        count = f"{len(run)} figure{'s' * (len(run) != 1)}"
        print(f"run {name}, {label(run[0])}, {day_of(run[0])}: {count} ({figures_in(run)})")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nobody is there to ask, and nothing was deleted: pass --yes")
        typer.confirm("Delete them?", abort=True)
    for path, found in known.items():
        if any(record.run in chosen for record in found):
            lines = delete_runs(path, chosen)
            for name in chosen:  # what nothing else can use
                influences_in(influences_folder(path), name).unlink(missing_ok=True)
            print(f"{lines} line{'s' * (lines != 1)} removed from {path}", file=sys.stderr)
