"""A table as text: headings, entries with their marks, and the footnotes, before any format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from genbench.records.kinds import Record, SpeedRecord
from genbench.tables.cells import Cell, Table, TableRow
from genbench.tables.columns import Column
from genbench.tables.numbers import decimals_of, shown_number, with_spread
from genbench.tables.protocol_marks import ProtocolMarks, of_difference
from genbench.tables.ranking import TIED, TIED_MARK
from genbench.tables.remarks import Figure, Marks, Remark, shared_remarks

# Marks with a meaning of their own; others are letters.
UNVERIFIED, RANDOM, ESTIMATE, SECONDARY, COUNTED = "†", "‡", "≈", "§", "¶"
_UNSEEN = {
    "unverified": Remark("unverified: not checked against the paper itself", UNVERIFIED),
    "secondary": Remark("read where others quote the paper, not in the paper itself", SECONDARY),
    "counted": Remark("printed in no paper: counted here from the official code", COUNTED),
}
PUBLISHED, MEASURED, DIFFERENCE = "published", "measured", "difference"
ABSENT = "–"  # could be measured and is not; what cannot be is left empty
_ORIGINS = {
    "random-init": Remark("random weights: good for speed, never for quality", RANDOM),
    "trained-here": Remark("weights trained with genbench"),
    "converted": Remark("weights converted from the official ones"),
    "given": Remark("weights the user named, of which no more is known"),
}
_TIED = Remark(TIED, TIED_MARK)


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
    protocols = ProtocolMarks(table)
    noted = [
        [
            _noted(part, row, column, cell, protocols)
            for column, cell, shown in zip(table.columns, row.cells, parts, strict=True)
            for part in shown
        ]
        for row in table.rows
    ]
    figures = [item.figure for line in noted for item in line if item.figure]
    shared = shared_remarks(figures)
    marks = Marks()
    lines = tuple(
        Line(row.group, row.label, tuple(_marked(item, shared, marks) for item in line))
        for row, line in zip(table.rows, noted, strict=True)
    )
    alone = all(shown == (MEASURED,) for shown in parts)
    missing = (cell.command for row in table.rows for cell in row.cells if cell.command)
    return Grid(
        title=table.title,
        headings=tuple(
            Heading(_heading(column), ("",) if alone else shown)
            for column, shown in zip(table.columns, parts, strict=True)
        ),
        lines=lines,
        notes=(*_said_once(shared), *protocols.notes(), *table.notes),
        footnotes=tuple(marks.legend()),
        commands=_together(missing),
    )


def _together(commands: Iterable[str]) -> tuple[str, ...]:
    """Each command once; those that differ in the metric at their end alone as one that measures
    all of these."""
    metrics: dict[tuple[str, bool], dict[str, None]] = {}
    for command in commands:
        begin, found, metric = command.rpartition(" --metric ")
        joins = bool(found) and " " not in metric
        alike, last = (begin, metric) if joins else (command, "")
        metrics.setdefault((alike, joins), {})[last] = None
    return tuple(
        " --metric ".join([begin, *filter(None, found)]) for (begin, _), found in metrics.items()
    )


def _said_once(shared: Mapping[tuple[str, Remark], str]) -> Iterator[str]:
    """Lines below the table instead of a mark on every figure."""
    for (_, remark), where in shared.items():
        yield f"{where}: {remark.text}" if where else remark.text


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


@dataclass(frozen=True)
class _Noted:
    """An entry before its marks. figure: what it may be marked for; None: nothing ever is.
    record: of a measured number. tied: with the best."""

    text: str = ""
    best: bool = False
    figure: Figure | None = None
    record: Record | None = None
    tied: bool = False


def _noted(
    part: str, row: TableRow, column: Column, cell: Cell, protocols: ProtocolMarks
) -> _Noted:
    name = f"{row.group}, {row.label}" if row.group else row.label
    if part == PUBLISHED:
        printed = cell.published
        if printed is None:
            return _Noted()
        remarks = (*protocols.of_published(cell), *_published_remarks(cell))
        figure = Figure(name, column.title, part, remarks)
        return _Noted(printed.value, cell.best_published, figure)
    if part == DIFFERENCE:
        figure = Figure(name, column.title, part, tuple(of_difference(cell)))
        return _Noted(_difference(cell, column), figure=figure)
    if cell.measured is None or cell.value is None:
        return _Noted(ABSENT if cell.command else "")
    text = shown_number(cell.value, column.digits)
    if cell.bounds != (None, None):
        text = with_spread(cell.value, cell.spread, column.digits)
    if cell.minimum is not None:
        decimals = decimals_of(cell.spread)
        least = shown_number(cell.minimum, column.digits if decimals is None else decimals)
        text += f" (min of {cell.runs}: {least})"
    remarks = (*protocols.of_measured(cell), *_measured_remarks(cell.measured, column))
    text = " ".join([*(remark.symbol for remark in remarks if remark.before), text])
    own = column.value == "value"  # unlike NFE, which stands beside the figure that remarks are on
    noted = Figure(name, column.title, part, remarks) if own or remarks else None
    return _Noted(text, cell.standing == "best", noted, cell.measured, cell.standing == "tied")


def _difference(cell: Cell, column: Column) -> str:
    if cell.difference is None:
        return ""
    sign = "+" if cell.difference > 0 else ""
    return (sign + shown_number(cell.difference, column.digits)).replace("-", "−")


def _marked(item: _Noted, shared: Mapping[tuple[str, Remark], str], marks: Marks) -> Entry:
    left = [_TIED] if item.tied else []
    if item.figure is not None:
        part = item.figure.part
        left += [remark for remark in item.figure.remarks if (part, remark) not in shared]
    given = [(marks.mark(remark), remark.before) for remark in left]
    shown = tuple(mark for mark, before in given if not before)
    return Entry(item.text, item.best, shown, item.record)


def _published_remarks(cell: Cell) -> Iterator[Remark]:
    value = cell.published
    assert value is not None
    if value.confidence in _UNSEEN:
        yield _UNSEEN[value.confidence]
    if cell.statistic:
        yield Remark(cell.statistic)
    for note in value.notes:
        yield Remark(note)


def _measured_remarks(record: Record, column: Column) -> Iterator[Remark]:
    if isinstance(record, SpeedRecord) and record.tier != "measured":
        yield Remark(f"an estimate, not a measurement ({record.tier})", ESTIMATE, before=True)
    if column.value != "value":
        return
    if record.weight_kind in _ORIGINS:
        yield _ORIGINS[record.weight_kind]
    if column.quality is None:
        yield Remark(f"on {record.environment.device}")
    for note in record.notes:
        yield Remark(note)
