"""The best of each column marked, among figures that compare: of one group and one protocol."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from genbench.records.kinds import QualityRecord
from genbench.tables.cells import Cell, TableRow
from genbench.tables.columns import Column
from genbench.tables.ranking import Standing, standings


def with_best(
    rows: Sequence[TableRow], position: int, column: Column, *, higher: bool
) -> Iterator[TableRow]:
    """The rows with the best published value of a column marked, and how the measured ones stand,
    in each group and under each protocol by itself. position: the column's."""
    cells = [row.cells[position] for row in rows]
    standing: list[Standing] = [""] * len(rows)
    if column.value == "value":  # what stands beside it, such as a share, has no interval
        measured = [_measured_among(row, cell) for row, cell in zip(rows, cells, strict=True)]
        for among in dict.fromkeys(measured):
            own = [
                cell.measured if its == among else None
                for its, cell in zip(measured, cells, strict=True)
            ]
            found = standings(own, higher=higher)
            standing = [new or old for new, old in zip(found, standing, strict=True)]
    published = [_published_among(row, cell) for row, cell in zip(rows, cells, strict=True)]
    for row, cell, among, stands in zip(rows, cells, published, standing, strict=True):
        peers = [peer for peer, its in zip(cells, published, strict=True) if its == among]
        printed = [number for peer in peers if (number := _ranked(peer)) is not None]
        best = (max if higher else min)(printed, default=None)
        leads = len(printed) > 1 and _ranked(cell) == best
        marked = replace(cell, best_published=leads, standing=stands)
        yield replace(row, cells=(*row.cells[:position], marked, *row.cells[position + 1 :]))


def _measured_among(row: TableRow, cell: Cell) -> Hashable:
    quality = isinstance(cell.measured, QualityRecord)
    return row.group, cell.measured.protocol_digest if cell.measured and quality else ""


def _published_among(row: TableRow, cell: Cell) -> Hashable:
    return row.group, cell.published_under.key if cell.published_under else ""


def _ranked(cell: Cell) -> float | None:
    """The published number, where it may be ranked: of no protocol, or of one that is known."""
    if cell.published is None or (cell.published_under and not cell.published_under.known):
        return None
    return cell.published.number
