"""A table of what is on record, without a spec: a row a model, checkpoint and setting."""

from __future__ import annotations

import math
import shlex
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.metrics.catalogue import METRICS, find_metric, short_title
from genbench.records.comparability import incomparable
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.records.labels import Labels, facts_of, sampler_options
from genbench.tables.best import with_best
from genbench.tables.cells import Cell, Table, TableRow
from genbench.tables.columns import Column
from genbench.tables.conditions import admitted
from genbench.tables.record_choice import figures_by_protocol, leads_of
from genbench.tables.record_commands import command_for

THROUGHPUT, NFE = "throughput", "nfe"
_TITLES = {THROUGHPUT: "images/s", NFE: "NFE"}
_DIGITS = {"fid": 2, "sfid": 2, "is": 2, "kid": 4, THROUGHPUT: 1, NFE: 0}
_SHARES = 3  # digits of precision, recall, density and coverage
_Figures = Sequence[QualityRecord]  # of one protocol, reference and sample count, oldest first


@dataclass(frozen=True, kw_only=True)
class RecordsTable:
    """Which records to show, and how. rows: what tells rows apart ("checkpoint", "options", an
    option's name); None: everything. columns: metrics; None: all on record. samples, protocol: 0
    and "": those with most models; several protocols have commas between them, and "all" is all.
    """

    rows: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    samples: int = 0
    protocol: str = ""


def table_of_records(records: Sequence[Record], wanted: RecordsTable) -> Table:
    """One table of figures that compare: of one protocol, reference and sample count, or of several
    protocols in columns of their own. Of several records of one row and column the latest counts;
    what is left out is told in a note.

    Raises UsageError, with what there is, for a choice that leaves nothing.
    """
    if not records:
        raise GenbenchError("there are no records yet: measure something (`genbench fid --help`)")
    quality = [record for record in records if isinstance(record, QualityRecord)]
    speeds = [record for record in records if isinstance(record, SpeedRecord)]
    speeds = [speed for speed in speeds if speed.tier == "measured" and speed.training is None]
    groups = figures_by_protocol(quality, wanted.protocol, wanted.samples)
    chosen = [record for group in groups for record in group]
    shown: Sequence[Record] = chosen or speeds
    if not shown:
        raise GenbenchError("the records hold neither quality nor speed of sampling")
    only = None if wanted.rows is None else _facts(wanted.rows, shown)
    label = Labels(shown, only)
    rows: dict[Hashable, list[Record]] = {}
    for record in shown:
        rows.setdefault(_row_key(record, only), []).append(record)
    for found in rows.values():
        found += [speed for speed in speeds if chosen and _draws(found[-1]) == _draws(speed)]
    keys = list(wanted.columns) if wanted.columns is not None else _on_record(rows.values())
    pairs = list(_columns(keys, groups, list(rows.values())))
    columns = [column for column, _ in pairs]
    built = [
        TableRow(label=label(found[0]), group="",
                 cells=tuple(_cell(column, figures, found) for column, figures in pairs))
        for found in rows.values()
    ]  # fmt: skip
    for position, column in enumerate(columns):
        if column.higher_is_better is not None:
            built = list(with_best(built, position, column, higher=column.higher_is_better))
    return Table(
        name="records", title=_title(groups), notes=tuple(_notes(groups, quality)),
        columns=tuple(columns), rows=tuple(built),
    )  # fmt: skip


def _facts(rows: Sequence[str], shown: Sequence[Record]) -> tuple[str, ...]:
    """The facts that --rows names. "options" stands for all of the model's; "model" and "name"
    always tell rows apart. Raises UsageError for any other word."""
    options = {name.replace("_", " ") for record in shown for name in sampler_options(record)}
    known = {name for record in shown for name in facts_of(record)} | options
    found: set[str] = set()
    for word in (word.replace("_", " ").replace("-", " ") for word in rows):
        if word not in {"model", "name", "options", "checkpoint", "variant", "seed", *known}:
            raise UsageError(
                f"--rows {word}: no record tells that; "
                + suggestion(word, ["model", "name", "options", *known])
            )
        found |= options if word == "options" else {word}
    return tuple(found)


def _row_key(record: Record, only: Sequence[str] | None) -> Hashable:
    facts = facts_of(record).items()
    told = frozenset(item for item in facts if only is None or item[0] in only)
    return record.name, record.model, record.resolution, told


def _draws(record: Record) -> Hashable:
    """What decides how fast images come, whatever the weights."""
    options = frozenset((name, str(value)) for name, value in sampler_options(record).items())
    return record.model, record.card, record.resolution, options


def _on_record(rows: Iterable[Sequence[Record]]) -> list[str]:
    """The columns that have a figure: the catalogue's in its order, evaluations, speed."""
    records = [record for found in rows for record in found]
    there = {record.metric for record in records}
    found = [key for key, item in METRICS.items() if {key, item.generic_key} & there]
    if any(isinstance(item, QualityRecord) and item.nfe is not None for item in records):
        found.append(NFE)
    return found + ([THROUGHPUT] if THROUGHPUT in there else [])


def _columns(
    keys: Sequence[str], groups: Sequence[_Figures], rows: Iterable[Sequence[Record]]
) -> Iterator[tuple[Column, _Figures]]:
    """The columns, a metric once for each protocol that has figures of it, and with each the
    figures of that protocol; none with a column of speeds."""
    for key in keys:
        metric = find_metric(key)
        if metric is None:
            yield _other_column(key, rows), ()
            continue
        names = {metric.key, metric.generic_key}
        having = [group for group in groups if names & {record.metric for record in group}]
        for group in having or groups[:1]:
            like = group[-1]
            told = f" ({_which(group, groups)})" if len(groups) > 1 else ""
            yield Column(
                metric=metric.key, title=short_title(metric, like.detector) + told,
                digits=_DIGITS.get(metric.key, _SHARES),
                where={"protocol_digest": like.protocol_digest, "samples": like.samples},
            ), group  # fmt: skip
        if not groups:
            yield Column(metric=metric.key, title=metric.short), ()


def _which(group: _Figures, groups: Sequence[_Figures]) -> str:
    """What tells a protocol from the others of a table."""
    names = [others[-1].protocol for others in groups]
    name, digest = group[-1].protocol, group[-1].protocol_digest
    return name if names.count(name) == 1 else f"{name} {digest}"


def _other_column(key: str, rows: Iterable[Sequence[Record]]) -> Column:
    """The column of evaluations, or of what a speed record has."""
    records = [record for found in rows for record in found]
    if key == NFE:
        return Column(metric="fid", value="nfe", title=_TITLES[NFE], digits=0)
    values = [abs(item.value) for item in records if item.metric == key and item.value]
    if not values:
        known = [*METRICS, NFE, *{item.metric for item in records}]
        raise UsageError(f"no {key} is on record for these rows; {suggestion(key, known)}")
    digits = _DIGITS.get(key, max(0, 3 - math.floor(math.log10(min(values)))))
    units = {item.unit for item in records if item.metric == key}
    return Column(
        metric=key, title=_TITLES.get(key) or f"{key.replace('_', ' ')} ({'/'.join(units)})",
        digits=digits, better="higher" if key.endswith("throughput") else "",
        where={"tier": "measured"},
    )  # fmt: skip


def _cell(column: Column, figures: _Figures, found: Sequence[Record]) -> Cell:
    metric = column.quality
    names = (metric.key, metric.generic_key) if metric else (column.metric,)
    for record in reversed(found):
        if column.value == "nfe":
            if isinstance(record, QualityRecord) and record.nfe is not None:
                return Cell(measured=record, value=record.nfe)
        elif record.metric in names and admitted(record, column.where):
            return Cell(measured=record, value=record.value)
    # A protocol under which nothing of this size was measured may be for another size.
    sizes = {record.resolution for record in figures}
    if column.value == "nfe" or (figures and found[0].resolution not in sizes):
        return Cell()
    return Cell(command=command_for(found[0], column, figures[-1] if figures else None))


def _title(groups: Sequence[_Figures]) -> str:
    if not groups:
        return "On record: speed"
    told = [f"{group[-1].protocol}, {group[-1].samples:,} samples" for group in groups]
    return f"On record: protocol {'; '.join(told)}"


def _notes(groups: Sequence[_Figures], quality: Sequence[QualityRecord]) -> Iterator[str]:
    """What all figures of a protocol have in common, and what else there is on record."""
    for group in groups:
        yield from _group_notes(group, quality)
    shown = {(group[-1].protocol_digest, group[-1].samples) for group in groups}
    others = dict.fromkeys(
        f"--protocol {shlex.quote(item.protocol)} -n {item.samples}"
        for item in quality
        if (item.protocol_digest, item.samples) not in shown
    )
    if others:
        yield f"on record too, in tables of their own: {', '.join(others)}"
        if len(groups) == 1:
            yield "several in one table: --protocol A,B or --protocol all"


def _group_notes(group: _Figures, quality: Sequence[QualityRecord]) -> Iterator[str]:
    leads = leads_of(reversed(group))
    lead = leads.get(True, group[-1])
    reference = f", reference {lead.reference}" if lead.reference else ""
    yield (
        f"measured under protocol {lead.protocol} [{lead.protocol_digest}]: {lead.samples:,} "
        f"samples, detector {lead.detector}{reference}"
    )
    unlike = dict.fromkeys(
        incomparable(leads.get(bool(item.reference), item), item)
        for item in quality
        if (item.protocol_digest, item.samples) == (lead.protocol_digest, lead.samples)
    )
    yield from (f"left out, since it does not compare: {reason}" for reason in unlike if reason)
