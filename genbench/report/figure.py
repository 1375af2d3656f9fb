"""A figure of the page: what is drawn, and the same data as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A plot, and its data, under a title, for whoever cannot see it. draw: its SVG text, as a
    file's."""

    draw: Callable[[], str]
    title: str
    caption: str
    header: Sequence[str]
    rows: Rows
