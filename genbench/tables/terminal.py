"""Tables on the terminal."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from genbench.tables.cells import Table
from genbench.tables.forms import tables_that_fit
from genbench.tables.layout import lay_out
from genbench.tables.listings import Listing


def print_table(console: Console, table: Table) -> None:
    """Print the table in the form that the terminal's width allows, its footnotes, and the commands
    that fill it, each on a line to copy."""
    grid = lay_out(table)
    console.print(Text(grid.title, style="italic"))  # beside the table, which may be narrower
    for part in tables_that_fit(console, grid):
        console.print(part)
    for text in (*(f"{mark} {text}" for mark, text in grid.footnotes), *grid.notes):
        console.print(Text(text), soft_wrap=True)
    if grid.commands:
        console.print(Text("\nmissing figures come from:", style="bold"))
        for command in grid.commands:
            console.print(Text(f"  {command}"), soft_wrap=True)


def table_to_terminal(table: Table) -> str:
    """The same as plain text, for files."""
    return as_text(lambda console: print_table(console, table))


def as_text(show: Callable[[Console], None]) -> str:
    """What is printed on a terminal of 160 columns, as plain text."""
    out = io.StringIO()
    show(Console(file=out, width=160))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def print_listing(console: Console, listing: Listing) -> None:
    """Print a listing under its title, and its notes."""
    console.print(Text(listing.title, style="italic"), soft_wrap=True)
    rows = [dict(zip(listing.columns, row, strict=True)) for row in listing.rows]
    print_rows(console, rows, listing.numbers)
    for note in listing.notes:
        console.print(Text(note), soft_wrap=True)


def listing_to_terminal(listing: Listing) -> str:
    """The same as plain text."""
    return as_text(lambda console: print_listing(console, listing))


def print_rows(
    console: Console, rows: Sequence[Mapping[str, str]], numbers: frozenset[str] = frozenset()
) -> None:
    """Print rows of one shape as a table; columns that say nothing in any row are left out.

    Where the terminal is too narrow for all, the widest columns are written out below their row.
    """
    widths = {name: max(cell_len(text) for text in (name, *(row[name] for row in rows)))
              for name in rows[0] if any(row[name] not in ("", "–") for row in rows)}  # fmt: skip
    beside = _fitting(widths, console.width - 1, gap=3)  # in a border, whose lines count
    if beside == list(widths):
        table = RichTable()
        for name in beside:
            table.add_column(name, justify="right" if name in numbers else "left")
        for row in rows:
            table.add_row(*(escape(row[name]) for name in beside))
        console.print(table)
        return
    beside = _fitting(widths, console.width + 2, gap=2)  # without one, nor a gap after the last
    header = "".join(set_cell_size(name, widths[name] + 2) for name in beside)
    console.print(Text(header.rstrip(), style="bold"), soft_wrap=True)
    for row in rows:
        line = "".join(set_cell_size(row[name], widths[name] + 2) for name in beside)
        console.print(Text(line.rstrip()), soft_wrap=True)
        for name in widths:
            if name not in beside and row[name]:
                for part in _indented(f"{name}: {row[name]}", console.width):
                    console.print(Text(part, style="dim"), soft_wrap=True)


def _indented(text: str, width: int) -> list[str]:
    """Lines of whole words; one longer than a line, such as an address, stays whole too."""
    return textwrap.wrap(
        text, max(width, 20), initial_indent="    ", subsequent_indent="      ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _fitting(widths: Mapping[str, int], room: int, *, gap: int) -> list[str]:
    """The first column, and the others but for the widest, as many as must go for all to fit."""
    first, *others = widths
    while others and sum(widths[name] + gap for name in (first, *others)) > room:
        others.remove(max(others, key=lambda name: widths[name]))
    return [first, *others]
