"""Remarks on printed figures: what all share goes below the table once, the rest is marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from string import digits

_NAMED = 3  # rows or columns that a line below the table names before marks are clearer


@dataclass(frozen=True)
class Remark:
    """What a reader must know of a figure. symbol: its mark, where it has one of its own.

    before: the symbol stands before the figure and not among its marks ("≈ 250"). kept: the mark
    stands on the figure however many share it; of several texts under one symbol the later ones
    are numbered ("≠2").
    """

    text: str
    symbol: str = ""
    before: bool = False
    kept: bool = False


@dataclass(frozen=True)
class Figure:
    """A printed figure that can have remarks. part: published, measured or difference."""

    row: str
    column: str
    part: str
    remarks: tuple[Remark, ...]


def shared_remarks(figures: Sequence[Figure]) -> dict[tuple[str, Remark], str]:
    """By part and remark, where it stands if it stands on every figure of its part ("" for all of
    the table), or on every one of a few columns or rows, which are named."""
    found = {}
    for part in dict.fromkeys(figure.part for figure in figures):
        of_part = [figure for figure in figures if figure.part == part]
        for remark in dict.fromkeys(remark for figure in of_part for remark in figure.remarks):
            where = _whereabouts(remark, of_part)
            if where is not None:
                found[part, remark] = where
    return found


def _whereabouts(remark: Remark, figures: Sequence[Figure]) -> str | None:
    bearing = [figure for figure in figures if remark in figure.remarks]
    if len(bearing) < 2 or remark.before or remark.kept:
        return None
    if len(bearing) == len(figures):
        return ""
    for names in ([figure.column for figure in figures], [figure.row for figure in figures]):
        named = dict.fromkeys(
            name for name, figure in zip(names, figures, strict=True) if remark in figure.remarks
        )
        if len(named) <= _NAMED and sum(name in named for name in names) == len(bearing):
            return ", ".join(named)
    return None


@dataclass
class Marks:
    """Marks given out in the order in which the table needs them, one a text."""

    given: dict[str, str] = field(default_factory=dict)
    _kept: set[str] = field(default_factory=set)

    def mark(self, remark: Remark) -> str:
        """The mark of a remark: its symbol, else the next letter."""
        if remark.text not in self.given:
            letters = sum(mark.isalpha() for mark in self.given.values())
            alike = sum(mark.rstrip(digits) == remark.symbol for mark in self.given.values())
            number = str(alike + 1) if remark.kept and alike else ""
            self.given[remark.text] = remark.symbol + number or _letter(letters)
            if remark.kept:
                self._kept.add(remark.text)
        return self.given[remark.text]

    def legend(self) -> list[tuple[str, str]]:
        """Mark and text, in the order in which the marks were given; those that are kept on every
        figure first."""
        kept = [(mark, text) for text, mark in self.given.items() if text in self._kept]
        return kept + [(mark, text) for text, mark in self.given.items() if text not in self._kept]


def _letter(number: int) -> str:
    """a … z, aa, ab …"""
    head, last = divmod(number, 26)
    return (_letter(head - 1) if head else "") + chr(ord("a") + last)
