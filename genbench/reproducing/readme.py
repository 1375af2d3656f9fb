"""What a folder of a recipe says to people."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.records.kinds import Record
from genbench.reproducing.commands import TIMES, Evaluation
from genbench.reproducing.script import comment
from genbench.version import __version__


def readme(name: str, evaluations: Sequence[Evaluation], image: str, source: Sequence[str]) -> str:
    """README.md: the figures, how to build and run, what is pinned. name: what is reproduced.
    source: which genbench it is and how to have it, line by line."""
    records = [record for one in evaluations for record in one.records]
    parts = [
        f"# {cell(name)}, to be measured again",
        f"Written by genbench {__version__} from records. `expected.jsonl` holds these figures "
        "with their digests:",
        _figures(records),
    ]  # fmt: skip
    if not all(one.of_quality for one in evaluations):
        parts.append(f"Of speeds: {TIMES}.")
    parts += _files(evaluations)
    parts += [
        "## In a container", _source(source), _container(evaluations),
        "## Without one",
        f"With Python {cell(records[0].environment.python)}, and genbench as above:",
        "    pip install -r requirements.lock ./genbench.tar.gz\n    sh run.sh",
        "## Compare",
        "Of what the container wrote; without one it lies here as `measured.jsonl`:",
        "    genbench reproduce expected.jsonl --measured out/measured.jsonl",
        "## What is pinned, and what is not", _pinned(records[0], image),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _figures(records: Sequence[Record]) -> str:
    rows = [
        f"| {cell(record.model)} | {cell(record.metric)} | {record.samples:,} | {record.value!r} |"
        for record in records
    ]
    return "\n".join(["| model | metric | samples | value |", "|---|---|---|---|", *rows])


def _files(evaluations: Sequence[Evaluation]) -> list[str]:
    needs = {need.variable: need for one in evaluations for need in one.needs}
    if not needs:
        return []
    lines = [
        f"- `{need.variable}`: {cell(need.told)}"
        + (f", SHA-256 `{need.sha256}`" if need.sha256 else "")
        for need in needs.values()
    ]
    return ["Put the files that genbench does not bring into one folder, DATA:", "\n".join(lines)]


def _source(source: Sequence[str]) -> str:
    return "\n\n".join(
        f"    {line}" if line.startswith("git archive") else cell(line) for line in source
    )


def _container(evaluations: Sequence[Evaluation]) -> str:
    variables = list(dict.fromkeys(need.variable for one in evaluations for need in one.needs))
    gpus = any(one.records[0].environment.device_type == "cuda" for one in evaluations)
    words = [
        "docker run", *(["--gpus all"] if gpus else []),
        *(['-v "$PWD/DATA:/data:ro"'] if variables else []),
        *(f"-e {variable}=/data/FILE" for variable in variables),
        '-v "$PWD/out:/out" -e RECORDS=/out/measured.jsonl reproduce',
    ]  # fmt: skip
    return f"    docker build -t reproduce .\n    {' '.join(words)}"


def _pinned(record: Record, image: str) -> str:
    place = record.environment
    how = "by its digest."
    if "@sha256:" not in image:
        how = "by its tag, which its publishers may move: pin the digest of the one you build on."
    machine = [place.device, place.instructions, f"threads: {place.threads}"]
    told = ", ".join(filter(None, machine[: 3 if place.threads else 2]))
    return "\n".join([
        f"- `{image}` {how}",
        "- Packages by `requirements.lock`, which says which of them are on record.",
        f"- Not the machine: the figures are of {cell(told)}. Another kind of device moves last "
        "digits, and sometimes more.",
    ])  # fmt: skip


def cell(text: str) -> str:
    """Text of a record within a line of Markdown, whatever it holds."""
    return comment(text)[2:].replace("|", "\\|").replace("`", "'")
