"""`genbench reproduce`: what gives a figure again, written down or run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.options import COMPUTE, OUTPUT, Json, Records
from genbench.errors import GenbenchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genbench.records.kinds import QualityRecord
    from genbench.reproducing.commands import Evaluation
    from genbench.reproducing.opening import Wanted


def reproduce(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run, by id or name; a record file, FILE.jsonl, or its line N, FILE.jsonl:N; or "
            "a bundle.",
            show_default=False,
        ),
    ],
    run: Annotated[
        bool, typer.Option("--run", help="Measure again here, and compare.")
    ] = False,
    measured: Annotated[
        Path | None,
        typer.Option(
            help="Compare with these records, measured elsewhere.", metavar="FILE",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write: run.sh, requirements.lock, Dockerfile, README.md, "
            "expected.jsonl.", metavar="FOLDER", rich_help_panel=OUTPUT, show_default=False,
        ),
    ] = None,
    base: Annotated[
        str,
        typer.Option(
            help="Image to build on, NAME:TAG or NAME:TAG@sha256:…", metavar="IMAGE",
            rich_help_panel=OUTPUT, show_default="python:VERSION-slim as on record",
        ),
    ] = "",
    checkpoint: Annotated[
        str,
        typer.Option(
            help="Where the weights lie now, as --file CHECKPOINT=PATH.", metavar="PATH",
            rich_help_panel=COMPUTE, show_default="where they lay",
        ),
    ] = "",
    file: Annotated[
        list[str] | None,
        typer.Option(
            help="Where a file lies now; repeat it.", metavar="NAME=PATH", rich_help_panel=COMPUTE,
            show_default="where they lay",
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="auto, cpu, cuda, cuda:1, …", metavar="DEVICE", rich_help_panel=COMPUTE,
            show_default="the kind on record",
        ),
    ] = "",
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Keep what is drawn here, and do not draw again what is kept.", metavar="FOLDER",
            rich_help_panel=COMPUTE, show_default="everything is drawn anew",
        ),
    ] = None,
    json_lines: Json = False,
    records: Records = None,
) -> None:  # fmt: skip
    """Print the commands that give a figure again; --run runs them here, --out writes a container.

    --run and --measured say of each figure whether it is equal, equal but for rounding (1e-6 of it;
    1e-3 on another kind of device or with other packages), within its interval or different, and
    what differs of the environment; exit code 1 unless all are equal but for rounding.
    """
    from genbench.cli.console import told
    from genbench.cli.tables import read_all
    from genbench.reproducing.commands import evaluations
    from genbench.reproducing.opening import wanted
    from genbench.reproducing.script import script

    if run + (measured is not None) + (out is not None) > 1:
        raise UsageError("--run, --measured and --out are three things: one at a time")
    if base and out is None:
        raise UsageError("--base is of the container that --out FOLDER writes: pass both")
    if not run and (file or checkpoint or device or cache):
        raise UsageError("--file, --checkpoint, --device and --cache are of --run: pass it too")
    found = wanted(what, lambda: read_all(records), told)
    commands = evaluations(found.records)
    if out is not None:
        _write(found.name, commands, out, base)
    elif run:
        _compare(commands, _again(found, commands, checkpoint, file or [], device, cache),
                 json_lines)  # fmt: skip
    elif measured is not None:
        _compare(commands, _elsewhere(measured), json_lines)
    elif json_lines:
        for one in commands:
            print(json.dumps(_as_json(one)))
    else:
        print(script(found.name, commands), end="")


def _write(name: str, commands: Sequence[Evaluation], out: Path, base: str) -> None:
    from genbench.reproducing.recipe import recipe, write_recipe

    files = recipe(name, commands, base=base)
    write_recipe(out, files)
    print(f"{', '.join(files)}: {out}", file=sys.stderr)


def _as_json(one: Evaluation) -> dict[str, object]:
    from dataclasses import asdict

    place = one.records[0].environment
    return {
        "command": one.shown(),
        "needs": [asdict(need) for need in one.needs],
        "notes": list(one.notes),
        "figures": [
            {"metric": record.metric, "samples": record.samples, "value": record.value}
            for record in one.records
        ],
        "genbench": place.genbench,
        "git": place.git,
        "python": place.python,
        "packages": dict(place.packages),
        "threads": place.threads,
    }


def _again(
    found: Wanted, commands: Sequence[Evaluation], checkpoint: str, file: list[str], device: str,
    cache: Path | None,
) -> list[QualityRecord]:  # fmt: skip
    from genbench.cli.console import told
    from genbench.reproducing.commands import TIMES
    from genbench.reproducing.rerun import check_files, run_again
    from genbench.runtime.progress_bars import ProgressBars

    quality = [one for one in commands if one.of_quality]
    for one in commands:
        if not one.of_quality:
            told(f"not run, {TIMES}: {one.shown()}")
    if not quality:
        raise UsageError("the run measured speed alone, which is no figure to compare with")
    given = {"CHECKPOINT": checkpoint} if checkpoint else {}
    for text in file:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UsageError(f"--file {text}: write NAME=PATH, as `genbench reproduce` names them")
        given[name] = path
    files = check_files(quality, given)
    bars = ProgressBars(leads=True)
    return [
        record
        for one in quality
        for record in run_again(
            one, files, protocol=found.protocol, device=device, cache=cache, reporter=bars
        )
    ]


def _elsewhere(path: Path) -> list[QualityRecord]:
    from genbench.cli.console import told
    from genbench.cli.tables import read_all
    from genbench.records.kinds import QualityRecord

    found = [record for record in read_all([path]) if isinstance(record, QualityRecord)]
    if not found:
        told(f"{path} holds no figures of quality")
    return found


def _compare(
    commands: Sequence[Evaluation], measured: Sequence[QualityRecord], json_lines: bool
) -> None:
    from dataclasses import asdict

    from genbench.cli.console import show_rows
    from genbench.records.kinds import QualityRecord
    from genbench.reproducing.comparing import (
        OTHER_KERNELS,
        TOLERANCE,
        counterpart,
        differences,
        reproduced,
    )

    recorded = [
        record for one in commands for record in one.records if isinstance(record, QualityRecord)
    ]
    if not recorded:
        raise UsageError("the run measured speed alone, which is no figure to compare with")
    figures = reproduced(recorded, measured)
    pairs = [(record, counterpart(record, measured)) for record in recorded]
    apart = list(
        dict.fromkeys(
            item for record, again in pairs if again for item in differences(record, again)
        )
    )
    if json_lines:
        for figure in figures:
            print(json.dumps(asdict(figure)))
        for difference in apart:
            print(json.dumps(asdict(difference)))
    else:
        show_rows([figure.as_row() for figure in figures])
        if apart:
            show_rows([item.as_row() for item in apart])
        else:
            print("nothing that was recorded of the environment differs", file=sys.stderr)
    failed = [figure for figure in figures if not figure.holds]
    if failed:
        raise GenbenchError(
            f"{len(failed)} of {len(figures)} figures are not those on record, by more than "
            f"rounding moves ({TOLERANCE:g} of a figure; {OTHER_KERNELS:g} with another device or "
            "packages): see what differs"
        )
