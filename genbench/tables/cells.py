"""A table with its values: rows of cells, each a published and a measured figure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from genbench.records.kinds import Record
from genbench.tables.basis import Basis, Relation, relation
from genbench.tables.columns import Column
from genbench.tables.published import PublishedValue
from genbench.tables.ranking import Standing


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell: what the paper prints, what was measured here, and what would fill the gap.

    value: the measured number: of one run, or the mean of `runs`. minimum: the least of several,
    where the published figure is such a one. statistic: which of several runs the published figure
    is ("the minimum of 3 runs"); empty: of one, or nobody says. published_under, measured_under:
    protocols; None for what has none, such as a speed.
    """

    published: PublishedValue | None = None
    measured: Record | None = None
    value: float | None = None
    runs: int = 1
    minimum: float | None = None
    statistic: str = ""
    published_under: Basis | None = None
    measured_under: Basis | None = None
    command: str = ""  # makes the missing record; empty: measured, or nothing can
    best_published: bool = False
    standing: Standing = ""  # of the measured value in its group

    @property
    def relation(self) -> Relation:
        """Whether its two figures compare; empty unless there are two."""
        if self.measured is None or self.published is None:
            return ""
        return relation(self.published_under, self.measured_under)

    @property
    def difference(self) -> float | None:
        """Measured minus published, minimum minus minimum; None unless both are numbers, and of one
        detector."""
        detectors = {
            basis.detector for basis in (self.published_under, self.measured_under) if basis
        }
        if len(detectors - {""}) > 1:  # distances of two networks
            return None
        own = self.value if self.minimum is None else self.minimum
        if own is None or self.published is None or self.published.number is None:
            return None
        return own - self.published.number

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
        """Whether the published value, unrounded, may not lie within the measured interval; under
        two protocols it need not."""
        if self.difference is None or self.published is None or self.relation == "other":
            return False
        # A minimum varies about as one run does, the mean of several less.
        reach = self.spread * (1 if self.minimum is None else math.sqrt(self.runs))
        return abs(self.difference) > reach + self.published.rounding


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
                    least = "" if cell.minimum is None else f" (minimum {cell.minimum:.6g})"
                    lines.append(
                        f"differs: {place}, {column.title}: measured {cell.value:.6g}{least} "
                        f"± {cell.spread:.2g}, published {cell.published.value}"
                        + (", protocol unknown" if cell.relation == "unknown" else "")
                    )
        return lines
