"""Where every number of the page comes from: a card a run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from genbench.metrics.catalogue import compared_with
from genbench.records.kinds import QualityRecord, Record
from genbench.records.measurement import Scalar
from genbench.report.looks import Look, Looks
from genbench.report.numbers import plain, shown_interval


@dataclass(frozen=True, kw_only=True)
class Card:
    """A run of one model or set of images. facts: name to text; figures: what it measured."""

    id: str
    title: str
    look: Look
    run: str
    facts: Mapping[str, str]
    command: str
    figures: Sequence[Sequence[str]]
    notes: Sequence[str]


FIGURE_HEADER = (
    "metric", "value", "unit", "95% interval", "samples", "how the interval was computed"
)  # fmt: skip


class Cards:
    """The cards of all records, and which one a record stands on.

    files: each record file with its records.
    """

    def __init__(self, files: Mapping[str, Sequence[Record]], looks: Looks) -> None:
        self._ids: dict[tuple[str, str], str] = {}
        grouped: dict[str, list[Record]] = {}
        places: dict[str, dict[str, None]] = {}
        for name, records in files.items():
            for record in records:
                key = (record.run, looks.name(record))
                if key not in self._ids:
                    self._ids[key] = self._free_id(record.run)
                grouped.setdefault(self._ids[key], []).append(record)
                places.setdefault(self._ids[key], {})[name] = None
        self._looks = looks
        self.all = [_card(id, found, list(places[id]), looks) for id, found in grouped.items()]

    def of(self, record: Record) -> str:
        """The id of the record's card."""
        return self._ids[record.run, self._looks.name(record)]

    def _free_id(self, run: str) -> str:
        """An id that a fragment can name, whatever the run is called."""
        wanted = f"run-{re.sub('[^A-Za-z0-9]+', '-', run)}"
        taken, name, number = set(self._ids.values()), wanted, 2
        while name in taken:
            name, number = f"{wanted}-{number}", number + 1
        return name


def _card(id: str, records: Sequence[Record], files: Sequence[str], looks: Looks) -> Card:
    last = records[-1]
    facts = dict(run_facts(records)) | {"record file": ", ".join(files)}
    return Card(
        id=id,
        title=looks.name(last),
        look=looks.look(last),
        run=last.run,
        facts={name: text for name, text in facts.items() if text},
        command=" ".join(last.environment.command),
        figures=[
            [record.metric, plain(record.value), record.unit, shown_interval(record),
             f"{record.samples:,}", record.interval]
            for record in records
        ],
        notes=list(dict.fromkeys(note for record in records for note in record.notes)),
    )  # fmt: skip


def run_facts(records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """What a run was, by name; empty texts where it has no such thing."""
    record = records[-1]
    quality = [item for item in records if isinstance(item, QualityRecord)]
    compared = next((item for item in quality if item.reference), None)
    environment, packages = record.environment, record.environment.packages

    def told(**values: object) -> str:
        return ", ".join(f"{name} {value}" for name, value in values.items() if value)

    yield "model", _joined(record.model, record.card if record.card != record.model else "")
    digest = f"SHA-256 {record.checkpoint_digest}" if record.checkpoint_digest else ""
    kind = "" if record.weight_kind == "none" else record.weight_kind
    yield "weights", _joined(kind, record.checkpoint, digest)
    yield "seed", "" if record.seed is None else str(record.seed)
    options = {name: value for name, value in record.options.items() if value not in (None, "")}
    yield "options", _told_options(options)
    block = "" if record.block is None else f"blocks of {record.block}"
    compiled = "compiled" if record.compiled else ""
    yield "drawn with", _joined(told(labels=record.labels), record.arithmetic, block, compiled,
                                told(kernels=record.kernels, code=record.code_digest))  # fmt: skip
    yield "samples", quality[-1].samples_digest if quality else ""
    yield "protocol", f"{record.protocol} [{record.protocol_digest}]"
    yield "detector", _detector(quality[-1]) if quality else ""
    if compared:
        count = compared_with(compared.metric, compared.reference_samples)
        yield "reference", _joined(f"{compared.reference} [{compared.reference_digest}]", count)
    yield "device", _joined(
        environment.device,
        told(threads=environment.threads, processors=environment.processors,
             processes=environment.processes),
    )  # fmt: skip
    yield "platform", environment.platform
    yield "versions", told(genbench=environment.genbench, git=environment.git,
                           python=environment.python, torch=packages.get("torch"),
                           numpy=packages.get("numpy"), cuda=environment.cuda)  # fmt: skip
    yield "date", record.created


def _told_options(options: Mapping[str, Scalar]) -> str:
    """A family's options as words."""
    return ", ".join(
        f"{name.replace('_', ' ')} {str(value).lower() if isinstance(value, bool) else value}"
        for name, value in options.items()
    )


def _detector(record: QualityRecord) -> str:
    told = ", ".join(f"{name} {value}" for name, value in record.detector_identity.items())
    return f"{record.detector} ({told})" if told else record.detector


def _joined(*texts: str) -> str:
    return ", ".join(text for text in texts if text)
