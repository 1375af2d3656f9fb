"""Commands that bring what the page lacks, made from the commands of the runs on record."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from genbench.models.options import RESERVED
from genbench.records.kinds import QualityRecord, Record
from genbench.report.curves import latest_speeds, quality_records
from genbench.report.looks import sampler_of, subject_of

_MOST = 4  # commands of one hint
_COUNTS = "-n 2500 -n 5000 -n 7500 -n 10000"
# Of a recorded command: what says how much to measure and where to keep it, not what is measured.
_NOT_SUBJECT = {
    *("-n", "--metric", "--ci", "--reuse", "--json", "--records", "--cache", "--batch-size"),
    *("--batch", "--seconds", "--gpu", "--strict", "--train", "--compile"),
}
_BARE = {"--ci", "--reuse", "--json", "--strict", "--train", "--compile"}
_OF_SPEED = {"--model", "-m", "--res", "--variant", "--checkpoint", "--dtype", "--device"}
_FID_ALONE = {"--ref", "--protocol", "--detector", "--detector-weights", "--crop"}
_OWN_FILES = ("official", "converted", "given")

Words = list[tuple[str, str | None]]  # options with their values, None where they stand bare


def missing_commands(name: str, records: Sequence[Record]) -> list[str]:
    """At most four command lines that bring a figure ("speed", "counts", "sweeps", "evaluations",
    "batches", "training"), each of a model on record with its checkpoint and options. None where no
    model on record can have such a figure."""
    makers = {
        "speed": _speed,
        "counts": _counts,
        "sweeps": _sweeps,
        "evaluations": _evaluations,
        "batches": _batches,
        "training": _training,
    }
    return list(dict.fromkeys(makers[name](records)))[:_MOST]


def sample_command(record: QualityRecord) -> str:
    """Draws a model's samples into the cache, with the options and weights of a record."""
    kept = [(name, value) for name, value in _subject(record) if name not in _FID_ALONE]
    return _line("sample", kept, f"-n 64 --out {shlex.quote(record.model)}.png")


def _speed(records: Sequence[Record]) -> Iterator[str]:
    timed = {sampler for _, sampler in latest_speeds(records)}
    drawn = _models(records)
    yield from (_throughput(record) for record in drawn if sampler_of(record) not in timed)
    measured = {sampler_of(record) for record in drawn}
    for (_, sampler), speed in latest_speeds(records).items():
        if sampler not in measured:
            yield _line("fid", _subject(speed), "-n 10000 --ci")


def _counts(records: Sequence[Record]) -> Iterator[str]:
    for record in _models(records):
        yield _line("fid", _subject(record), f"{_COUNTS} --metric fd --ci")


def _sweeps(records: Sequence[Record]) -> Iterator[str]:
    for record in _models(records):
        rest = f"-n {record.samples} --metric precision --metric recall --ci"
        for name, value in record.options.items():
            if isinstance(value, float) and value > 0:
                yield from (_fid_with(record, name, f"{at:g}", rest) for at in (value, value / 2))


def _evaluations(records: Sequence[Record]) -> Iterator[str]:
    for record in _models(records):
        rest = f"-n {record.samples} --metric fd --ci"
        if record.nfe is not None and record.nfe > 3 and "steps" in record.options:
            for steps in (round(record.nfe), round(record.nfe / 2)):
                yield _fid_with(record, "steps", str(steps), rest)


def _batches(records: Sequence[Record]) -> Iterator[str]:
    yield from (f"{_throughput(record)} --batch auto" for record in _models(records))


def _training(_: Sequence[Record]) -> Iterator[str]:
    """None: where a training writes its checkpoints, no record tells."""
    yield from ()


def _models(records: Sequence[Record]) -> list[QualityRecord]:
    """The latest record of each model that was drawn here."""
    found = {subject_of(record): record for record in quality_records(records) if record.card}
    return list(found.values())


def _throughput(record: Record) -> str:
    kept = [
        (name, value)
        for name, value in _subject(record)
        if name in _OF_SPEED or name.lstrip("-").replace("-", "_") not in RESERVED
    ]
    return _line("throughput", kept, "")


def _fid_with(record: QualityRecord, option: str, value: str, rest: str) -> str:
    flag = f"--{option.replace('_', '-')}"
    kept = [pair for pair in _subject(record) if pair[0] != flag]
    return _line("fid", [*kept, (flag, value)], rest)


def _line(verb: str, kept: Words, rest: str) -> str:
    words = [shlex.quote(word) for pair in kept for word in pair if word is not None]
    return " ".join(["genbench", verb, *words, *([rest] if rest else [])])


def _subject(record: Record) -> Words:
    """What a run's command says of what it measured; from the record where it was no command."""
    command = list(record.environment.command)
    verbs = [at for at, word in enumerate(command[:4]) if word in ("fid", "throughput")]
    named = [word for word in command if word.split("=")[0] in ("--model", "-m")]
    if not verbs or len(named) != 1:
        return list(_described(record))
    kept: Words = []
    words = command[verbs[0] + 1 :]
    while words:
        name, has_value, text = words.pop(0).partition("=")
        value: str | None = text if has_value else None
        if not has_value and name not in _BARE and words and not _is_option(words[0]):
            value = words.pop(0)
        if name not in _NOT_SUBJECT and not name.startswith("-n"):  # -n200 is one word
            kept.append((name, value))
    return kept


def _is_option(word: str) -> bool:
    return word.startswith("-") and not word[1:2].isdigit()


def _described(record: Record) -> Iterator[tuple[str, str | None]]:
    yield "--model", record.model
    yield "--res", str(record.resolution)
    if record.card:
        yield "--variant", record.card
    if record.checkpoint and record.weight_kind in _OWN_FILES:
        yield "--checkpoint", record.checkpoint
    for name, value in record.options.items():
        if value not in (None, ""):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield f"--{name.replace('_', '-')}", text
