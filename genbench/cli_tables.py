"""`genbench table`, `genbench report` and `genbench compare`: what is made of records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from genbench.tables import Table

Records = Annotated[
    Path | None, typer.Option(help="Record file to read (default: $GENBENCH_RECORDS).")
]


def table(
    name: Annotated[str, typer.Argument(help="Table (`genbench ls tables`).")],
    format: Annotated[
        Literal["terminal", "md", "latex", "csv", "html"], typer.Option(help="What to print.")
    ] = "terminal",
    check: Annotated[
        bool, typer.Option("--check", help="Print no table, but what is wrong with it.")
    ] = False,
    records: Records = None,
    out: Annotated[Path | None, typer.Option(help="File to write instead of stdout.")] = None,
) -> None:
    """Show a paper's table, published beside measured; what is missing says how to fill it.

    --check exits 1 and lists every cell that is missing or differs from the paper by more than
    its uncertainty and the paper's rounding, and --out when the file is not what would be written.
    """
    from genbench.console import stdout
    from genbench.files import replacing
    from genbench.protocols import load_protocols
    from genbench.published import load_published
    from genbench.store import default_records, read_records
    from genbench.table_specs import load_spec
    from genbench.table_terminal import print_table
    from genbench.tables import build_table

    built = build_table(
        load_spec(name),
        load_published(),
        read_records(records or default_records()),
        load_protocols(),
    )
    if check:
        faults = built.faults()
        if out is not None and not _is_current(out, _as_text(built, format)):
            faults.append(f"not current: {out}: run the same command without --check")
        for fault in faults:
            print(fault)
        if faults:
            raise typer.Exit(1)
    elif out is not None:
        with replacing(out) as temporary:
            temporary.write_text(_as_text(built, format), encoding="utf-8")
    elif format == "terminal":
        print_table(stdout, built)
    else:
        print(_as_text(built, format), end="")


def _as_text(built: Table, format: str) -> str:
    from genbench.table_formats import table_to_csv, table_to_latex, table_to_markdown
    from genbench.table_html import table_to_html
    from genbench.table_terminal import table_to_terminal

    formats = {
        "terminal": table_to_terminal,
        "md": table_to_markdown,
        "latex": table_to_latex,
        "csv": table_to_csv,
        "html": table_to_html,
    }
    return formats[format](built)


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
