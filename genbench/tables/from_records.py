"""A table of what is on record, without a spec: a row a model, checkpoint and setting."""

from __future__ import annotations

import math
import shlex
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.metrics.catalogue import METRICS, find_metric, short_title
from genbench.records.comparability import incomparable
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.records.labels import Labels, facts_of, sampler_options
from genbench.tables.best import with_best
from genbench.tables.cells import Cell, Table, TableRow
from genbench.tables.columns import Column

THROUGHPUT, NFE = "throughput", "nfe"
_TITLES = {THROUGHPUT: "images/s", NFE: "NFE"}
_DIGITS = {"fid": 2, "sfid": 2, "is": 2, "kid": 4, THROUGHPUT: 1, NFE: 0}
_SHARES = 3  # digits of precision, recall, density and coverage


@dataclass(frozen=True, kw_only=True)
class RecordsTable:
    """Which records to show, and how. rows: what tells rows apart ("checkpoint", "options", an
    option's name); None: everything. columns: metrics; None: all on record. samples, protocol: 0
    and "": those with most models.
    """

    rows: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    samples: int = 0
    protocol: str = ""


def table_of_records(records: Sequence[Record], wanted: RecordsTable) -> Table:
    """One table of figures that compare: of one protocol, reference and sample count. Of several
    records of one row and column the latest counts; what is left out is told in a note.

    Raises UsageError, with what there is, for a choice that leaves nothing.
    """
    if not records:
        raise GenbenchError("there are no records yet: measure something (`genbench fid --help`)")
    quality = [record for record in records if isinstance(record, QualityRecord)]
    speeds = [record for record in records if isinstance(record, SpeedRecord)]
    speeds = [speed for speed in speeds if speed.tier == "measured" and speed.training is None]
    chosen = _chosen(quality, wanted)
    shown: Sequence[Record] = chosen or speeds
    if not shown:
        raise GenbenchError("the records hold neither quality nor speed of sampling")
    only = None if wanted.rows is None else _facts(wanted.rows, shown)
    label = Labels(shown, only)
    rows: dict[Hashable, list[Record]] = {}
    for record in shown:
        rows.setdefault(_row_key(record, only), []).append(record)
    for found in rows.values():
        found += [speed for speed in speeds if chosen and _draws(found[-1]) == _draws(speed)]
    keys = list(wanted.columns) if wanted.columns is not None else _on_record(rows.values())
    columns = [_column(key, rows.values()) for key in keys]
    built = [
        TableRow(label=label(found[0]), group="",
                 cells=tuple(_cell(column, found) for column in columns))
        for found in rows.values()
    ]  # fmt: skip
    for position, column in enumerate(columns):
        if column.higher_is_better is not None:
            built = list(with_best(built, position, column, higher=column.higher_is_better))
    return Table(
        name="records", title=_title(chosen), notes=tuple(_notes(chosen, quality)),
        columns=tuple(columns), rows=tuple(built),
    )  # fmt: skip


def _chosen(quality: Sequence[QualityRecord], wanted: RecordsTable) -> list[QualityRecord]:
    """The figures that compare, of what was asked for: those of most models and checkpoints, then
    of most samples, then the latest."""
    fitting = [
        record for record in quality
        if wanted.protocol in ("", record.protocol, record.protocol_digest)
        and wanted.samples in (0, record.samples)
    ]  # fmt: skip
    if quality and not fitting:
        there = dict.fromkeys(f"{item.protocol} at {item.samples:,}" for item in quality)
        asked = wanted.protocol or "any protocol"
        count = f" at {wanted.samples:,} samples" if wanted.samples else ""
        raise UsageError(f"nothing is on record of {asked}{count}; there is: {', '.join(there)}")
    groups: dict[tuple[str, int], list[QualityRecord]] = {}
    for record in reversed(fitting):  # a dictionary keeps the latest first, and max the first
        groups.setdefault((record.protocol_digest, record.samples), []).append(record)
    if not groups:
        return []
    best = max(groups.values(), key=lambda group: (_models(group), group[0].samples))
    leads = _leads(best)
    return [item for item in reversed(best) if not incomparable(leads[bool(item.reference)], item)]


def _leads(latest: Iterable[QualityRecord]) -> dict[bool, QualityRecord]:
    """The latest figure, with a reference and without: what others must compare with."""
    leads: dict[bool, QualityRecord] = {}
    for record in latest:
        leads.setdefault(bool(record.reference), record)
    return leads


def _models(group: Iterable[QualityRecord]) -> int:
    return len({(item.model, item.card, item.checkpoint_digest, item.name) for item in group})


def _facts(rows: Sequence[str], shown: Sequence[Record]) -> tuple[str, ...]:
    """The facts that --rows names. "options" stands for all of the model's; "model" and "name"
    always tell rows apart. Raises UsageError for any other word."""
    options = {name.replace("_", " ") for record in shown for name in sampler_options(record)}
    known = {name for record in shown for name in facts_of(record)} | options
    found: set[str] = set()
    for word in (word.replace("_", " ").replace("-", " ") for word in rows):
        if word not in {"model", "name", "options", "checkpoint", "variant", "seed", *known}:
            raise UsageError(
                f"--rows {word}: no record tells that; "
                + suggestion(word, ["model", "name", "options", *known])
            )
        found |= options if word == "options" else {word}
    return tuple(found)


def _row_key(record: Record, only: Sequence[str] | None) -> Hashable:
    facts = facts_of(record).items()
    told = frozenset(item for item in facts if only is None or item[0] in only)
    return record.name, record.model, record.resolution, told


def _draws(record: Record) -> Hashable:
    """What decides how fast images come, whatever the weights."""
    options = frozenset((name, str(value)) for name, value in sampler_options(record).items())
    return record.model, record.card, record.resolution, options


def _on_record(rows: Iterable[Sequence[Record]]) -> list[str]:
    """The columns that have a figure: the catalogue's in its order, evaluations, speed."""
    records = [record for found in rows for record in found]
    there = {record.metric for record in records}
    found = [key for key, item in METRICS.items() if {key, item.generic_key} & there]
    if any(isinstance(item, QualityRecord) and item.nfe is not None for item in records):
        found.append(NFE)
    return found + ([THROUGHPUT] if THROUGHPUT in there else [])


def _column(key: str, rows: Iterable[Sequence[Record]]) -> Column:
    """The column of a metric, by either of its names, or of what a speed record has."""
    records = [record for found in rows for record in found]
    metric = find_metric(key)
    if metric is not None:
        detectors = {item.detector for item in records if isinstance(item, QualityRecord)}
        title = "/".join(sorted({short_title(metric, name) for name in detectors}))
        digits = _DIGITS.get(metric.key, _SHARES)
        return Column(metric=metric.key, title=title or metric.short, digits=digits)
    if key == NFE:
        return Column(metric="fid", value="nfe", title=_TITLES[NFE], digits=0)
    values = [abs(item.value) for item in records if item.metric == key and item.value]
    if not values:
        known = [*METRICS, NFE, *{item.metric for item in records}]
        raise UsageError(f"no {key} is on record for these rows; {suggestion(key, known)}")
    digits = _DIGITS.get(key, max(0, 3 - math.floor(math.log10(min(values)))))
    units = {item.unit for item in records if item.metric == key}
    return Column(
        metric=key, title=_TITLES.get(key) or f"{key.replace('_', ' ')} ({'/'.join(units)})",
        digits=digits, better="higher" if key.endswith("throughput") else "",
        where={"tier": "measured"},
    )  # fmt: skip


def _cell(column: Column, found: Sequence[Record]) -> Cell:
    metric = column.quality
    names = (metric.key, metric.generic_key) if metric else (column.metric,)
    for record in reversed(found):
        if column.value == "nfe":
            if isinstance(record, QualityRecord) and record.nfe is not None:
                return Cell(measured=record, value=record.nfe)
        elif record.metric in names:
            return Cell(measured=record, value=record.value)
    return Cell() if column.value == "nfe" else Cell(command=_command(found[0], column))


def _command(record: Record, column: Column) -> str:
    """What measures the missing figure of a row: of the same model, weights and options."""
    given = _checkpoint_of(record)
    words = ["--model", record.model, "--res", str(record.resolution)]
    if not record.card:
        words = ["--samples", record.model]
    elif record.card != record.model:
        words += ["--variant", record.card]
    words += ["--checkpoint", given] if given else []
    for name, value in record.options.items() if record.card else ():
        if value not in (None, "") and name != "compile":
            text = str(value).lower() if isinstance(value, bool) else str(value).split(" ")[0]
            words += [f"--{name.replace('_', '-')}", text]
    words += ["--dtype", record.arithmetic] if record.arithmetic else []
    words += ["--name", record.name] if record.name else []
    if column.quality is None:
        return "genbench throughput " + shlex.join(words)
    assert isinstance(record, QualityRecord)
    words += ["--seed", str(record.seed)] if record.seed else []
    words += ["--protocol", record.protocol.rstrip("*"), "-n", str(record.samples)]
    return "genbench fid " + shlex.join([*words, "--metric", column.metric])


def _checkpoint_of(record: Record) -> str:
    """The weights as the command that made the record named them; empty: the model's own."""
    words = record.environment.command
    given = [after for word, after in pairwise(words) if word == "--checkpoint"]
    given += [word.partition("=")[2] for word in words if word.startswith("--checkpoint=")]
    if len(given) == 1:
        return given[0]
    return record.checkpoint if given or record.weight_kind in ("given", "converted") else ""


def _title(chosen: Sequence[QualityRecord]) -> str:
    if not chosen:
        return "On record: speed"
    first = chosen[-1]
    return f"On record: protocol {first.protocol}, {first.samples:,} samples"


def _notes(chosen: Sequence[QualityRecord], quality: Sequence[QualityRecord]) -> Iterable[str]:
    """What all figures of quality have in common, and what else there is on record."""
    if not chosen:
        return
    leads = _leads(reversed(chosen))
    lead = leads.get(True, chosen[-1])
    reference = f", reference {lead.reference}" if lead.reference else ""
    yield (
        f"measured under protocol {lead.protocol} [{lead.protocol_digest}]: {lead.samples:,} "
        f"samples, detector {lead.detector}{reference}"
    )
    same = (lead.protocol_digest, lead.samples)
    unlike = dict.fromkeys(
        incomparable(leads.get(bool(item.reference), item), item)
        for item in quality
        if (item.protocol_digest, item.samples) == same
    )
    yield from (f"left out, since it does not compare: {reason}" for reason in unlike if reason)
    others = dict.fromkeys(
        f"--protocol {shlex.quote(item.protocol)} -n {item.samples}"
        for item in quality
        if (item.protocol_digest, item.samples) != same
    )
    if others:
        yield f"on record too, in tables of their own: {', '.join(others)}"
