"""A table spec, the published numbers and the records: one table, every cell decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import metric_named, short_title
from genbench.records.comparability import incomparable
from genbench.records.kinds import QualityRecord, Record
from genbench.records.protocols import EvalProtocol
from genbench.tables.basis import measured_basis, published_basis
from genbench.tables.best import with_best
from genbench.tables.cells import Cell, Table, TableRow
from genbench.tables.columns import Column
from genbench.tables.conditions import record_value
from genbench.tables.measured import MeasuredSelector
from genbench.tables.open_settings import settings_note
from genbench.tables.published import QUALITY, PublishedValue, find_published
from genbench.tables.several_seeds import mean_record, of_several_seeds
from genbench.tables.specs import Row, TableSpec


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
        for column in spec.columns if _protocol(row.measured, column, protocols)
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
    cell = _published_cell(row, column, published, protocols)
    wanted = row.measured
    if wanted is None or not column.measured:
        return cell
    protocol = _protocol(wanted, column, protocols)
    if column.quality and protocol is None:  # the row's protocols leave this column out
        return cell
    if protocol and column.value == "value":
        cell = replace(cell, measured_under=measured_basis(protocol))
    fitting = _fitting(wanted, column, latest, protocols)
    if wanted.sweep:
        fitting = _at_best(wanted, fitting, latest, protocols)
    if row.runs > 1 and column.quality and column.value == "value":
        return _of_runs(cell, row, column, fitting)
    for record in fitting:
        value = record_value(record, column.value)
        if isinstance(value, int | float):
            told = replace(record, notes=(*record.notes, *settings_note(wanted, fitting)))
            return replace(cell, measured=told, value=value * column.scale)
        if value is not None:
            raise GenbenchError(
                f"value = {column.value!r} of column {column.metric} is no number in a record: "
                "correct the spec"
            )
    return replace(cell, command=wanted.command(column, row.runs))


def _published_cell(
    row: Row,
    column: Column,
    published: Sequence[PublishedValue],
    protocols: Mapping[str, EvalProtocol],
) -> Cell:
    """The cell with what the paper prints, and what that rests on."""
    printed = find_published(published, row.published, column.published)
    if printed is None or column.quality is None or column.value != "value":
        return Cell(published=printed)
    several = row.reported == "mean" or row.reports_minimum(column)
    return Cell(
        published=printed,
        published_under=published_basis(row.stated_protocol(column), protocols),
        statistic=f"the {row.reported} of {row.runs} runs" if several else "",
    )


def _of_runs(cell: Cell, row: Row, column: Column, fitting: Sequence[Record]) -> Cell:
    """The cell with the mean of the row's runs that are on record; a command where some are not."""
    assert row.measured is not None
    command = row.measured.command(column, row.runs)
    runs = of_several_seeds(fitting, row.runs)
    if not runs:
        return replace(cell, command=command)
    record = mean_record(runs) if len(runs) > 1 else runs[0]
    if len(runs) < row.runs:
        note = f"{len(runs)} of the {row.runs} runs that the row asks for"
        record = replace(record, notes=(*record.notes, note))
    record = replace(record, notes=(*record.notes, *settings_note(row.measured, fitting)))
    least = min(run.value for run in runs) * column.scale
    return replace(
        cell, measured=record, value=record.value * column.scale, runs=len(runs),
        minimum=least if len(runs) > 1 and row.reports_minimum(column) else None,
        command=command if len(runs) < row.runs else "",
    )  # fmt: skip


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
    """What a row measures a column under; None for speeds, and where the row leaves it out."""
    name = wanted.protocol_of(column)
    return protocols[name] if column.quality and name else None


def _titled(column: Column, spec: TableSpec, protocols: Mapping[str, EvalProtocol]) -> Column:
    if column.title or column.quality is None:
        return replace(column, title=column.title or column.metric)
    used = (_protocol(row.measured, column, protocols) for row in spec.rows if row.measured)
    stated = (protocols.get(row.stated_protocol(column)) for row in spec.rows)
    detectors = {protocol.detector for protocol in used if protocol} or {
        protocol.detector for protocol in stated if protocol
    }
    named = "inception" if column.metric == column.quality.key else ""
    names = {short_title(column.quality, detector) for detector in detectors or {named}}
    return replace(column, title="/".join(sorted(names)))


def _protocol_notes(spec: TableSpec, protocols: Mapping[str, EvalProtocol]) -> Iterator[str]:
    """What every measured figure of the table was measured under."""
    used = dict.fromkeys(
        (protocol.name, row.measured.samples)
        for row in spec.rows if row.measured
        for column in spec.columns
        if column.measured and (protocol := _protocol(row.measured, column, protocols))
    )  # fmt: skip
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
