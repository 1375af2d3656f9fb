"""What the user sees on stdout: lists, check-ups, results."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from textwrap import fill

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from genbench.records.kinds import Record
from genbench.records.lines import to_line
from genbench.tables.terminal import print_listing, print_rows
from genbench.tables.views import Results

stdout = Console()
Overview = Sequence[tuple[str, Sequence[tuple[str, ...]]]]  # headings, each with its lines


def show_rows(rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows of one shape as a table; columns that are empty throughout are left out."""
    if rows:
        print_rows(stdout, rows)
    else:
        print("none yet", file=sys.stderr)


def show_results(results: Results[Record], *, as_json: bool) -> None:
    """Print records as tables, or as JSON lines."""
    if as_json:
        for record in results:
            print(to_line(record))
        return
    for listing in results.listings():
        print_listing(stdout, listing)


def told(text: str) -> None:
    """A note to the user, beside what a command prints."""
    print(f"note: {text}", file=sys.stderr)


def show_overview(overview: Overview) -> None:
    """Headings, and under each its lines in columns; a line too long for the terminal goes on
    under its last column."""
    for heading, lines in overview:
        stdout.print(Text(heading, style="bold"), soft_wrap=True)
        grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        columns = max((len(line) for line in lines), default=0)
        for number in range(columns):
            grid.add_column(no_wrap=number < columns - 1, overflow="fold")
        for line in lines:
            *first, last = line
            grid.add_row(*map(Text, (*first, *[""] * (columns - len(line)), last)))
        stdout.print(Padding(grid, (0, 0, 0, 2)))


def show_explanation(heading: str, lines: Sequence[tuple[str, str]]) -> None:
    """A heading, and under it texts with their subjects; addresses stay whole on any terminal."""
    stdout.print(Text(heading, style="bold"), soft_wrap=True)
    margin = 4 + max((len(subject) for subject, _ in lines), default=0)
    for subject, text in lines:
        first = f"  {subject}".ljust(margin)
        told = fill(
            text, max(stdout.width, margin + 20), initial_indent=first,
            subsequent_indent=" " * margin, break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        stdout.print(Text(told), soft_wrap=True)


def show_check(subject: str, good: bool, text: str) -> None:
    """One line of a check-up."""
    mark = "[green]✓[/green]" if good else "[red]✗[/red]"
    line = f"{mark} {escape(subject)}" + (f": {escape(text)}" if text else "")
    stdout.print(line, soft_wrap=True, highlight=False)
