"""How a model's figures moved: over time, over versions of genbench and over weights."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from genbench.metrics.catalogue import METRICS
from genbench.records.comparability import incomparable
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.report.looks import sampler_of
from genbench.report.numbers import rounded
from genbench.site.lines import line_of, title_of
from genbench.site.places import Places
from genbench.site.rows import Cell, Column, Rows
from genbench.tables.comparison import compared

_COLUMNS = (
    Column(title="figure", text=True),
    Column(title="measured"),
    Column(title="genbench", text=True),
    Column(title="weights", text=True),
    Column(title="seed"),
    Column(title="value"),
    Column(title="change"),
)
_METRICS = [name for metric in METRICS.values() for name in (metric.key, metric.generic_key)]


@dataclass(frozen=True, kw_only=True)
class Series:
    """Figures of one metric of one model, variant and setting, under one protocol at one count,
    oldest first."""

    title: str
    records: Sequence[Record]


def series_of(records: Sequence[Record]) -> list[Series]:
    """The series of two runs or more, distances first, of those the largest counts. records: of one
    model, oldest first."""
    found: dict[Hashable, list[Record]] = {}
    for record in records:
        found.setdefault(_compared(record), []).append(record)
    several = [one for one in found.values() if len({record.run for record in one}) > 1]
    order = sorted(several, key=lambda one: (_place(one[0].metric), -one[0].samples, -len(one)))
    plain = [_title(one[0], options=False) for one in order]
    return [
        Series(title=_title(one[0], options=plain.count(title) > 1), records=one)
        for one, title in zip(order, plain, strict=True)
    ]


def history_table(model: str, series: Sequence[Series], places: Places) -> Rows:
    """Every figure of the series with what it changed against the one before it."""
    return Rows(
        id=f"{places.model(model)}-history",
        caption=f"History of {model}",
        columns=_COLUMNS,
        rows=[list(_row(one, at, places)) for one in series for at in range(len(one.records))],
        lines=[
            line_of(record, one.title, places.number(record))
            for one in series
            for record in one.records
        ],
    )


def _compared(record: Record) -> Hashable:
    """What figures of one series share."""
    if isinstance(record, SpeedRecord):
        where = (record.environment.device, record.mode, record.tier, record.batch)
        return (*sampler_of(record), record.metric, where)
    under = (record.protocol_digest, record.detector, record.reference_digest, record.samples)
    return (*sampler_of(record), record.labels, record.metric, under)


def _place(metric: str) -> int:
    return _METRICS.index(metric) if metric in _METRICS else len(_METRICS)


def _title(record: Record, *, options: bool) -> str:
    told = [record.card] if record.card not in ("", record.model) else []
    if options:
        told += [
            f"{name.replace('_', ' ')} {value}"
            for name, value in record.options.items()
            if value not in (None, "")
        ]
    if isinstance(record, QualityRecord):
        told += [record.protocol, f"{record.samples:,} samples"]
    else:
        told += [f"batch {record.batch}" if record.batch else "", record.environment.device]
    return f"{title_of(record)}: {', '.join(filter(None, told))}"


def _row(series: Series, at: int, places: Places) -> Iterator[Cell]:
    record = series.records[at]
    value, interval = rounded(record)
    yield Cell(text=series.title, sort=series.title)
    yield Cell(text=record.created[:10] or "undated", sort=record.created)
    version, git = record.environment.genbench, record.environment.git[:7]
    yield Cell(text=version or "–", sort=f"{version} {git}", small=git)
    digest = record.checkpoint_digest[:8]
    yield Cell(text=record.checkpoint or "–", sort=f"{record.checkpoint} {digest}", small=digest)
    yield Cell() if record.seed is None else Cell(text=str(record.seed), sort=record.seed)
    yield Cell(text=value, sort=record.value, small=interval, href=places.number(record))
    yield _change(series.records[at - 1], record) if at else Cell()


def _change(before: Record, now: Record) -> Cell:
    if reason := incomparable(before, now):
        return Cell(text="–", small=reason)
    told = compared(before, now)
    verdict = {None: "no interval", False: "within chance", True: "beyond chance"}[told.larger]
    verdict = {"second": "better", "first": "worse"}.get(told.better, verdict)
    text = f"{told.difference:+.3g}".replace("-", "−")
    return Cell(text=text, sort=told.difference, small=verdict)
