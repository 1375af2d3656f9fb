"""What a long job says while it runs, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Advance(Protocol):
    """Tells how a task goes on."""

    def __call__(self, finished: int, doing: str = "") -> None:
        """`finished` items more are done since the last call. doing: what the next one is, where
        items are of several kinds."""
        ...


def in_percent(advance: Advance) -> Callable[[int, int | None], None]:
    """Turn calls with (done, total or None where it is not known) into steps of a bar of 100."""
    shown = 0

    def progress(done: int, total: int | None) -> None:
        nonlocal shown
        percent = done * 100 // total if total else shown
        advance(percent - shown)
        shown = percent

    return progress


class Reporter(Protocol):
    """Listens to a job. The command line draws bars; tests and libraries may stay silent."""

    def task(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """A piece of work of `total` items, while the context lasts."""
        ...

    def note(self, text: str) -> None:
        """One line the user should read, such as a figure that is not comparable and why."""
        ...


class SilentReporter:
    """Keeps the notes and draws nothing."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        """A task nobody watches."""
        yield lambda finished, doing="": None

    def note(self, text: str) -> None:
        """Keep the note."""
        self.notes.append(text)
