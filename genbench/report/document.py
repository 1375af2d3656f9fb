"""The report: one HTML file that needs nothing else, as one would show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.records.kinds import QualityRecord, Record
from genbench.report.figure import Figure
from genbench.report.figures import COMPARISONS, MISSING, speed_figures
from genbench.report.headline import headlines
from genbench.report.hints import missing_commands, sample_command
from genbench.report.looks import Look, Looks, quality_subjects
from genbench.report.provenance import FIGURE_HEADER, Cards
from genbench.report.samples import Picture, pairs_of, picture_of, strip_of
from genbench.report.summary import subtitle
from genbench.report.templating import environment
from genbench.tables.cells import Table
from genbench.tables.html import table_to_body
from genbench.tables.ranking import TIED, TIED_MARK

TITLE = "Image generators, measured"
SECTIONS = {
    "measured": "What was measured here",
    "comparisons": "Comparisons",
    "tables": "Tables, published beside measured",
    "provenance": "Provenance",
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture of samples with its words."""

    name: str
    look: Look
    picture: Picture
    told: str
    card: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What the page could show and cannot, and what brings it."""

    title: str
    reason: str
    commands: Sequence[str]


def report_html(
    files: Mapping[Path, Sequence[Record]],
    tables: Sequence[Table],
    *,
    cache: Path,
    title: str = TITLE,
    written: str = "",
) -> str:
    """The whole page.

    files: each record file with its records. written: the day it is written, as it is shown. Raises
    GenbenchError when jinja2 or matplotlib is not installed.
    """
    template = environment().get_template("report.html")
    records = [record for found in files.values() for record in found]
    looks = Looks(records)
    alone = len({path.name for path in files}) == len(files)
    told = {path.name if alone else str(path): found for path, found in files.items()}
    cards = Cards(told, looks)
    subjects = quality_subjects(records)
    comparisons, missing = _comparisons(records, looks)
    pairs = list(_pairs(subjects, looks, cache))
    strips, unseen = _strips(subjects, looks, cards, list(files), cache)
    front = list(speed_figures(records, looks))
    if not front:
        missing.insert(0, _missing("speed", "Quality against speed", MISSING["speed"], records))
    return template.render(
        title=title,
        subtitle=subtitle(records),
        origin=_origin(files, written),
        sections=[{"id": id, "title": text} for id, text in SECTIONS.items()],
        headlines=headlines(records, looks, cards.of),
        tied=(TIED_MARK, TIED),
        first_commands=_first_commands(tables),
        front=front,
        strips=strips,
        comparisons=comparisons,
        pairs=pairs,
        missing=[*missing, *unseen] if records else [],
        tables=[_shown_table(table, cards) for table in tables],
        cards=cards.all,
        figure_header=FIGURE_HEADER,
    )


def _origin(files: Mapping[Path, Sequence[Record]], written: str) -> str:
    told = ", ".join(f"{path} ({len(found):,})" for path, found in files.items())
    day = f"; written {written} by genbench" if written else ""
    return f"from the records of {told}{day}"


def _first_commands(tables: Sequence[Table]) -> list[str]:
    """Commands of the first table that any can fill: one of quality, one of speed."""
    for table in tables:
        commands = [cell.command for row in table.rows for cell in row.cells if cell.command]
        kinds = {command.split()[1]: command for command in reversed(commands)}
        if commands:
            return list(reversed(kinds.values()))
    return []


def _comparisons(
    records: Sequence[Record], looks: Looks
) -> tuple[list[dict[str, Any]], list[Missing]]:
    """The kinds of figure that there are, and those that are missing."""
    there: list[dict[str, Any]] = []
    missing = []
    for kind in COMPARISONS:
        figures: list[Figure] = list(kind.figures(records, looks))
        if figures:
            there.append({"name": kind.name, "title": kind.title, "figures": figures})
        elif kind.expected:
            missing.append(_missing(kind.name, kind.title, kind.missing, records))
    return there, missing


def _missing(name: str, title: str, reason: str, records: Sequence[Record]) -> Missing:
    return Missing(title=title, reason=reason, commands=missing_commands(name, records))


def _strips(
    subjects: Sequence[QualityRecord], looks: Looks, cards: Cards, files: Sequence[Path],
    cache: Path,
) -> tuple[list[Shown], list[Missing]]:  # fmt: skip
    """A strip of samples for every subject, and what brings those that are nowhere."""
    strips, commands = [], []
    for record in subjects:
        strip = strip_of(record, files, cache)
        if strip is not None:
            seed = "" if record.seed is None else f" of seed {record.seed}"
            told = f"the first {strip.count} samples{seed}"
            strips.append(
                Shown(
                    name=looks.name(record), look=looks.look(record), picture=strip.picture,
                    told=told, card=cards.of(record),
                )
            )  # fmt: skip
        elif record.card:
            commands.append(sample_command(record))
    reason = "of some models there are none, neither beside the records nor in the cache"
    missing = [Missing(title="First samples", reason=reason, commands=commands)]
    return strips, missing if commands else []


def _pairs(subjects: Sequence[QualityRecord], looks: Looks, cache: Path) -> Iterator[Any]:
    """Samples with their nearest references, one picture a model: what the cache can give."""
    done: set[tuple[str, str]] = set()
    for record in subjects:
        if not record.reference or (record.model, record.card) in done:
            continue
        found = pairs_of(record, cache)
        if found is None:
            continue
        done.add((record.model, record.card))
        name = looks.name(record)
        yield {
            "look": looks.look(record),
            "picture": picture_of(found.picture),
            "title": f"{name}: nearest references",
            "caption": f"{name}, seed {record.seed}: samples (odd rows) and below each its nearest "
            f"image of {record.reference} by features of {record.detector} (even rows)",
            "rows": [
                [str(sample), str(index), f"{distance:.4g}"]
                for sample, (index, distance) in enumerate(
                    zip(found.nearest, found.distances, strict=True)
                )
            ],
        }


def _shown_table(table: Table, cards: Cards) -> dict[str, Any]:
    measured = any(cell.measured is not None for row in table.rows for cell in row.cells)
    return {
        "title": table.title,
        "body": table_to_body(table, cards.of),
        "measured": measured,
    }
