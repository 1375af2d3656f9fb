"""`genbench site`: a folder of static pages from records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.options import OUTPUT, RECORDS_DEFAULT
from genbench.errors import UsageError

if TYPE_CHECKING:
    from genbench.records.kinds import Record


def site(
    records: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Record files to read.", metavar="RECORDS", show_default=RECORDS_DEFAULT
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="Folder to write: new, empty, or a site.", metavar="FOLDER",
                     rich_help_panel=OUTPUT),
    ] = Path("site"),
    title: Annotated[
        str,
        typer.Option(help="Title of the pages.", metavar="TEXT", rich_help_panel=OUTPUT,
                     show_default="Image generators, measured"),
    ] = "",
    bundles: Annotated[
        Path | None,
        typer.Option(help="Folder of bundles (.genbench) to put beside their runs.",
                     metavar="FOLDER", show_default=False),
    ] = None,
) -> None:  # fmt: skip
    """Write records as a static site: tables, fronts, history, and a page for every run.

    The pages need no server and no network: open index.html. A number links to its run's page, with
    its provenance, its badge and the command that measures or verifies it. JSON and CSV lie behind
    every table. Equal records give equal files.
    """
    from genbench.cli.console import told
    from genbench.records.runs import runs_of
    from genbench.site.folder import refuse_other, write_folder
    from genbench.site.packed import packed_runs
    from genbench.site.pages import TITLE, Site

    refuse_other(out)
    found = _read(records)
    packed = packed_runs(bundles, runs_of(found), told) if bundles else {}
    pages = Site(records=found, title=title or TITLE, bundles=packed)
    number = write_folder(out, pages.files())
    print(f"{len(found):,} records, {number:,} files: {out / 'index.html'}", file=sys.stderr)


def _read(files: list[Path] | None) -> list[Record]:
    """The records of all files, each once, oldest first. Raises UsageError when there is none."""
    from genbench.cli.tables import read_all, record_files
    from genbench.records.lines import to_line

    once = {to_line(record): record for record in read_all(files)}
    if not once:
        named = ", ".join(map(str, record_files(files)))
        raise UsageError(
            f"there are no records in {named}: measure something first "
            "(genbench fid --model toy --res 32), or name another file"
        )
    # A run's figures stay in their order; runs of one second come in one order whatever the files'.
    return sorted(once.values(), key=lambda record: (record.created, record.run))
