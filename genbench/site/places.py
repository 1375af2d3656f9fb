"""Where everything stands in the site: names that a file, a link and a reader can bear."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable

from genbench.records.kinds import Record
from genbench.records.runs import runs_of
from genbench.report.numbers import rounded

_LONGEST = 60  # letters of a name, well below what file systems take


class Names:
    """Names made of texts: each of letters, digits and hyphens, and of no two things the same, even
    where capitals do not count."""

    def __init__(self) -> None:
        self._given: dict[Hashable, str] = {}
        self._taken: set[str] = set()

    def of(self, thing: Hashable, text: str) -> str:
        """The name of a thing, made of a text when it is first asked for."""
        if thing not in self._given:
            stem = re.sub("[^A-Za-z0-9]+", "-", text).strip("-")[-_LONGEST:].strip("-") or "unnamed"
            name, number = stem, 2
            while name.lower() in self._taken:
                name, number = f"{stem}-{number}", number + 1
            self._taken.add(name.lower())
            self._given[thing] = name
        return self._given[thing]


class Places:
    """The pages of runs and models, and on them the anchor of each record."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.runs = runs_of(records)
        runs, self._models = Names(), Names()
        self._runs = {run: runs.of(run, run) for run in self.runs}
        self._anchors: dict[int, str] = {}
        for found in self.runs.values():
            anchors = Names()
            for record in found:
                self._models.of(record.model, record.model)
                text = f"{record.metric}-{record.samples}"
                self._anchors[id(record)] = anchors.of(id(record), text)

    def run(self, run: str) -> str:
        """The page of a run, without its ending."""
        return f"runs/{self._runs[run]}"

    def model(self, model: str) -> str:
        """The page of a model, without its ending."""
        return f"models/{self._models.of(model, model)}"

    def anchor(self, record: Record) -> str:
        """The record's place on its run's page."""
        return self._anchors[id(record)]

    def number(self, record: Record) -> str:
        """The address of a record's number."""
        return f"{self.run(record.run)}.html#{self.anchor(record)}"

    def badge(self, record: Record) -> str:
        """The picture file of a record."""
        return f"badges/{self._runs[record.run]}-{self.anchor(record)}.svg"


def value_of(record: Record) -> str:
    """ "96.6 ± 2.2" or, where the interval is lopsided, "1,921 (1,899 – 1,935)", to the digits that
    the interval leaves a meaning."""
    value, interval = rounded(record)
    if not interval:
        return value
    return f"{value} {interval}" if interval.startswith("±") else f"{value} ({interval})"
