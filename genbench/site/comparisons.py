"""A table for each set of figures that compare: one protocol, detector, reference and count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from genbench.metrics.catalogue import METRICS, compared_with, reported_key, short_title
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.report.curves import latest_speeds
from genbench.report.groups import Group, best_first, comparable_groups
from genbench.report.headline import WEIGHTS
from genbench.report.looks import Looks, sampler_of
from genbench.report.numbers import rounded
from genbench.runtime.digests import canonical_digest
from genbench.site.lines import line_of
from genbench.site.places import Names, Places
from genbench.site.rows import Cell, Column, Line, Rows
from genbench.tables.ranking import TIED_MARK, standings
from genbench.tables.remarks import Marks, Remark


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A table with what its rows share."""

    rows: Rows
    protocol: str
    protocol_digest: str
    samples: int
    reference: str
    detector: str

    @property
    def title(self) -> str:
        """The protocol and the count."""
        return f"{self.protocol}, {self.samples:,} samples"


def comparisons(records: Sequence[Record], looks: Looks, places: Places) -> list[Comparison]:
    """The tables of quality, those of most rows first. Of several runs of one subject the latest
    counts; the earlier ones stand in its history."""
    speeds = latest_speeds(records)
    groups = sorted(comparable_groups(records), key=lambda one: (-len(one.subjects), -one.samples))
    names = Names()
    return [_comparison(group, speeds, looks, places, names) for group in groups]


def _comparison(
    group: Group, speeds: dict[tuple[str, tuple[object, ...]], SpeedRecord], looks: Looks,
    places: Places, names: Names,
) -> Comparison:  # fmt: skip
    one = group.one
    metrics = {reported_key(metric, one.detector): metric for metric in METRICS.values()}
    subjects = best_first(list(group.subjects.values()), metrics)
    rows = [next(iter(found.values())) for found in subjects]
    shared = set.intersection(*(set(record.notes) for record in group.records))
    marks = Marks()
    columns = [Column(title="model", text=True)]
    cells = [[_head(record, looks, places)] for record in rows]
    shown: list[Record] = []

    def add(column: Column, found: Sequence[Record | None], stands: Sequence[str]) -> None:
        columns.append(column)
        for row, record, standing in zip(cells, found, stands, strict=True):
            row.append(_cell(record, standing, places, marks, shared))
        shown.extend(filter(None, found))

    for key, metric in metrics.items():
        found = [subject.get(key) for subject in subjects]
        if any(found):
            higher = metric.higher_is_better
            title = short_title(metric, one.detector)
            add(
                Column(title=title, better="higher" if higher else "lower"),
                found, standings(found, higher=higher),
            )  # fmt: skip
    samplers = [sampler_of(record) for record in rows]
    for device in dict.fromkeys(device for device, _ in speeds):
        rates = [speeds.get((device, sampler)) for sampler in samplers]
        if any(rates):
            column = Column(title="images/s", note=f"on {device}", better="higher")
            add(column, rates, standings(rates, higher=True))
    if any(record.nfe is not None for record in rows):
        columns.append(Column(title="NFE", note="network evaluations"))
        for row, record in zip(cells, rows, strict=True):
            row.append(_evaluations(record))
    columns.append(Column(title="measured"))
    for row, record in zip(cells, rows, strict=True):
        row.append(Cell(text=record.created[:10] or "undated", sort=record.created))
    digest = canonical_digest([repr(group.compared), group.samples])[:8]
    return Comparison(
        rows=Rows(
            id=f"tables/{names.of(digest, f'{one.protocol}-{group.samples}-{digest}')}",
            caption=f"Protocol {one.protocol}, {group.samples:,} samples",
            columns=columns, rows=cells, ordered=1,
            descending=columns[1].better == "higher",
            lines=list(_lines(shown, looks, places)),
            notes=[_said(one), *sorted(shared)],
            footnotes=marks.legend(),
        ),
        protocol=one.protocol, protocol_digest=one.protocol_digest, samples=group.samples,
        reference=one.reference, detector=one.detector,
    )  # fmt: skip


def _said(one: QualityRecord) -> str:
    """What all figures of a table share."""
    told = f"protocol {one.protocol} [{one.protocol_digest}], detector {one.detector}"
    if one.reference:
        told += f", reference {one.reference} [{one.reference_digest[:12]}]"
    if count := compared_with(one.metric, one.reference_samples):
        told += f", {count}"
    return told


def _head(record: QualityRecord, looks: Looks, places: Places) -> Cell:
    name = looks.name(record)
    note = WEIGHTS.get(record.weight_kind, "") if record.card else "images that were given"
    return Cell(
        text=name, sort=name, small=note, href=f"{places.model(record.model)}.html",
        look=looks.look(record),
    )  # fmt: skip


def _cell(
    record: Record | None, standing: str, places: Places, marks: Marks, shared: set[str]
) -> Cell:
    if record is None:
        return Cell()
    value, interval = rounded(record)
    given = [marks.mark(Remark(note)) for note in record.notes if note not in shared]
    if standing == "tied":
        given.insert(0, TIED_MARK)
    return Cell(
        text=value, sort=record.value, small=interval, href=places.number(record),
        marks=" ".join(given), best=standing == "best",
    )  # fmt: skip


def _evaluations(record: QualityRecord) -> Cell:
    return Cell() if record.nfe is None else Cell(text=f"{record.nfe:g}", sort=record.nfe)


def _lines(shown: Sequence[Record], looks: Looks, places: Places) -> Iterator[Line]:
    naming: Callable[[Record], str] = looks.name
    for record in shown:
        yield line_of(record, naming(record), places.number(record))
