"""What the page of a run says: its numbers, where they come from, how to get them again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from genbench.metrics.catalogue import find_metric
from genbench.records.kinds import QualityRecord, Record
from genbench.report.looks import Looks
from genbench.report.numbers import plain, shown_interval
from genbench.report.provenance import run_facts
from genbench.site.badges import badge_words
from genbench.site.lines import title_of
from genbench.site.packed import Packed
from genbench.site.places import Places, value_of
from genbench.tables.columns import Column
from genbench.tables.record_commands import command_for


@dataclass(frozen=True, kw_only=True)
class Number:
    """One figure of a run. shown: rounded; exact: six digits. badge: its file, and what it says."""

    anchor: str
    title: str
    shown: str
    exact: str
    unit: str
    interval: str
    samples: str
    protocol: str
    badge: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """What of a run is of one model and setting. methods: how intervals were computed, of which
    metrics; notes: the same of notes."""

    name: str
    look: object
    model_page: str
    facts: Mapping[str, str]
    numbers: Sequence[Number]
    methods: Mapping[str, Sequence[str]]
    notes: Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """A run. command: that measures it again; packed: its bundle, where there is one."""

    run: str
    named: str
    page: str
    date: str
    parts: Sequence[Part]
    command: str
    packed: Packed | None


def run_page(
    run: str, records: Sequence[Record], looks: Looks, places: Places, packed: Packed | None
) -> RunPage:
    """What stands on a run's page."""
    parts: dict[str, list[Record]] = {}
    for record in records:
        parts.setdefault(looks.name(record), []).append(record)
    return RunPage(
        run=run,
        named=records[-1].name,
        page=places.run(run),
        date=records[-1].created,
        parts=[_part(name, found, looks, places) for name, found in parts.items()],
        command=_command(records[-1]),
        packed=packed,
    )


def _part(name: str, records: Sequence[Record], looks: Looks, places: Places) -> Part:
    last = records[-1]
    return Part(
        name=name,
        look=looks.look(last),
        model_page=f"{places.model(last.model)}.html",
        facts={title: text for title, text in run_facts(records) if text},
        numbers=list(_numbers(records, places)),
        methods=_shared((record.interval, title_of(record)) for record in records),
        notes=_shared((note, title_of(one)) for one in records for note in one.notes),
    )


def _shared(pairs: Iterable[tuple[str, str]]) -> Mapping[str, Sequence[str]]:
    """Each text with the metrics that it is said of."""
    found: dict[str, dict[str, None]] = {}
    for text, metric in pairs:
        found.setdefault(text, {})[metric] = None
    return {text: list(metrics) for text, metrics in found.items()}


def _numbers(records: Sequence[Record], places: Places) -> Iterator[Number]:
    for record in records:
        yield Number(
            anchor=places.anchor(record), title=title_of(record), shown=value_of(record),
            exact=plain(record.value), unit=record.unit, interval=shown_interval(record),
            samples=f"{record.samples:,}", protocol=record.protocol,
            badge=places.badge(record), words=": ".join(badge_words(record)),
        )  # fmt: skip


def _command(record: Record) -> str:
    """The command that made the record, as it was given; of one that Python made, an equal one."""
    if record.environment.command:
        return shlex.join(record.environment.command)
    metric = find_metric(record.metric)
    if isinstance(record, QualityRecord) and metric is not None:
        return command_for(record, Column(metric=metric.key, title=""), record)
    column = Column(metric=record.metric, title="", where={"tier": "measured"})
    return command_for(record, column, None)
