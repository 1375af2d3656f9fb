"""`genbench table`, `genbench report` and `genbench compare`: what is made of records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from genbench.cli.options import Cache, Json

if TYPE_CHECKING:
    from genbench.records.kinds import Record
    from genbench.tables.build import Table

Records = Annotated[
    list[Path] | None,
    typer.Option(help="Record file to read; repeat it (default: $GENBENCH_RECORDS)."),
]


def table(
    name: Annotated[
        str, typer.Argument(help="Table (`genbench ls tables`), or a spec: PATH.toml.")
    ],
    format: Annotated[
        Literal["terminal", "md", "latex", "csv", "html"] | None,
        typer.Option(help="What to print (default: terminal, or what --out ends in)."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Print no table, but what is wrong with it.")
    ] = False,
    n: Annotated[int, typer.Option("-n", help="Sample count, if not the table's.", min=0)] = 0,
    records: Records = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="File to write (.md .tex .csv .html .txt) instead; repeat it."),
    ] = None,
) -> None:
    """Show a paper's table, published beside measured; what is missing says how to fill it.

    --check exits 1 and lists every cell that is missing or differs from the paper by more than
    its uncertainty and the paper's rounding, and --out when the file is not what would be written.
    """
    from genbench import api
    from genbench.cli.console import stdout
    from genbench.runtime.files import refuse_input, replacing
    from genbench.tables.terminal import print_table

    for path in out or ():
        refuse_input(path, records or ())
    built = api.build_table(name, read_all(records), samples=n).table
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


def _format_of(path: Path) -> str:
    from genbench.errors import UsageError

    formats = {".md": "md", ".tex": "latex", ".csv": "csv", ".html": "html", ".txt": "terminal"}
    if path.suffix not in formats:
        raise UsageError(
            f"--out {path}: end it in {', '.join(formats)}, or say which --format it takes"
        )
    return formats[path.suffix]


def read_all(files: list[Path] | None) -> list[Record]:
    """The records of several files in the order named; of the usual file when none is. Lines that
    are no records are told. Raises UsageError for a file that is not there."""
    from genbench.cli.console import told
    from genbench.errors import UsageError
    from genbench.records.store import read_records
    from genbench.runtime.folders import default_records

    for path in files or ():
        if not path.exists():
            raise UsageError(f"there is no record file {path}: check the path")
    return [
        record for path in files or [default_records()] for record in read_records(path, told=told)
    ]


def _as_text(built: Table, format: str) -> str:
    from genbench.tables.html import table_to_html
    from genbench.tables.terminal import table_to_terminal
    from genbench.tables.text_formats import table_to_csv, table_to_latex, table_to_markdown

    formats = {
        "terminal": table_to_terminal,
        "md": table_to_markdown,
        "latex": table_to_latex,
        "csv": table_to_csv,
        "html": table_to_html,
    }
    return formats[format](built)


def report(
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    n: Annotated[
        int, typer.Option("-n", help="Sample count of tables that print no paper's.", min=0)
    ] = 0,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    records: Records = None,
    cache: Cache = None,
) -> None:
    """Write tables, figures, samples and the provenance of every number as one HTML file.

    The file needs no network and no other file. Samples are those that `fid` kept beside the
    records, or the cache's.
    """
    import sys
    from datetime import UTC, datetime

    from genbench import api
    from genbench.report.document import TITLE, report_html
    from genbench.runtime.files import refuse_input, replacing
    from genbench.runtime.folders import cache_folder, default_records
    from genbench.tables.specs import load_spec, spec_names

    refuse_input(out, records or ())
    files = {path: read_all([path]) if records else read_all(None)
             for path in records or [default_records()]}  # fmt: skip
    found = [record for one in files.values() for record in one]
    tables: list[Table] = []
    for name in spec_names():
        own = not any(row.published for row in load_spec(name).rows)
        built = api.build_table(name, found, samples=n if own else 0).table
        tables.insert(0 if own else len(tables), built)
    text = report_html(
        files, tables, cache=cache or cache_folder(), title=title or TITLE,
        written=datetime.now(UTC).date().isoformat(),
    )  # fmt: skip
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{len(tables)} tables, {len(found)} records: {out}", file=sys.stderr)


def compare(
    first: Annotated[
        str, typer.Argument(metavar="RUN_A", help="Run (`genbench ls runs`) or record file.")
    ],
    second: Annotated[str, typer.Argument(metavar="RUN_B", help="Run, or a record file.")],
    records: Records = None,
    json_lines: Json = False,
) -> None:
    """Say which differences between two runs are larger than their combined uncertainty.

    The run of a figure stands below its table, and in its record. Runs of different protocols or
    references do not compare.
    """
    import json
    from dataclasses import asdict

    from genbench.cli.console import show_rows, told
    from genbench.tables.comparison import compare_runs, named_run

    known = read_all(records)
    lines = compare_runs(named_run(first, known, told), named_run(second, known, told))
    if json_lines:
        for line in lines:
            print(json.dumps(asdict(line)))
    else:
        show_rows([line.as_row() for line in lines])
        for caveat in dict.fromkeys(text for line in lines for text in line.caveats):
            print(f"* {caveat}")
