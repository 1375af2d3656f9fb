"""The tables that the page begins with: what was measured here, a line a run, ranked where figures
compare."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.metrics.catalogue import METRICS, compared_with, reported_key, short_title
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.report.curves import latest_speeds
from genbench.report.groups import Group, best_first, comparable_groups
from genbench.report.looks import Look, Looks, sampler_of
from genbench.report.numbers import rounded
from genbench.tables.ranking import Standing, standings

_MOST_COLUMNS = 11  # that fit on a page beside the names
_FEW_ROWS = 3  # rows that are better set as columns, which a phone shows whole
WEIGHTS = {
    "official": "official weights",
    "converted": "weights converted from the official ones",
    "trained-here": "weights trained with genbench",
    "random-init": "random weights: good for speed, never for quality",
    "given": "weights given by file",
}


@dataclass(frozen=True, kw_only=True)
class Head:
    """A row's or a column's heading: a run, with how it is drawn, or a metric. note: small."""

    title: str
    note: str = ""
    look: Look | None = None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One number, its interval, the card it comes from, and the marks of its footnotes."""

    value: str
    interval: str = ""
    standing: Standing = ""
    card: str = ""
    marks: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Headline:
    """Runs that compare. top: headings of the columns; lines: each row's with its cells (None:
    not on record)."""

    title: str
    notes: Sequence[str]
    footnotes: Mapping[str, str]  # text to mark
    top: Sequence[Head]
    lines: Sequence[tuple[Head, Sequence[Shown | None]]]


@dataclass(frozen=True)
class _Column:
    title: str
    higher: bool | None
    records: Sequence[Record | None]
    note: str = ""


def headlines(
    records: Sequence[Record], looks: Looks, card_of: Callable[[Record], str]
) -> list[Headline]:
    """One table for each set of runs that compare, of the largest sample count first; then the
    speeds of what has no quality on record.

    Of several runs of one subject the latest counts. A smaller count of which every subject stands
    in a larger one is left to the curves. card_of: the id of the card that a number links to.
    """
    speeds = latest_speeds(records)
    groups = list(_groups(records))
    tables = [_quality_table(group, speeds, looks, card_of) for group in groups]
    seen = {sampler_of(record) for group in groups for record in group.records}
    alone = {key: speed for key, speed in speeds.items() if key[1] not in seen}
    if alone:
        tables.append(_speed_table(alone, looks, card_of))
    return tables


def _groups(records: Sequence[Record]) -> Iterator[Group]:
    """Those that show what no larger count of the same comparison has, the largest count first."""
    compared: dict[Hashable, list[Group]] = {}
    for group in comparable_groups(records):
        compared.setdefault(group.compared, []).append(group)
    kept = [group for groups in compared.values() for group in _telling(groups)]
    yield from sorted(kept, key=lambda group: (-group.samples, -len(group.subjects)))


def _telling(groups: Sequence[Group]) -> Iterator[Group]:
    """The groups of one comparison that show a subject no larger count has."""
    seen: set[tuple[Any, ...]] = set()
    for group in sorted(groups, key=lambda group: -group.samples):
        if not set(group.subjects) <= seen:
            yield group
        seen |= set(group.subjects)


def _quality_table(
    group: Group,
    speeds: Mapping[tuple[str, tuple[Any, ...]], SpeedRecord],
    looks: Looks,
    card_of: Callable[[Record], str],
) -> Headline:
    one = group.one
    metrics = {reported_key(metric, one.detector): metric for metric in METRICS.values()}
    subjects = best_first(list(group.subjects.values()), metrics)
    rows = [next(iter(found.values())) for found in subjects]
    columns = [
        _Column(
            short_title(metric, one.detector), metric.higher_is_better,
            [found.get(key) for found in subjects],
        )
        for key, metric in metrics.items()
    ]  # fmt: skip
    samplers = [sampler_of(record) for record in rows]
    for device in dict.fromkeys(device for device, _ in speeds):
        rates = [speeds.get((device, sampler)) for sampler in samplers]
        columns.append(_Column("images/s", True, rates, f"on {device}"))
    against = f", reference {one.reference} [{one.reference_digest[:12]}]" if one.reference else ""
    if rows_compared := compared_with(one.metric, one.reference_samples):
        against += f", {rows_compared}"
    return _table(
        f"Quality at {group.samples:,} samples under protocol {one.protocol}",
        f"protocol {one.protocol} [{one.protocol_digest}], detector {one.detector}{against}",
        rows, columns, looks, card_of, evaluations=True,
    )  # fmt: skip


def _speed_table(
    speeds: Mapping[tuple[str, tuple[Any, ...]], SpeedRecord],
    looks: Looks,
    card_of: Callable[[Record], str],
) -> Headline:
    rows = {sampler: record for (_, sampler), record in speeds.items()}
    one_size = len({record.resolution for record in rows.values()}) == 1
    columns = [
        _Column(
            "images/s",
            True if one_size else None,
            [speeds.get((device, sampler)) for sampler in rows],
            f"on {device}",
        )
        for device in dict.fromkeys(device for device, _ in speeds)
    ]
    return _table(
        "Speed of what has no quality on record", "", list(rows.values()), columns, looks, card_of
    )


def _table(
    title: str, note: str, rows: Sequence[Record], columns: Iterable[_Column], looks: Looks,
    card_of: Callable[[Record], str], *, evaluations: bool = False,
) -> Headline:  # fmt: skip
    footnotes: dict[str, str] = {}
    heads = [_row_head(record, looks) for record in rows]
    top, cells = [], []
    for column in columns:
        if not any(column.records):
            continue
        stands: Sequence[Standing] = [""] * len(rows)
        if column.higher is not None:
            stands = standings(column.records, higher=column.higher)
        arrow = {True: "\u00a0↑", False: "\u00a0↓", None: ""}[column.higher]
        top.append(Head(title=column.title + arrow, note=column.note))
        cells.append([
            None if record is None else _shown(record, standing, card_of, footnotes)
            for record, standing in zip(column.records, stands, strict=True)
        ])  # fmt: skip
    if evaluations and any(getattr(record, "nfe", None) is not None for record in rows):
        top.append(Head(title="NFE"))
        note += "; NFE: network evaluations of a sample, counted"
        cells.append([_evaluations(record, card_of) for record in rows])
    lines = [(head, [column[at] for column in cells]) for at, head in enumerate(heads)]
    if len(top) > max(len(rows), 4) and (len(rows) <= _FEW_ROWS or len(top) > _MOST_COLUMNS):
        top, lines = heads, list(zip(top, cells, strict=True))
    return Headline(
        title=title, notes=[note] if note else [], footnotes=footnotes, top=top, lines=lines
    )


def _row_head(record: Record, looks: Looks) -> Head:
    origin = WEIGHTS.get(record.weight_kind, "") if isinstance(record, QualityRecord) else ""
    note = origin if record.card else "images that were given"
    if isinstance(record, SpeedRecord):
        note = f"{record.resolution}×{record.resolution}"
    return Head(title=looks.name(record), note=note, look=looks.look(record))


def _shown(
    record: Record, standing: Standing, card_of: Callable[[Record], str], footnotes: dict[str, str]
) -> Shown:
    value, interval = rounded(record)
    marks = []
    for note in record.notes:
        marks.append(footnotes.setdefault(note, chr(ord("a") + len(footnotes) % 26)))
    return Shown(
        value=value, interval=interval, standing=standing, card=card_of(record), marks=marks
    )


def _evaluations(record: Record, card_of: Callable[[Record], str]) -> Shown | None:
    if not isinstance(record, QualityRecord) or record.nfe is None:
        return None
    return Shown(value=f"{record.nfe:g}", card=card_of(record))
