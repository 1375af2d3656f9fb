"""Runs: the records of one command, found by their first letters or by the name they were given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from genbench.errors import UsageError, suggestion
from genbench.metrics.catalogue import find_metric
from genbench.records.kinds import QualityRecord, Record
from genbench.records.labels import Labels

_CANDIDATES = 5  # runs that a refusal names at most


def runs_of(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each run, in the order in which the runs were recorded."""
    runs: dict[str, list[Record]] = {}
    for record in records:
        runs.setdefault(record.run, []).append(record)
    return runs


def find_run(word: str, records: Iterable[Record]) -> list[Record]:
    """The records of the run with that id or name, or of the one whose id or name begins so.

    Raises UsageError for no such run, and with the candidates for several.
    """
    runs = runs_of(records)
    names = {run: found[0].name for run, found in runs.items()}
    for fits in (
        [run for run in runs if run == word],
        [run for run in runs if names[run] == word],
        [run for run in runs if run.startswith(word) or names[run].startswith(word)],
    ):
        if not word or not fits:
            continue
        if len(fits) > 1:
            raise UsageError(
                f"{word} may be any of the runs {_listed([runs[run] for run in fits])}: write more "
                "of it, or the run's own letters"
            )
        return runs[fits[0]]
    known = [*runs, *dict.fromkeys(filter(None, names.values()))]
    raise UsageError(
        f"no run {word} is on record (`genbench ls runs`); {suggestion(word, known[-10:])}"
    )


def _listed(runs: Sequence[Sequence[Record]]) -> str:
    label = Labels(record for run in runs for record in run)
    latest = runs[-_CANDIDATES:]
    told = [f"{run[0].run} ({label(run[0])}, {day_of(run[0])})" for run in latest]
    more = len(runs) - len(latest)
    return ", ".join(told) + (f" and {more} earlier" if more else "")


def day_of(record: Record) -> str:
    """When a record was made, to the minute: 2026-11-28 22:01."""
    return record.created[:16].replace("T", " ") or "undated"


def figures_in(run: Sequence[Record]) -> str:
    """What a run measured: "fd, recall at 1,000 and 2,000 samples"."""
    metrics = ", ".join(dict.fromkeys(record.metric for record in run))
    counts = sorted({record.samples for record in run if isinstance(record, QualityRecord)})
    at = f" at {' and '.join(f'{count:,}' for count in counts)} samples" if counts else ""
    return metrics + at


def _is_date(text: str) -> bool:
    """Whether a text is the beginning of an ISO date and time, to the day or further."""
    for form in ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%d %H", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"):
        with suppress(ValueError):
            datetime.strptime(text.replace("T", " "), form)
            return True
    return False


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Which runs to list. model: or its variant. name: or its first letters. since: a year, month,
    day, or a day with its time (UTC): 2026-11-28 22:05. last: of those that fit, so many; 0: all.
    """

    model: str = ""
    name: str = ""
    metric: str = ""
    protocol: str = ""
    since: str = ""
    last: int = 0

    def __post_init__(self) -> None:
        if self.since and not _is_date(self.since):
            raise UsageError(f"--since {self.since} is no date: write it as 2026-11-28")

    def __call__(self, records: Iterable[Record]) -> list[Record]:
        """The records of the runs that fit. A run fits a metric when it has one figure of it.
        Raises UsageError when there are runs and none fits."""
        known = list(runs_of(records).values())
        runs = [run for run in known if self._fits(run)]
        if known and not runs:
            raise UsageError(f"none of the {len(known)} runs on record fits: ask for less")
        return [record for run in runs[-self.last :] for record in run]

    def _fits(self, run: Sequence[Record]) -> bool:
        first = run[0]
        return (
            self.model in ("", first.model, first.card)
            and first.name.startswith(self.name)
            and self.protocol in ("", first.protocol, first.protocol_digest)
            and max(record.created for record in run) >= self.since.replace(" ", "T")
            and (not self.metric or any(item.metric in self._metric_keys() for item in run))
        )

    def _metric_keys(self) -> set[str]:
        """The names under which records have the metric: that of a rate is its own."""
        if found := find_metric(self.metric):
            return {found.key, found.generic_key}
        return {self.metric}
