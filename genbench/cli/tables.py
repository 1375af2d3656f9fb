"""`genbench table` and `genbench report`: what is made of records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from genbench.cli import completion
from genbench.cli.options import OUTPUT, RECORDS, Cache, Records

if TYPE_CHECKING:
    from genbench.records.kinds import Record
    from genbench.tables.cells import Table


def table(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="Table (`genbench ls tables`), or a spec: PATH.toml.",
            autocompletion=completion.tables,
            show_default=False,
        ),
    ] = "",
    from_records: Annotated[
        bool,
        typer.Option(
            "--from-records", help="A table of what is on record.", rich_help_panel=RECORDS
        ),
    ] = False,
    rows: Annotated[
        str,
        typer.Option(
            help="What tells rows apart: checkpoint,options,steps …",
            metavar="WORDS",
            rich_help_panel=RECORDS,
        ),
    ] = "automatic",
    columns: Annotated[
        str,
        typer.Option(
            help="Metrics: fid,precision,throughput …", metavar="METRICS", rich_help_panel=RECORDS
        ),
    ] = "automatic",
    protocol: Annotated[
        str,
        typer.Option(
            help="Of this protocol, or of several: A,B or all.",
            metavar="NAMES",
            rich_help_panel=RECORDS,
            autocompletion=completion.protocols,
            show_default="that of most models",
        ),
    ] = "",
    format: Annotated[
        Literal["terminal", "md", "latex", "csv", "json", "html"] | None,
        typer.Option(
            help="What to print.",
            rich_help_panel=OUTPUT,
            show_default="terminal, or what --out ends in",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Print no table, but what is wrong with it.", rich_help_panel=OUTPUT
        ),
    ] = False,
    n: Annotated[
        int,
        typer.Option("-n", help="Sample count.", min=0, metavar="N", show_default="the table's"),
    ] = 0,
    records: Records = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            help="File to write (.md .tex .csv .json .html .txt) instead; repeat it.",
            metavar="FILE",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Show a paper's table, published beside measured; what is missing says how to fill it.

    Specs of your own are found by name beside the record file and in ./tables. --from-records
    needs no spec: a row a model, checkpoint and setting on record, a column a metric; of the
    protocol and count of most models, unless --protocol and -n choose others. Several protocols
    have columns of their own.

    --check exits 1 and lists every cell that is missing or differs from the paper by more than
    its uncertainty and the paper's rounding, and --out when the file is not what would be written.
    """
    from genbench import api
    from genbench.cli.console import stdout
    from genbench.errors import UsageError
    from genbench.runtime.files import refuse_input, replacing
    from genbench.tables.terminal import print_table
    from genbench.tables.views import Results

    for path in out or ():
        refuse_input(path, record_files(records))
    if from_records == bool(name):
        raise UsageError("name a table (`genbench ls tables`) or pass --from-records, one of them")
    if _listed(columns) == []:
        raise UsageError("--columns names no metric: fid,precision,throughput …")
    if name and (rows, columns, protocol) != ("automatic", "automatic", ""):
        raise UsageError("--rows, --columns and --protocol go with --from-records: a spec has them")
    found = read_all(records)
    if name:
        built = api.build_table(name, found, samples=n, folders=spec_folders(records)).table
    else:
        built = Results(found).table(
            rows=_listed(rows), columns=_listed(columns), samples=n, protocol=protocol
        ).table  # fmt: skip
    texts = {path: _as_text(built, format or _format_of(path)) for path in out or ()}
    if check:
        faults = built.faults()
        for path, text in texts.items():
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                faults.append(f"not current: {path}: run the same command without --check")
        for fault in faults:
            print(fault)
        if faults:
            raise typer.Exit(1)
        return
    for path, text in texts.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    if not texts and format in (None, "terminal"):
        print_table(stdout, built)
    elif not texts and format is not None:
        print(_as_text(built, format), end="")


def _listed(given: str) -> list[str] | None:
    """The words of a list with commas; None for "automatic"."""
    words = [word.strip() for word in given.split(",")]
    found = list(dict.fromkeys(word for word in words if word))
    return None if found == ["automatic"] else found


def record_files(files: list[Path] | None) -> list[Path]:
    """Those that are read: the ones named, else the default one."""
    from genbench.runtime.folders import default_records

    return files or [default_records()]


def spec_folders(files: list[Path] | None) -> tuple[Path, ...]:
    """Where a user's own specs may lie: beside the record files, and in ./tables."""
    from genbench.tables.spec_files import beside

    return beside(record_files(files))


def _format_of(path: Path) -> str:
    from genbench.errors import UsageError

    formats = {
        ".md": "md", ".tex": "latex", ".csv": "csv", ".json": "json", ".html": "html",
        ".txt": "terminal",
    }  # fmt: skip
    if path.suffix not in formats:
        raise UsageError(
            f"--out {path}: end it in {', '.join(formats)}, or say which --format it takes"
        )
    return formats[path.suffix]


def read_all(files: list[Path] | None) -> list[Record]:
    """The records of several files in the order named; of the usual file when none is. Lines that
    are no records are told. Raises UsageError for a file that is not there."""
    from genbench.cli.console import told
    from genbench.records.store import read_records, refuse_absent

    for path in files or ():
        refuse_absent(path)
    return [record for path in record_files(files) for record in read_records(path, told=told)]


def _as_text(built: Table, format: str) -> str:
    from genbench.tables.data_formats import table_to_csv, table_to_json
    from genbench.tables.html import table_to_html
    from genbench.tables.terminal import table_to_terminal
    from genbench.tables.text_formats import table_to_latex, table_to_markdown

    formats = {
        "terminal": table_to_terminal,
        "md": table_to_markdown,
        "latex": table_to_latex,
        "csv": table_to_csv,
        "json": table_to_json,
        "html": table_to_html,
    }
    return formats[format](built)


def report(
    out: Annotated[Path, typer.Option(help="HTML file to write.", metavar="FILE")] = (
        Path("report.html")
    ),
    n: Annotated[
        int,
        typer.Option(
            "-n",
            help="Sample count of tables that print no paper's.",
            min=0,
            metavar="N",
            show_default="the tables'",
        ),
    ] = 0,
    title: Annotated[
        str,
        typer.Option(
            help="Title of the page.", metavar="TEXT", show_default="Image generators, measured"
        ),
    ] = "",
    records: Records = None,
    cache: Cache = None,
) -> None:
    """Write tables, figures, samples and the provenance of every number as one HTML file.

    The file needs no network and no other file. Samples are those that `fid` kept beside the
    records, or the cache's.
    """
    import sys
    from datetime import UTC, datetime

    from genbench.report.document import TITLE, report_html
    from genbench.runtime.files import refuse_input, replacing
    from genbench.runtime.folders import cache_folder
    from genbench.tables.collection import all_tables

    refuse_input(out, record_files(records))
    files = {path: read_all([path]) if records else read_all(None)
             for path in record_files(records)}  # fmt: skip
    found = [record for one in files.values() for record in one]
    tables = all_tables(found, spec_folders(records), n)
    text = report_html(
        files, tables, cache=cache or cache_folder(), title=title or TITLE,
        written=datetime.now(UTC).date().isoformat(),
    )  # fmt: skip
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{len(tables)} tables, {len(found)} records: {out}", file=sys.stderr)
