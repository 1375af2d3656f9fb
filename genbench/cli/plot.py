"""`genbench plot`: one figure of the report as a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.options import Records
from genbench.errors import GenbenchError, UsageError, suggestion

if TYPE_CHECKING:
    from genbench.report.figure import Figure

_FORMATS = (".svg", ".png", ".pdf")


def plot(
    kind: Annotated[
        str, typer.Argument(help="speed, counts, sweeps, evaluations, batches or training.")
    ],
    out: Annotated[Path, typer.Option(help="File to write: .svg, .png or .pdf.")],
    records: Records = None,
) -> None:
    """Draw one figure of the report: quality against speed, counts, an option, evaluations, the
    step of a training; speed against the batch size.

    What does not compare is drawn apart: a second figure goes to NAME-2.svg, and so on.
    """
    from genbench.cli.tables import read_all, record_files
    from genbench.report.figures import KINDS, MISSING, figures_of
    from genbench.report.hints import missing_commands
    from genbench.report.svg import title_of
    from genbench.runtime.files import refuse_input

    if kind not in KINDS:
        raise UsageError(f"there is no figure {kind}; {suggestion(kind, KINDS)}")
    if out.suffix not in _FORMATS:
        raise UsageError(f"--out {out}: end it in {', '.join(_FORMATS)}")
    read = record_files(records)
    refuse_input(out, read)
    known = read_all(records)
    found = figures_of(kind, known)
    if not found:
        commands = missing_commands(kind, known)
        remedy = f"; this brings it: {commands[0]}" if commands else ": measure such models first"
        raise GenbenchError(f"no data for {kind} is on record: {MISSING[kind]}{remedy}")
    for number, figure in enumerate(found, start=1):
        path = out if number == 1 else out.with_stem(f"{out.stem}-{number}")
        refuse_input(path, read)
        print(f"{title_of(write_figure(figure, path))}: {path}", file=sys.stderr)


def write_figure(figure: Figure, path: Path) -> str:
    """Draw a figure into a file, .svg, .png or .pdf; returns its SVG text. Raises GenbenchError
    where the file cannot be written."""
    from genbench.report.plots import also_saved
    from genbench.runtime.files import replacing

    with replacing(path) as temporary:
        if path.suffix == ".svg":
            text = figure.draw()
            temporary.write_text(text, encoding="utf-8")
        else:
            with also_saved(temporary, "png" if path.suffix == ".png" else "pdf"):
                text = figure.draw()
    return text
