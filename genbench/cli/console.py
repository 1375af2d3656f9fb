"""What the user sees on stdout: lists, check-ups, results."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape

from genbench.records.kinds import Record
from genbench.records.lines import to_line
from genbench.tables.terminal import print_listing, print_rows
from genbench.tables.views import Results

stdout = Console()


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


def show_check(subject: str, good: bool, text: str) -> None:
    """One line of a check-up."""
    mark = "[green]✓[/green]" if good else "[red]✗[/red]"
    line = f"{mark} {escape(subject)}" + (f": {escape(text)}" if text else "")
    stdout.print(line, soft_wrap=True, highlight=False)
