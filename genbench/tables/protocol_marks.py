"""Which figures of a table rest on one protocol, and which two of one cell do not compare."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from genbench.tables.basis import Basis
from genbench.tables.cells import Cell, Table
from genbench.tables.remarks import Remark

OTHER, UNSURE, UNKNOWN = "≠", "≟", "?"
_CIRCLED = 20  # digits in circles that Unicode has


class ProtocolMarks:
    """What a table says of protocols. Where a column has figures of several in one group, every
    figure bears its protocol's number in a circle; where only some are of an unknown one, those
    bear a mark; what bears none is told in notes below."""

    def __init__(self, table: Table) -> None:
        columns = list(_bases_of_columns(table))
        several = any(len(found) > 1 for found in columns)
        places = _places_of_published(table)
        bare = {basis: where for basis, where in places.items() if basis.known or not several}
        self._by_group = _disjoint([{group for group, _ in where} for where in bare.values()])
        by_title = _disjoint([{title for _, title in where} for where in bare.values()])
        self._circled = not (self._by_group or by_title) or any(
            sum(basis.known for basis in found) > 1 for found in columns
        )
        self._questioned = several or self._circled
        self._unmarked = {} if self._circled else bare
        self._numbers: dict[str, int] = {}
        for _, _, cell in _cells(table):
            for basis in filter(None, _shown(cell)):
                if basis.known:
                    self._numbers.setdefault(basis.key, len(self._numbers) + 1)

    def of_published(self, cell: Cell) -> Iterator[Remark]:
        """The marks of a cell's published figure."""
        yield from self._shared(cell.published_under)

    def of_measured(self, cell: Cell) -> Iterator[Remark]:
        """The marks of its measured figure."""
        yield from self._shared(cell.measured_under)
        yield from of_difference(cell)

    def notes(self) -> Iterator[str]:
        """What is said below the table."""
        what = "unmarked published figures" if self._questioned else "published figures"
        for basis, places in self._unmarked.items():
            named = dict.fromkeys(group if self._by_group else title for group, title in places)
            where = f" of {', '.join(named)}" if len(self._unmarked) > 1 else ""
            yield f"{what}{where}: {basis.text}"
        if self._questioned:
            yield "bold and = are among figures of one group and one known protocol"

    def _shared(self, basis: Basis | None) -> Iterator[Remark]:
        if basis is None:
            return
        if self._questioned and not basis.known:
            yield Remark(basis.text, UNKNOWN, kept=True)
        elif self._circled and basis.known:
            yield Remark(basis.text, circled(self._numbers[basis.key]), kept=True)


def circled(number: int) -> str:
    """① for 1 …"""
    return chr(ord("①") + number - 1) if number <= _CIRCLED else f"({number})"


def of_difference(cell: Cell) -> Iterator[Remark]:
    """The mark of two figures that do not compare, or of which nobody can say it."""
    if cell.relation in ("", "same"):
        return
    assert cell.measured_under is not None
    assert cell.published_under is not None
    both = f"measured under {cell.measured_under.name}, published under {cell.published_under.name}"
    if cell.relation == "other":
        yield Remark(f"{both}: the two do not compare", OTHER, kept=True)
    else:
        yield Remark(f"{both}: nobody can say whether the two compare", UNSURE, kept=True)


def _cells(table: Table) -> Iterator[tuple[str, str, Cell]]:
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            yield row.group, column.title, cell


def _shown(cell: Cell) -> tuple[Basis | None, Basis | None]:
    """The protocols of the figures that a cell shows: published, measured."""
    published = cell.published_under if cell.published else None
    return published, cell.measured_under if cell.measured else None


def _places_of_published(table: Table) -> dict[Basis, list[tuple[str, str]]]:
    """The groups and columns in which each protocol has a published figure."""
    found: dict[Basis, list[tuple[str, str]]] = {}
    for group, title, cell in _cells(table):
        basis, _ = _shown(cell)
        if basis is not None:
            found.setdefault(basis, []).append((group, title))
    return found


def _bases_of_columns(table: Table) -> Iterator[Collection[Basis]]:
    """The protocols of each column in each group, of published and of measured figures."""
    found: dict[tuple[str, int, int], dict[str, Basis]] = {}
    for row in table.rows:
        for position, cell in enumerate(row.cells):
            for part, basis in enumerate(_shown(cell)):
                if basis is not None:
                    found.setdefault((row.group, position, part), {})[basis.key] = basis
    for bases in found.values():
        yield bases.values()


def _disjoint(sets: list[set[str]]) -> bool:
    return sum(map(len, sets)) == len(set().union(*sets))
