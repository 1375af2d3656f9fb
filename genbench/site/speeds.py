"""A table of measured speeds for each device and resolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genbench.records.kinds import Record, SpeedRecord
from genbench.report.curves import latest_speeds
from genbench.report.looks import Looks
from genbench.report.numbers import rounded
from genbench.site.lines import line_of
from genbench.site.places import Names, Places
from genbench.site.rows import Cell, Column, Rows
from genbench.tables.ranking import TIED_MARK, standings
from genbench.tables.remarks import Marks, Remark

_COLUMNS = (
    Column(title="model", text=True),
    Column(title="images/s", better="higher"),
    Column(title="batch"),
    Column(title="arithmetic", text=True),
    Column(title="measured"),
)


def speed_tables(records: Sequence[Record], looks: Looks, places: Places) -> list[Rows]:
    """Rates of sampling, the latest of each model with its options, fastest first."""
    groups: dict[tuple[str, int], list[SpeedRecord]] = {}
    for (device, _), record in latest_speeds(records).items():
        groups.setdefault((device, record.resolution), []).append(record)
    names = Names()
    return [
        _table(device, sorted(found, key=lambda one: -one.value), looks, places, names)
        for (device, _), found in groups.items()
    ]


def _table(
    device: str, found: Sequence[SpeedRecord], looks: Looks, places: Places, names: Names
) -> Rows:
    size, marks = found[0].resolution, Marks()
    stands = standings(found, higher=True)
    return Rows(
        id=f"tables/speed-{names.of((device, size), f'{size}-{device}')}",
        caption=f"Images per second at {size}×{size} on {device}",
        columns=_COLUMNS,
        rows=[
            list(_row(record, stand, looks, places, marks))
            for record, stand in zip(found, stands, strict=True)
        ],
        lines=[line_of(record, looks.name(record), places.number(record)) for record in found],
        ordered=1,
        descending=True,
        footnotes=marks.legend(),
    )


def _row(
    record: SpeedRecord, standing: str, looks: Looks, places: Places, marks: Marks
) -> Iterator[Cell]:
    name = looks.name(record)
    page = f"{places.model(record.model)}.html"
    yield Cell(text=name, sort=name, href=page, look=looks.look(record))
    value, interval = rounded(record)
    given = [TIED_MARK] if standing == "tied" else []
    given += [marks.mark(Remark(note)) for note in record.notes]
    yield Cell(
        text=value, sort=record.value, small=interval, href=places.number(record),
        marks=" ".join(given), best=standing == "best",
    )  # fmt: skip
    yield Cell() if record.batch is None else Cell(text=str(record.batch), sort=record.batch)
    yield Cell(text=record.arithmetic or "–", sort=record.arithmetic)
    yield Cell(text=record.created[:10] or "undated", sort=record.created)
