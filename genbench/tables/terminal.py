"""Tables on the terminal."""

from __future__ import annotations

import io
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from genbench.tables.build import Table
from genbench.tables.layout import Entry, Grid, lay_out


def print_table(console: Console, table: Table) -> None:
    """Print the table, its footnotes, and the commands that fill it, each on a line to copy."""
    grid = lay_out(table)
    whole = _rich_table(grid)
    unbounded = console.options.update(max_width=10_000)
    fits = console.measure(whole, options=unbounded).maximum <= console.width
    console.print(whole if fits else _long_table(grid))
    for text in (*(f"{mark} {text}" for mark, text in grid.footnotes), *grid.notes):
        console.print(Text(text), soft_wrap=True)
    if grid.commands:
        console.print(Text("\nmissing figures come from:", style="bold"))
        for command in grid.commands:
            console.print(Text(f"  {command}"), soft_wrap=True)


def table_to_terminal(table: Table) -> str:
    """The same as plain text, for files."""
    out = io.StringIO()
    print_table(Console(file=out, width=160), table)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _rich_table(grid: Grid) -> RichTable:
    table = RichTable(title=escape(grid.title), title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in grid.headings:
        for number, part in enumerate(heading.parts):
            title = heading.title if not number else ""
            table.add_column(escape(f"{title}\n{part}".rstrip("\n")), justify="right", no_wrap=True)
    for group, members in groupby(grid.lines, key=lambda line: line.group):
        if group:
            table.add_section()
            table.add_row(f"[italic]{escape(group)}[/italic]")
        for line in members:
            table.add_row(escape(line.label), *map(_text, line.entries))
    return table


def _long_table(grid: Grid) -> RichTable:
    """One line a cell, for terminals too narrow for the table: no figure is ever cut off."""
    table = RichTable(title=escape(grid.title), title_justify="left")
    parts = list(dict.fromkeys(part for heading in grid.headings for part in heading.parts))
    table.add_column("", overflow="fold")
    table.add_column("")
    for part in parts:
        table.add_column(part, justify="right", no_wrap=True)
    for line in grid.lines:
        label = f"{line.group}: {line.label}" if line.group else line.label
        entries = iter(line.entries)
        table.add_section()
        for heading in grid.headings:
            shown = {part: next(entries) for part in heading.parts}
            if any(entry.text for entry in shown.values()):
                texts = (_text(shown.get(part, Entry())) for part in parts)
                table.add_row(escape(label), escape(heading.title), *texts)
                label = ""
    return table


def _text(entry: Entry) -> Text:
    text = Text(entry.text, style="bold" if entry.best else "")
    if entry.marks:
        text.append(" " + " ".join(entry.marks), style="dim")
    return text
