"""The points of a training as rows of text."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.records.kinds import QualityRecord
from genbench.tables.listings import with_interval
from genbench.watching.curve import Point


def rows_of(points: Sequence[Point], best: Point) -> list[dict[str, str]]:
    """A row a point: step, checkpoint, every figure with its interval, and which is the best."""
    figures = dict.fromkeys(_title(record) for point in points for record in point.records)
    rows = []
    for point in points:
        told = {_title(record): shown(record) for record in point.records}
        rows.append(
            {
                "step": "" if point.step is None else f"{point.step:,}",
                "checkpoint": point.name,
                **{figure: told.get(figure, "") for figure in figures},
                "best": "best" if point is best else "",
            }
        )
    return rows


def _title(record: QualityRecord) -> str:
    return f"{record.metric} at {record.samples:,}"


def shown(record: QualityRecord) -> str:
    """A figure, with its interval where it has one."""
    value, *ends = with_interval(record, record.low is not None)
    return f"{value} ({ends[0]})" if ends else value
