"""Tables as HTML: a fragment for the report, a page of its own for `genbench table`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby

from genbench.records.kinds import Record
from genbench.tables.cells import Table
from genbench.tables.html_page import page
from genbench.tables.layout import Entry, Grid, Heading, lay_out
from genbench.tables.listings import Listing


def table_to_html(table: Table) -> str:
    """A page with this table alone."""
    return page(table.title, _fragment(table))


def table_to_fragment(table: Table) -> str:
    """The table under its title, its footnotes and the commands that fill it, to put in a page."""
    return f"<h3>{escape(table.title)}</h3>\n{_fragment(table)}"


def table_to_body(table: Table, card_of: Callable[[Record], str]) -> str:
    """The same without the title. card_of: the id that a measured number links to, of what the page
    says about its record."""
    return _fragment(table, card_of)


def _fragment(table: Table, card_of: Callable[[Record], str] | None = None) -> str:
    grid = lay_out(table)
    width = 1 + sum(len(heading.parts) for heading in grid.headings)
    bodies = []
    for group, members in groupby(grid.lines, key=lambda line: line.group):
        rows = ""
        if group:
            rows = f'<tr><th scope="rowgroup" colspan="{width}">{escape(group)}</th></tr>\n'
        for line in members:
            cells = "".join(_cell(entry, card_of) for entry in line.entries)
            rows += f'<tr><th scope="row">{escape(line.label)}</th>{cells}</tr>\n'
        bodies.append(f"<tbody>\n{rows}</tbody>\n")
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(grid.title)}">\n'
        f'<table>\n<caption class="hidden">{escape(grid.title)}</caption>\n'
        f"{_head(grid.headings)}{''.join(bodies)}</table>\n</div>\n{_notes(grid)}"
    )


def rows_to_html(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table of text; the first entry of each row is its heading."""
    head = "".join(f'<th scope="col" class="text">{escape(text)}</th>' for text in header)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f'<td class="text">{escape(text)}</td>' for text in row[1:])
        + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption)}">\n<table>\n'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}</tbody>\n</table>\n</div>\n"
    )


def listing_to_fragment(listing: Listing) -> str:
    """A listing under its title, and its notes."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in listing.notes)
    return rows_to_html(listing.title, listing.columns, listing.rows) + (
        f'<ul class="notes">{notes}</ul>\n' if notes else ""
    )


def _head(headings: Sequence[Heading]) -> str:
    if all(heading.parts == ("",) for heading in headings):
        titles = "".join(f'<th scope="col">{escape(heading.title)}</th>' for heading in headings)
        return f"<thead><tr><td></td>{titles}</tr></thead>\n"
    tops = "".join(
        f'<th scope="colgroup" colspan="{len(heading.parts)}">{escape(heading.title)}</th>'
        for heading in headings
    )
    parts = "".join(
        f'<th scope="col">{escape(part)}</th>' for heading in headings for part in heading.parts
    )
    return f'<thead><tr><td rowspan="2"></td>{tops}</tr>\n<tr>{parts}</tr></thead>\n'


def _cell(entry: Entry, card_of: Callable[[Record], str] | None) -> str:
    value, between, spread = entry.text.partition(" ± ")
    text = escape(value)
    if card_of and entry.record is not None:
        text = f'<a href="#{escape(card_of(entry.record))}">{text}</a>'
    if entry.best:
        text = f"<strong>{text}</strong>"
    marks = f"<sup>{escape(' '.join(entry.marks))}</sup>" if entry.marks else ""
    interval = f" <small>± {escape(spread)}</small>" if between else ""
    return f"<td>{text}{marks}{interval}</td>"


def _notes(grid: Grid) -> str:
    items = [
        f'<li class="marked"><sup>{escape(mark)}</sup> {escape(text)}</li>'
        for mark, text in grid.footnotes
    ]
    items += [f"<li>{escape(note)}</li>" for note in grid.notes]
    notes = f'<ul class="notes">\n{"".join(items)}</ul>\n' if items else ""
    if not grid.commands:
        return notes
    commands = escape("\n".join(grid.commands))
    return (
        f"{notes}<details><summary>Commands that fill the missing figures</summary>\n"
        f"<pre><code>{commands}</code></pre></details>\n"
    )
