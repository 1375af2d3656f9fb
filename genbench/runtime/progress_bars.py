"""Progress as bars with rate and ETA, and notes, both on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from genbench.runtime.progress import Advance

stderr = Console(stderr=True)


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="progress.data.speed")


class ProgressBars:
    """Bars with rate and ETA on stderr; silent where stderr is no terminal. Notes always show."""

    def __init__(self, *, leads: bool) -> None:
        self._leads = leads
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=stderr,
            disable=not (leads and stderr.is_terminal),
        )
        self._open = 0

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        """A bar while the context lasts; bars may nest."""
        if not self._open:
            self._progress.start()
        self._open += 1
        task = self._progress.add_task(label, total=total)
        try:
            yield lambda finished: self._progress.advance(task, finished)
        finally:
            self._open -= 1
            if not self._open:
                self._progress.stop()

    def note(self, text: str) -> None:
        """One line on stderr, from rank 0."""
        if self._leads:
            stderr.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)
