"""What the user sees: progress on stderr, results as tables on stdout."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
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
from rich.table import Table
from rich.text import Text

from genbench.metrics.catalogue import Metric, metric_named
from genbench.records.measurement import Measurement
from genbench.runtime.progress import Advance

stdout = Console()
stderr = Console(stderr=True)


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="progress.data.speed")


class ConsoleReporter:
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


def show_rows(rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows of one shape as a table; columns that are empty throughout are left out.

    Where the terminal is too narrow for all, the widest columns are written out below their row.
    """
    if not rows:
        print("none yet", file=sys.stderr)
        return
    widths = {name: max(cell_len(text) for text in (name, *(row[name] for row in rows)))
              for name in rows[0] if any(row[name] for row in rows)}  # fmt: skip
    beside = _fitting(widths, stdout.width - 1, gap=3)  # in a border, whose lines count
    if beside == list(widths):
        table = Table(*beside)
        for row in rows:
            table.add_row(*(escape(row[name]) for name in beside))
        stdout.print(table)
        return
    beside = _fitting(widths, stdout.width + 2, gap=2)  # without one, nor a gap after the last
    header = "".join(set_cell_size(name, widths[name] + 2) for name in beside)
    stdout.print(Text(header.rstrip(), style="bold"), soft_wrap=True)
    for row in rows:
        line = "".join(set_cell_size(row[name], widths[name] + 2) for name in beside)
        stdout.print(Text(line.rstrip()), soft_wrap=True)
        for name in widths:
            if name not in beside and row[name]:
                for part in _indented(f"{name}: {row[name]}", stdout.width):
                    stdout.print(Text(part, style="dim"), soft_wrap=True)


def _indented(text: str, width: int) -> list[str]:
    """Lines of whole words; one longer than a line, such as an address, stays whole too."""
    return textwrap.wrap(
        text, width, initial_indent="    ", subsequent_indent="      ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _fitting(widths: Mapping[str, int], room: int, *, gap: int) -> list[str]:
    """The first column, and the others but for the widest, as many as must go for all to fit."""
    first, *others = widths
    while others and sum(widths[name] + gap for name in (first, *others)) > room:
        others.remove(max(others, key=lambda name: widths[name]))
    return [first, *others]


def show_check(subject: str, good: bool, text: str) -> None:
    """One line of a check-up."""
    mark = "[green]✓[/green]" if good else "[red]✗[/red]"
    line = f"{mark} {escape(subject)}" + (f": {escape(text)}" if text else "")
    stdout.print(line, soft_wrap=True, highlight=False)


def metric_title(metric: Metric, detector: str) -> str:
    """The name to print: FID with Inception, FD (detector) with anything else."""
    if detector == "inception":
        return metric.title
    if metric.generic_key == metric.key:
        return metric.title
    return f"{metric.generic_key.upper()} ({detector})"


def rounded(value: float) -> str:
    """Six significant digits: what a table shows; records keep every digit."""
    return f"{value:.6g}"


def show_measurements(measurements: Sequence[Measurement]) -> None:
    """Print measurements of one run as a table with what is needed to cite them below it."""
    if not measurements:
        return
    first = measurements[0]
    with_interval = any(measurement.low is not None for measurement in measurements)
    table = Table(title=escape(_title(first)), title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    if with_interval:
        table.add_column("95% interval", justify="right")
    table.add_column("samples", justify="right")
    table.add_column("better")
    for measurement in measurements:
        metric = metric_named(measurement.metric)
        row = [metric_title(metric, measurement.detector), rounded(measurement.value)]
        if with_interval:
            row.append(_interval(measurement))
        better = "higher ↑" if metric.higher_is_better else "lower ↓"
        table.add_row(*map(escape, row), f"{measurement.samples:,}", better)
    stdout.print(table)
    for line in _footer(measurements):
        stdout.print(escape(line), soft_wrap=True, highlight=False)


def _interval(measurement: Measurement) -> str:
    if measurement.low is None or measurement.high is None:
        return "–"
    return f"{rounded(measurement.low)} … {rounded(measurement.high)}"


def _title(measurement: Measurement) -> str:
    size = f" {measurement.resolution}×{measurement.resolution}" if measurement.resolution else ""
    return f"{measurement.model}{size}, measured here"


def _footer(measurements: Sequence[Measurement]) -> Iterator[str]:
    first = measurements[0]
    yield f"protocol {first.protocol} [{first.protocol_digest}], detector {first.detector}"
    compared = [item for item in measurements if item.reference]
    if compared:
        images = compared[0].reference_samples
        count = f", {images:,} images" if images else ""
        yield f"reference {compared[0].reference} [{compared[0].reference_digest[:12]}]{count}"
    origin = f"seed {first.seed}, " if first.seed is not None else ""
    versions = first.environment
    yield (
        f"samples [{first.samples_digest[:12]}], {origin}run {first.run}, genbench "
        f"{versions['genbench']}, torch {versions['torch']}, {versions['device']}"
    )
    if first.nfe is not None:
        guided = (
            f", and {first.nfe_guidance:g} of networks that guide" if first.nfe_guidance else ""
        )
        yield f"network evaluations a sample, counted: {first.nfe:g}{guided}"
    for interval in dict.fromkeys(item.interval for item in measurements if item.interval):
        named = ", ".join(item.metric for item in measurements if item.interval == interval)
        yield f"interval of {named}: {interval}"
    for note in dict.fromkeys(note for item in measurements for note in item.notes):
        yield f"note: {note}"
