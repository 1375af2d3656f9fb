"""The two runs of a comparison: found by name, and told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import GenbenchError, UsageError
from genbench.records.kinds import Record
from genbench.records.labels import Labels
from genbench.records.runs import day_of, figures_in, find_run
from genbench.records.store import read_records

Run = Sequence[Record]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two that are compared: its figures and what they are of.

    title: what it is called beside the other. told: everything that says which run it is.
    """

    title: str
    told: str
    run: Run


def sides(
    first: str, second: str, records: Run, told: Callable[[str], object] | None = None
) -> tuple[Side, Side]:
    """The two runs or record files of those names (`named_run`), and what tells them apart."""
    runs = [named_run(name, records, told) for name in (first, second)]
    label = Labels(record for run in runs for record in run)
    titles = [
        Path(name).name if Path(name).is_file() else label(run[0])
        for name, run in zip((first, second), runs, strict=True)
    ]
    if titles[0] == titles[1]:
        titles = [f"{title} {run[0].run}" for title, run in zip(titles, runs, strict=True)]
    apart = Labels((record for run in runs for record in run), named=False)
    one, other = (
        Side(title=f"{letter}: {title}", told=", ".join(_told(run, apart)), run=run)
        for letter, title, run in zip("AB", titles, runs, strict=True)
    )
    return one, other


def _told(run: Run, apart: Labels) -> Iterator[str]:
    """What says which run it is, and of what. apart: tells models apart whatever runs are named."""
    first = run[0]
    yield "run " + " and ".join(dict.fromkeys(record.run for record in run))
    if first.name:
        yield f"named {first.name}"
    yield first.model + (f" ({first.card})" if first.card not in ("", first.model) else "")
    facts = apart.differing(first)
    facts.pop("variant", None)
    if first.checkpoint and "checkpoint" not in facts:
        yield first.checkpoint
    for name, text in facts.items():
        yield text if name in ("checkpoint", "images") else f"{name} {text}"
    yield day_of(first)
    yield figures_in(run)


def named_run(name: str, records: Run, told: Callable[[str], object] | None = None) -> Run:
    """The records of a run, named by its id, the name it was given or the first letters of either,
    or of a record file (there the latest of each metric and count).

    told: as of `read_records`. Raises GenbenchError for a file without records, UsageError for a
    run that is on no record, and for what names several.
    """
    if not Path(name).is_file():
        if "/" in name or name.endswith(".jsonl"):
            raise UsageError(f"there is no record file {name}: check the path")
        return find_run(name, records)
    latest = {
        (item.metric, item.samples, item.protocol_digest): item
        for item in read_records(Path(name), told=told)
    }
    if not latest:
        raise GenbenchError(f"{name} holds no records: name another file, or a run")
    return list(latest.values())
