"""The commands that measure the figures of records again, made from the records' own fields."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import find_metric
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.reproducing.needs import Need, needs_of, option_file
from genbench.reproducing.protocols import recorded_protocol

Word = str | Need
TIMES = "times are of the machine: another gives others, and the same one others within its spread"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures that one command measures: every one of its metrics at every one of its counts.

    words: after "genbench"; a need stands where its file is named. notes: for people.
    """

    records: tuple[Record, ...]
    words: tuple[Word, ...]
    notes: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[Need, ...]:
        """The files that the command names."""
        return tuple(word for word in self.words if isinstance(word, Need))

    @property
    def of_quality(self) -> bool:
        """Whether its figures are of quality, which another machine gives again."""
        return isinstance(self.records[0], QualityRecord)

    def shown(self) -> str:
        """The command for people: files where they lay, or in capitals where nobody told."""
        words = [word.path or word.variable if isinstance(word, Need) else word
                 for word in self.words]  # fmt: skip
        return shlex.join(["genbench", *words])

    def shell(self) -> str:
        """The command for a shell, whose variables say where the files lie."""
        words = [f'"${word.variable}"' if isinstance(word, Need) else shlex.quote(word)
                 for word in self.words]  # fmt: skip
        return " ".join(["genbench", *words])


def evaluations(records: Iterable[Record]) -> list[Evaluation]:
    """The commands of some records, in the order in which they were recorded. Raises GenbenchError
    for figures of random weights, which nobody kept."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(_measured_together(record), []).append(record)
    found: list[Evaluation] = []
    for group in groups.values():
        first = group[0]
        if isinstance(first, SpeedRecord):
            found.append(_speed([record for record in group if isinstance(record, SpeedRecord)]))
        else:
            quality = [record for record in group if isinstance(record, QualityRecord)]
            found += [_quality(part) for part in _full_products(quality)]
    return found


def _measured_together(record: Record) -> tuple[object, ...]:
    told = (record.run, record.model, record.card, record.protocol_digest, record.checkpoint_digest)
    if isinstance(record, QualityRecord):
        return (*told, record.samples_digest, record.detector)
    return (*told, record.mode, record.batch, record.compiled)


def _full_products(records: Sequence[QualityRecord]) -> list[list[QualityRecord]]:
    """The records of one evaluation in parts that have each metric at each count."""
    metrics: dict[int, list[str]] = {}
    for record in records:
        metrics.setdefault(record.samples, []).append(record.metric)
    parts: dict[frozenset[str], list[QualityRecord]] = {}
    for record in records:
        parts.setdefault(frozenset(metrics[record.samples]), []).append(record)
    return list(parts.values())


def _quality(records: Sequence[QualityRecord]) -> Evaluation:
    first, notes = records[0], []
    if first.weight_kind == "random-init":
        raise GenbenchError(
            f"the figures of run {first.run} are of random weights, which nobody kept: measure "
            "weights of a file"
        )
    metrics = [find_metric(record.metric) for record in records]
    if any(metric and metric.prompted for metric in metrics):
        raise GenbenchError(
            f"run {first.run} compares images with prompts, and records hold neither these nor the "
            f"CLIP: measure it by the command on record, {shlex.join(first.environment.command)}"
        )
    compared = next((record for record in records if record.reference_digest), first)
    learned = next((record for record in records if record.training_digest), None)
    weights = ""
    try:
        chosen = recorded_protocol(first)
        protocol, weights = chosen.words, chosen.weights
    except GenbenchError as error:
        protocol = ("--protocol", first.protocol.rstrip("*"))
        notes.append(str(error))
    words: list[Word] = ["fid"]
    if first.card:
        words += _model(first)
        words += ["--seed", str(first.seed or 0)]
        words += ["--labels", first.labels] if first.labels else []
        words += ["--block", str(first.block)] if first.block else []
        words += ["--compile"] if first.compiled else []
    words += _files([*needs_of(compared, weights), *(needs_of(learned) if learned else ())])
    words += protocol
    for count in dict.fromkeys(record.samples for record in records):
        words += ["-n", str(count)]
    for metric in dict.fromkeys(record.metric for record in records):
        words += ["--metric", metric]
    words += ["--ci"] if any(record.interval for record in records) else []
    words += ["--device", first.environment.device_type] if first.environment.device_type else []
    if not first.card and (command := first.environment.command):
        notes.append(f"the command on record: {shlex.join(command)}")
    return Evaluation(records=tuple(records), words=tuple(words), notes=tuple(notes))


def _speed(records: Sequence[SpeedRecord]) -> Evaluation:
    first = records[0]
    target = next((record.target for record in records if record.target), None)
    words: list[Word] = ["throughput", *_model(first), *_files(needs_of(first))]
    words += ["--train"] if first.mode == "train" else []
    words += ["--batch", str(first.batch)] if first.batch else []
    words += ["--compile"] if first.compiled else []
    words += ["--gpu", target.gpu] if target else []
    words += ["--device", first.environment.device_type] if first.environment.device_type else []
    return Evaluation(records=tuple(records), words=tuple(words), notes=(TIMES,))


def _model(record: Record) -> list[Word]:
    """Model, variant, arithmetic and the family's own options; files among these apart."""
    words: list[Word] = ["--model", record.model, "--res", str(record.resolution)]
    words += ["--variant", record.card] if record.card else []
    for key, value in record.options.items():
        if value is None or key == "compile" or option_file(value):
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words.append(f"--{key.replace('_', '-')}={text}")
    words += ["--dtype", record.arithmetic] if record.arithmetic else []
    return words


def _files(needs: Iterable[Need | tuple[str, str]]) -> Iterator[Word]:
    """Options with what they take, each option once."""
    given = set()
    for need in needs:
        option = need.option if isinstance(need, Need) else need[0]
        if option not in given:
            given.add(option)
            yield from (option, need) if isinstance(need, Need) else need
