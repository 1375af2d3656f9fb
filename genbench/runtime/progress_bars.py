"""Progress as bars with rate and ETA, and notes, both on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

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
_LINE_SECONDS = 30.0  # between two lines of a task


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="cyan")


class _Lines:
    """Progress of one task as lines, now and then: what a log file or a pipe gets.

    told: when there was the last line of any task, which all of a run share.
    """

    def __init__(self, label: str, total: int, told: list[float]) -> None:
        self._label, self._total, self._done, self._doing = label, total, 0, ""
        self._begun, self._told = time.monotonic(), told
        self._at_first: int | None = None  # what was there already, which tells no rate

    def advance(self, finished: int, doing: str) -> None:
        self._done += finished
        self._doing = doing
        if self._at_first is None:
            self._at_first = self._done
        now = time.monotonic()
        if now - self._told[0] >= _LINE_SECONDS:
            self._told[0] = now
            stderr.print(self._line(now), markup=False, highlight=False, soft_wrap=True)

    def _line(self, now: float) -> str:
        rate = (self._done - (self._at_first or 0)) / max(now - self._begun, 1e-9)
        left = (
            f", {rate:,.3g}/s, ETA {_duration((self._total - self._done) / rate)}" if rate else ""
        )
        return f"{_named(self._label, self._doing)}: {self._done:,} of {self._total:,}{left}"


def _named(label: str, doing: str) -> str:
    return f"{label} ({doing})" if doing else label


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


class ProgressBars:
    """Bars with rate and ETA on stderr, or a line every half minute where stderr is no terminal.
    Notes always show."""

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
        self._told = [time.monotonic()]

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        """A bar while the context lasts; bars may nest."""
        if not self._open:
            self._progress.start()
        self._open += 1
        task = self._progress.add_task(label, total=total)
        lines = _Lines(label, total, self._told)

        def advance(finished: int, doing: str = "") -> None:
            self._progress.update(task, advance=finished, description=_named(label, doing))
            if self._leads and not stderr.is_terminal:
                lines.advance(finished, doing)

        try:
            yield advance
        finally:
            self._open -= 1
            if not self._open:
                self._progress.stop()
                for finished in self._progress.task_ids:  # else the next start draws them again
                    self._progress.remove_task(finished)

    def note(self, text: str) -> None:
        """One line on stderr, from rank 0."""
        if self._leads:
            stderr.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)
