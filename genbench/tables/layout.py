"""A table as text: headings, entries with their marks, and the footnotes, before any format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from genbench.records.kinds import Record, SpeedRecord
from genbench.tables.build import Cell, Table
from genbench.tables.ranking import TIED, TIED_MARK
from genbench.tables.specs import Column

# Marks with a meaning of their own; others are letters.
RECALLED, RANDOM, ESTIMATE, SECONDARY, COUNTED = "†", "‡", "≈", "§", "¶"
_UNSEEN = {
    "recalled": ("from memory: nobody has checked this figure against the paper yet", RECALLED),
    "secondary": ("read in notes on the paper, not in the paper itself", SECONDARY),
    "counted": ("printed in no paper: counted here from the official code", COUNTED),
}
PUBLISHED, MEASURED, DIFFERENCE = "published", "measured", "difference"
ABSENT = "–"  # could be measured and is not; what cannot be is left empty
_ORIGINS = {
    "random-init": "random weights: good for speed, never for quality",
    "trained-here": "weights trained with genbench",
    "converted": "weights converted from the official ones",
    "given": "weights the user named, of which no more is known",
}


@dataclass(frozen=True)
class Entry:
    """One printed entry. record: of a measured number."""

    text: str = ""
    best: bool = False
    marks: tuple[str, ...] = ()
    record: Record | None = None


@dataclass(frozen=True)
class Heading:
    """One column of the table and the printed columns under it (one without a name: no split)."""

    title: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One printed row."""

    group: str
    label: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Grid:
    """A table ready to be printed."""

    title: str
    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    footnotes: tuple[tuple[str, str], ...]  # mark, text
    commands: tuple[str, ...]  # that fill what is missing


def lay_out(table: Table) -> Grid:
    """The printed form of a table."""
    parts = [_parts(table, position) for position in range(len(table.columns))]
    marks = _Marks()
    lines = []
    for row in table.rows:
        entries: list[Entry] = []
        for column, cell, shown in zip(table.columns, row.cells, parts, strict=True):
            entries += (_entry(part, column, cell, marks) for part in shown)
        lines.append(Line(row.group, row.label, tuple(entries)))
    alone = all(shown == (MEASURED,) for shown in parts)
    missing = (cell.command for row in table.rows for cell in row.cells if cell.command)
    return Grid(
        title=table.title,
        headings=tuple(
            Heading(_heading(column), ("",) if alone else shown)
            for column, shown in zip(table.columns, parts, strict=True)
        ),
        lines=tuple(lines),
        notes=table.notes,
        footnotes=tuple((mark, text) for text, mark in marks.given.items()),
        commands=tuple(dict.fromkeys(missing)),
    )


def shown_number(value: float, digits: int) -> str:
    """A number with so many decimals, and none that claims to be minus zero."""
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


@dataclass
class _Marks:
    """Marks given out in the order in which the table needs them, one a text."""

    given: dict[str, str] = field(default_factory=dict)

    def mark(self, text: str, symbol: str = "") -> str:
        if text not in self.given:
            letters = sum(mark.isalpha() for mark in self.given.values())
            self.given[text] = symbol or _letter(letters)
        return self.given[text]


def _letter(number: int) -> str:
    """a … z, aa, ab …"""
    head, last = divmod(number, 26)
    return (_letter(head - 1) if head else "") + chr(ord("a") + last)


def _heading(column: Column) -> str:
    arrow = {True: " ↑", False: " ↓", None: ""}[column.higher_is_better]
    return column.title + arrow


def _parts(table: Table, position: int) -> tuple[str, ...]:
    """Which of published, measured and difference a column prints."""
    cells = [row.cells[position] for row in table.rows]
    shown = {
        PUBLISHED: any(cell.published is not None for cell in cells),
        MEASURED: any(cell.measured is not None or cell.command for cell in cells),
        DIFFERENCE: any(cell.difference is not None for cell in cells),
    }
    return tuple(part for part, wanted in shown.items() if wanted)


def _entry(part: str, column: Column, cell: Cell, marks: _Marks) -> Entry:
    if part == PUBLISHED:
        return _published(cell, marks)
    if part == DIFFERENCE:
        if cell.difference is None:
            return Entry()
        sign = "+" if cell.difference > 0 else ""
        return Entry((sign + shown_number(cell.difference, column.digits)).replace("-", "−"))
    if cell.measured is None or cell.value is None:
        return Entry(ABSENT if cell.command else "")
    text = shown_number(cell.value, column.digits)
    if cell.bounds != (None, None):
        text += f" ± {shown_number(cell.spread, column.digits)}"
    remarks = tuple(_remarks(cell.measured, column))
    if any(symbol == ESTIMATE for _, symbol in remarks):
        text = f"{ESTIMATE} {text}"
    given = tuple(marks.mark(*remark) for remark in remarks)
    told = tuple(mark for mark in given if mark != ESTIMATE)
    if cell.standing == "tied":
        told = (marks.mark(TIED, TIED_MARK), *told)
    return Entry(text, cell.standing == "best", told, cell.measured)


def _published(cell: Cell, marks: _Marks) -> Entry:
    value = cell.published
    if value is None:
        return Entry()
    remarks = [(note, "") for note in value.notes]
    if value.confidence in _UNSEEN:
        remarks.insert(0, _UNSEEN[value.confidence])
    given = tuple(marks.mark(*remark) for remark in remarks)
    return Entry(value.value, cell.best_published, given)


def _remarks(record: Record, column: Column) -> Iterator[tuple[str, str]]:
    """What a reader must know of a measured figure, each with a mark of its own or none."""
    if isinstance(record, SpeedRecord) and record.tier != "measured":
        yield f"an estimate, not a measurement ({record.tier})", ESTIMATE
    if column.value != "value":  # such as NFE: what stands beside the figure, not the figure
        return
    if record.weight_kind in _ORIGINS:
        symbol = RANDOM if record.weight_kind == "random-init" else ""
        yield _ORIGINS[record.weight_kind], symbol
    if column.quality is None:
        yield f"on {record.environment.device}", ""
    for note in record.notes:
        yield note, ""
