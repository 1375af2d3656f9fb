"""run.sh: the commands of some evaluations as a shell script, with the digests of their files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from genbench.records.kinds import QualityRecord, Record
from genbench.reproducing.commands import Evaluation
from genbench.reproducing.needs import Need
from genbench.tables.listings import rounded
from genbench.version import __version__


def comment(text: str) -> str:
    """Text as one line behind "# ", whatever it holds."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return f"# {' '.join(plain.split())}"


def script(name: str, evaluations: Sequence[Evaluation]) -> str:
    """A script for sh that measures the figures again into $RECORDS, and first checks the digest
    of each file that genbench does not bring. name: what is reproduced."""
    lines = ["#!/bin/sh", comment(f"Measures again: {name}. Written by genbench {__version__}."),
             "set -eu", ': "${RECORDS:=measured.jsonl}"']  # fmt: skip
    needs = {need.variable: need for one in evaluations for need in one.needs}
    for need in needs.values():
        lines += ["", *_file(need)]
    for one in evaluations:
        lines += ["", *(comment(text) for text in _told(one))]
        threads = one.records[0].environment.threads
        lines += [f"export OMP_NUM_THREADS={threads}"] if threads else []
        lines.append(f'{one.shell()} --records "$RECORDS"')
    return "\n".join(lines) + "\n"


def _file(need: Need) -> Iterator[str]:
    digest = f", SHA-256 {need.sha256}" if need.sha256 else ""
    yield comment(f"{need.variable}: {need.told}{digest}")
    if need.path:
        yield f'[ -n "${{{need.variable}:-}}" ] || {need.variable}={shlex.quote(need.path)}'
    else:
        yield f': "${{{need.variable}:?say where it lies}}"'
    if need.sha256:
        line = f'{shlex.quote(need.sha256)}"  ${need.variable}"'
        yield f"echo {line} | sha256sum --check --quiet - >&2"


def _told(one: Evaluation) -> Iterator[str]:
    """What the command measured then, with what and where."""
    first = one.records[0]
    place = first.environment
    git = place.git.replace("+changes", " with uncommitted changes")
    commit = f" at {git}" if git else ""
    yield f"run {first.run}, {first.created or 'undated'}: {first.model} {first.card}"
    yield (
        f"genbench {place.genbench or 'of an unknown version'}{commit}, Python {place.python}, "
        f"{place.device}" + (f" ({place.instructions})" if place.instructions else "")
        + (f", CUDA {place.cuda}" if place.cuda else "")
    )  # fmt: skip
    yield "packages " + ", ".join(f"{name} {version}" for name, version in place.packages.items())
    if first.code_digest:
        yield f"code of the model {first.code_digest}"
    if isinstance(first, QualityRecord):
        yield f"protocol {first.protocol} [{first.protocol_digest}]"
        compared = next((record for record in one.records if _reference(record)), first)
        if reference := _reference(compared):
            yield f"reference {reference}"
        yield f"samples [{first.samples_digest}]"
    if place.processes > 1:
        yield f"measured by {place.processes} processes; one gives the same figures"
    yield from one.notes
    for record in one.records:
        yield f"{record.metric} at {record.samples:,}: {_figure(record)}"


def _reference(record: Record) -> str:
    if not isinstance(record, QualityRecord) or not record.reference_digest:
        return ""
    return f"{record.reference} [{record.reference_digest}]"


def _figure(record: Record) -> str:
    interval = ""
    if record.low is not None and record.high is not None:
        interval = f", 95% interval {rounded(record.low)} … {rounded(record.high)}"
    return f"{record.value!r} {record.unit}".rstrip() + interval
