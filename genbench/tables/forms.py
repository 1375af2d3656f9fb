"""The forms of a table on a terminal: as it is, turned over, or in parts, whichever fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from genbench.tables.layout import Entry, Grid

_BOXES = (box.HEAVY_HEAD, box.SIMPLE_HEAD)  # the second goes with two blanks between figures


@dataclass(frozen=True)
class _Row:
    group: str
    label: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class _Sheet:
    """Columns, each under a title of one or two lines, and rows. spans: how many columns stand
    together, such as published and measured of one metric."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[_Row, ...]
    spans: tuple[int, ...]


def tables_that_fit(console: Console, grid: Grid) -> list[RichTable]:
    """The table in the first of its forms that fits the console, in several parts when none does:
    each then has some of the columns. No figure is cut off."""
    whole = _as_it_is(grid)
    for style in _BOXES:
        for sheet in (whole, _turned_over(grid)):
            table = _drawn(sheet, style)
            if _fits(console, table):
                return [table]
    return [_drawn(part, _BOXES[0]) for part in _parts(console, whole)]


def _as_it_is(grid: Grid) -> _Sheet:
    columns = tuple(
        (heading.title if not number else "", part)
        for heading in grid.headings
        for number, part in enumerate(heading.parts)
    )
    rows = tuple(_Row(line.group, line.label, line.entries) for line in grid.lines)
    return _Sheet(columns, rows, tuple(len(heading.parts) for heading in grid.headings))


def _turned_over(grid: Grid) -> _Sheet:
    """The rows as columns, and the columns as rows."""
    names = [(heading.title, part) for heading in grid.headings for part in heading.parts]
    rows = tuple(
        _Row("", f"{title} {part}".rstrip(), tuple(line.entries[place] for line in grid.lines))
        for place, (title, part) in enumerate(names)
    )
    columns = tuple((line.group, line.label) for line in grid.lines)
    return _Sheet(columns, rows, (1,) * len(columns))


def _drawn(sheet: _Sheet, style: box.Box) -> RichTable:
    boxed = style is _BOXES[0]
    table = RichTable(box=style, show_edge=boxed, pad_edge=boxed, padding=(0, 1, 0, boxed))
    table.add_column("", overflow="fold")
    two_lines = any(top for top, _ in sheet.columns)
    for top, bottom in sheet.columns:
        title = f"{top}\n{bottom}" if two_lines else bottom
        table.add_column(escape(title.rstrip("\n")), justify="right", overflow="fold")
    for group, members in groupby(sheet.rows, key=lambda row: row.group):
        if group:
            table.add_section()
            table.add_row(f"[italic]{escape(group)}[/italic]")
        for row in members:
            table.add_row(escape(row.label), *map(_text, row.entries))
    return table


def _fits(console: Console, table: RichTable) -> bool:
    unbounded = console.options.update(max_width=10_000)
    return console.measure(table, options=unbounded).maximum <= console.width


def _parts(console: Console, sheet: _Sheet) -> Iterator[_Sheet]:
    """As many columns at a time as fit; what stands together stays so where it fits alone."""
    start = end = 0
    for span in sheet.spans:
        if end > start and not _fits(console, _drawn(_some(sheet, start, end + span), _BOXES[0])):
            yield _some(sheet, start, end)
            start = end
        end += span
    yield _some(sheet, start, end)


def _some(sheet: _Sheet, start: int, end: int) -> _Sheet:
    """The sheet with the columns from start to end alone, and the rows that say something there."""
    rows = (replace(row, entries=row.entries[start:end]) for row in sheet.rows)
    told = tuple(row for row in rows if any(entry.text for entry in row.entries))
    return _Sheet(sheet.columns[start:end], told, sheet.spans)


def _text(entry: Entry) -> Text:
    text = Text(entry.text, style="bold" if entry.best else "")
    if entry.marks:
        text.append(" " + " ".join(entry.marks), style="dim")
    return text
