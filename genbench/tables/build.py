"""A table spec, the published numbers and the records: one table, every cell decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import metric_named, short_title
from genbench.records.comparability import incomparable
from genbench.records.kinds import QualityRecord, Record
from genbench.records.protocols import EvalProtocol
from genbench.tables.open_settings import settings_note
from genbench.tables.published import QUALITY, PublishedValue, find_published
from genbench.tables.ranking import Standing, standings
from genbench.tables.specs import Column, MeasuredSelector, Row, TableSpec, record_value


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell: what the paper prints, what was measured here, and what would fill the gap."""

    published: PublishedValue | None = None
    measured: Record | None = None
    value: float | None = None  # the measured number
    command: str = ""  # makes the missing record; empty: measured, or nothing can
    best_published: bool = False
    standing: Standing = ""  # of the measured value in its group

    @property
    def difference(self) -> float | None:
        """Measured minus published; None unless both are numbers."""
        if self.value is None or self.published is None or self.published.number is None:
            return None
        return self.value - self.published.number

    @property
    def spread(self) -> float:
        """Half the width of the measured interval; 0 where none was computed."""
        low, high = self.bounds
        return 0.0 if low is None or high is None else (high - low) / 2

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The measured interval, of the record's value only."""
        if self.measured is None or self.value != self.measured.value:
            return None, None
        return self.measured.low, self.measured.high

    @property
    def differs(self) -> bool:
        """Whether the published value, unrounded, may not lie within the measured interval."""
        if self.difference is None or self.published is None:
            return False
        return abs(self.difference) > self.spread + self.published.rounding


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A row of cells, one a column."""

    label: str
    group: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with its values; the columns' titles already name the detector's metric."""

    name: str
    title: str
    notes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]

    def faults(self) -> list[str]:
        """One line a cell that is missing or differs from the paper by more than uncertainty."""
        lines = []
        for row in self.rows:
            place = f"{row.group}: {row.label}" if row.group else row.label
            for column, cell in zip(self.columns, row.cells, strict=True):
                if cell.command:
                    lines.append(f"missing: {place}, {column.title}: {cell.command}")
                elif cell.differs and cell.published is not None:
                    lines.append(
                        f"differs: {place}, {column.title}: measured {cell.value:.6g} "
                        f"± {cell.spread:.2g}, published {cell.published.value}"
                    )
        return lines


def build_table(
    spec: TableSpec,
    published: Sequence[PublishedValue],
    records: Sequence[Record],
    protocols: Mapping[str, EvalProtocol],
) -> Table:
    """Fill a spec. Of several records that fit a cell the latest counts, and with it those alone
    that compare with it: of its detector's weights and its reference."""
    latest, left_out = _comparable(spec, list(reversed(records)), protocols)
    rows = [
        TableRow(
            label=row.label,
            group=row.group,
            cells=tuple(
                _cell(row, column, published, latest, protocols) for column in spec.columns
            ),
        )
        for row in spec.rows
    ]
    # A row of which nothing may be shown and nothing can be measured waits for its confirmation.
    rows = [row for row in rows if any(cell != Cell() for cell in row.cells)]
    for position, column in enumerate(spec.columns):
        if column.higher_is_better is not None:
            rows = list(with_best(rows, position, column, higher=column.higher_is_better))
    return Table(
        name=spec.name,
        title=spec.title,
        notes=(
            *spec.notes,
            *_protocol_notes(spec, protocols),
            *left_out,
            *_source_notes(rows),
        ),
        columns=tuple(_titled(column, spec, protocols) for column in spec.columns),
        rows=tuple(rows),
    )


def _comparable(
    spec: TableSpec, latest: Sequence[Record], protocols: Mapping[str, EvalProtocol]
) -> tuple[list[Record], list[str]]:
    """The records without those of another detector or reference than the latest that the table
    takes, under each protocol; and a note on them."""
    selected = [
        (row.measured, column)
        for row in spec.rows if row.measured
        for column in spec.columns if column.measured and column.quality
    ]  # fmt: skip
    leads: dict[tuple[str, bool], QualityRecord] = {}
    kept: list[Record] = []
    reasons: Counter[str] = Counter()
    for record in latest:
        fits = isinstance(record, QualityRecord) and any(
            wanted.admits(record, column, _protocol(wanted, column, protocols))
            for wanted, column in selected
        )
        if fits and isinstance(record, QualityRecord):
            key = (record.protocol_digest, bool(record.reference))
            lead = leads.setdefault(key, record)
            if reason := incomparable(lead, record):
                reasons[reason] += 1
                continue
        kept.append(record)
    return kept, [
        f"{count} older figures are left out, which do not compare with the latest: {reason}"
        for reason, count in reasons.items()
    ]


def _cell(
    row: Row,
    column: Column,
    published: Sequence[PublishedValue],
    latest: Sequence[Record],
    protocols: Mapping[str, EvalProtocol],
) -> Cell:
    printed = find_published(published, row.published, column.published)
    wanted = row.measured
    if wanted is None or not column.measured:
        return Cell(published=printed)
    fitting = _fitting(wanted, column, latest, protocols)
    if wanted.sweep:
        fitting = _at_best(wanted, fitting, latest, protocols)
    for record in fitting:
        value = record_value(record, column.value)
        if isinstance(value, int | float):
            told = replace(record, notes=(*record.notes, *settings_note(wanted, fitting)))
            return Cell(published=printed, measured=told, value=value * column.scale)
        if value is not None:
            raise GenbenchError(
                f"value = {column.value!r} of column {column.metric} is no number in a record: "
                "correct the spec"
            )
    return Cell(published=printed, command=wanted.command(column))


def _fitting(
    wanted: MeasuredSelector,
    column: Column,
    latest: Sequence[Record],
    protocols: Mapping[str, EvalProtocol],
) -> list[Record]:
    protocol = _protocol(wanted, column, protocols)
    return [record for record in latest if wanted.admits(record, column, protocol)]


def _at_best(
    wanted: MeasuredSelector,
    fitting: Sequence[Record],
    latest: Sequence[Record],
    protocols: Mapping[str, EvalProtocol],
) -> list[Record]:
    """Of records over a sweep those at its best setting; none before two settings were tried."""
    tried = {
        record.options.get(wanted.sweep): record.value
        for record in reversed(_fitting(wanted, Column(metric=wanted.best_of), latest, protocols))
    }
    if len(tried) < 2:
        return []
    higher = metric_named(wanted.best_of).higher_is_better
    best = (max if higher else min)(tried, key=tried.__getitem__)
    return [record for record in fitting if record.options.get(wanted.sweep) == best]


def _protocol(
    wanted: MeasuredSelector, column: Column, protocols: Mapping[str, EvalProtocol]
) -> EvalProtocol | None:
    return None if column.quality is None else protocols[wanted.protocol]


def with_best(
    rows: Sequence[TableRow], position: int, column: Column, *, higher: bool
) -> Iterator[TableRow]:
    """The rows with each group's best published value of a column marked, and how the measured
    ones stand. position: the column's."""
    standing: list[Standing] = [""] * len(rows)
    if column.value == "value":  # what stands beside it, such as a share, has no interval
        for group in dict.fromkeys(row.group for row in rows):
            own = [row.cells[position].measured if row.group == group else None for row in rows]
            found = standings(own, higher=higher)
            standing = [new or old for new, old in zip(found, standing, strict=True)]
    for row, stands in zip(rows, standing, strict=True):
        cell = row.cells[position]
        peers = [peer.cells[position] for peer in rows if peer.group == row.group]
        printed = [number for peer in peers if (number := _number(peer)) is not None]
        best = (max if higher else min)(printed, default=None)
        leads = len(printed) > 1 and _number(cell) == best
        marked = replace(cell, best_published=leads, standing=stands)
        cells = (*row.cells[:position], marked, *row.cells[position + 1 :])
        yield replace(row, cells=cells)


def _number(cell: Cell) -> float | None:
    return None if cell.published is None else cell.published.number


def _titled(column: Column, spec: TableSpec, protocols: Mapping[str, EvalProtocol]) -> Column:
    if column.title or column.quality is None:
        return replace(column, title=column.title or column.metric)
    detectors = {
        protocols[row.measured.protocol].detector
        for row in spec.rows
        if row.measured and row.measured.protocol in protocols
    }
    names = {short_title(column.quality, detector) for detector in detectors or {"inception"}}
    return replace(column, title="/".join(sorted(names)))


def _protocol_notes(spec: TableSpec, protocols: Mapping[str, EvalProtocol]) -> Iterator[str]:
    """What every measured figure of the table was measured under."""
    used = dict.fromkeys(
        (row.measured.protocol, row.measured.samples)
        for row in spec.rows
        if row.measured and row.measured.protocol in protocols
    )
    for name, samples in used:
        protocol = protocols[name]
        reference = protocol.reference or "the images --ref names"
        yield (
            f"measured under protocol {name} [{protocol.digest()}]: {samples:,} samples, detector "
            f"{protocol.detector}, reference {reference}"
        )


def _source_notes(rows: Sequence[TableRow]) -> Iterator[str]:
    """Where the published figures were read."""
    shown = [cell.published for row in rows for cell in row.cells if cell.published is not None]
    for table, source in dict.fromkeys((value.table, value.source) for value in shown):
        samples = {
            value.samples
            for value in shown
            if (value.table, value.source) == (table, source) and value.metric in QUALITY
        }
        counts = " and ".join(f"{int(count):,}" for count in sorted(samples) if count)
        count = f"; {counts} samples" if counts else "; sample count not stated" if samples else ""
        yield f"published: {table}: {source}{count}"
