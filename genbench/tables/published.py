"""Numbers from papers: tables/published.csv, the only home of them, with what is odd about some."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, get_args

from genbench.errors import GenbenchError
from genbench.runtime.folders import tables_folder

# seen: read in the named source; counted: of no paper, counted here from the official code;
# secondary: read where somebody quotes the source; unverified: not checked against the source
# (these three are shown with a mark); low: unverified and doubtful, never shown as published.
Confidence = Literal["seen", "counted", "secondary", "unverified", "low"]
_SHOWN: tuple[Confidence, ...] = ("seen", "counted", "secondary", "unverified")
QUALITY = ("FID", "sFID", "IS", "precision", "recall")  # what "quality" in notes.csv stands for
_SUFFIXES = {"": 1.0, "M": 1e6, "B": 1e9}


@dataclass(frozen=True, kw_only=True)
class PublishedValue:
    """One cell of a published table, as printed there."""

    table: str
    model: str
    dataset: str
    resolution: str
    metric: str
    value: str  # as printed, trailing zeros included; a few are text or ranges
    unit: str
    samples: str  # empty: not a count of samples, or not stated
    protocol: str
    source: str
    locator: str  # where in the source
    confidence: Confidence
    notes: tuple[str, ...] = ()

    @property
    def number(self) -> float | None:
        """The value as a number, "46.22M" as 46.22e6; None for text and ranges."""
        found = re.fullmatch(r"([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)([MB]?)", self.value)
        return float(found[1]) * _SUFFIXES[found[2]] if found else None

    @property
    def rounding(self) -> float:
        """Half a unit of the last digit printed: how far rounding alone may have moved it."""
        found = re.fullmatch(r"[+-]?\d+(?:\.(\d+))?([MB]?)", self.value)
        return 0.5 * 10.0 ** -len(found[1] or "") * _SUFFIXES[found[2]] if found else 0.0


@dataclass(frozen=True, kw_only=True)
class PublishedSelector:
    """Which rows of published.csv stand behind a row of a table spec."""

    table: str
    model: str
    dataset: str
    resolution: int

    def admits(self, value: PublishedValue) -> bool:
        """Whether a published value belongs to this row."""
        own = (self.table, self.model, self.dataset, str(self.resolution))
        return own == (value.table, value.model, value.dataset, value.resolution)


def load_published(folder: Path | None = None) -> tuple[PublishedValue, ...]:
    """Every row of published.csv with its notes from notes.csv.

    Raises GenbenchError for a missing file, other columns, or an unknown confidence.
    """
    folder = folder or tables_folder()
    columns = [item.name for item in fields(PublishedValue) if item.name != "notes"]
    notes = _rows(
        folder / "notes.csv", ["table", "model", "dataset", "resolution", "metric", "note"]
    )
    values = []
    for number, row in enumerate(_rows(folder / "published.csv", columns), start=2):
        confidence = row["confidence"]
        if confidence not in get_args(Confidence):
            raise GenbenchError(
                f"published.csv, line {number}: confidence {confidence!r} must be one of "
                f"{', '.join(get_args(Confidence))}"
            )
        own = tuple(note["note"] for note in notes if _concerns(note, row))
        values.append(PublishedValue(**row, notes=own))  # type: ignore[arg-type]
    return (*values, *_stated_evaluations(values))


def _stated_evaluations(values: Sequence[PublishedValue]) -> Iterator[PublishedValue]:
    """Network evaluations a sample, which tables state beside the model: "(NFE 79)", "1 NFE"."""
    seen = set()
    for value in values:
        row = (value.table, value.model, value.dataset, value.resolution)
        stated = re.search(r"NFE (\d+)\b|\b(\d+) NFE", f"{value.model}; {value.protocol}")
        if stated and row not in seen:
            seen.add(row)
            yield replace(
                value, metric="NFE", value=stated[1] or stated[2], unit="", samples="", notes=()
            )


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows, names = list(reader), reader.fieldnames
    except FileNotFoundError as error:
        raise GenbenchError(f"{path} is missing: reinstall genbench") from error
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise GenbenchError(f"{path} is no CSV file in UTF-8 ({error}): correct it") from error
    if names != list(columns) or any(
        None in row or None in row.values()
        for row in rows  # a line too long, or too short
    ):
        raise GenbenchError(f"{path} must have the columns {', '.join(columns)} in every line")
    return rows


def _concerns(note: dict[str, str], row: dict[str, str]) -> bool:
    """Whether a note is about a row; "*" stands for any value, "quality" for the five metrics."""
    if note["metric"] == "quality" and row["metric"] in QUALITY:
        note = note | {"metric": row["metric"]}
    keys = ("table", "model", "dataset", "resolution", "metric")
    return all(note[key] in ("*", row[key]) for key in keys)


def find_published(
    values: Sequence[PublishedValue], selectors: Sequence[PublishedSelector], metric: str
) -> PublishedValue | None:
    """The value of a cell: the surest there is, and never one of low certainty."""
    fitting = [
        value
        for selector in selectors
        for value in values
        if value.metric == metric and selector.admits(value)
    ]
    for confidence in _SHOWN:
        for value in fitting:
            if value.confidence == confidence:
                return value
    return None
