"""`genbench compare`: which differences are more than chance."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.options import Json, Records
from genbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genbench.records.kinds import Record
    from genbench.tables.comparison import Comparison
    from genbench.verdicts.groups import Group, GroupComparison


def compare(
    first: Annotated[
        str,
        typer.Argument(metavar="RUN_A", help="Run (`genbench ls runs`) by id or name; or a file.",
                       show_default=False),
    ] = "",
    second: Annotated[
        str, typer.Argument(metavar="RUN_B", help="Run, or a record file.", show_default=False)
    ] = "",
    group: Annotated[
        list[str] | None,
        typer.Option(
            help="Trainings of one recipe, instead of one run: NAME=RUN,RUN,…; twice.",
            metavar="NAME=RUNS", show_default=False,
        ),
    ] = None,
    margin: Annotated[
        str,
        typer.Option(help="Smallest difference that matters: 2%, or 0.5.", metavar="MARGIN",
                     show_default="none"),
    ] = "",
    records: Records = None,
    json_lines: Json = False,
) -> None:  # fmt: skip
    """Say which differences between two runs, or two groups of trainings, are more than chance.

    A run is named by its id, by the name that --name gave it, or by the first letters of either.
    Runs of one seed that were measured with --ci are compared sample by sample. All figures
    together are wrong at most once in 20 (Holm). Runs of different protocols or references do not
    compare.
    """
    from genbench.cli.tables import read_all

    if group and (first or second):
        raise UsageError("name two runs, or two groups by --group twice; not both")
    if group:
        if margin:
            raise UsageError("--margin goes with two runs; groups are judged by their spread")
        _compare_groups(group, read_all(records), as_json=json_lines)
        return
    if not second:
        raise UsageError("name two runs (`genbench ls runs`), or two groups: --group NAME=RUN,RUN")
    _compare_runs((first, second), margin, records, as_json=json_lines)


def _compare_runs(
    names: tuple[str, str], margin: str, records: list[Path] | None, *, as_json: bool
) -> None:
    from genbench.cli.console import show_rows, told
    from genbench.cli.tables import read_all
    from genbench.tables.compared_runs import sides
    from genbench.tables.comparison import compare_runs
    from genbench.verdicts.judging import judged
    from genbench.verdicts.margins import margin_of

    smallest = margin_of(margin) if margin else None
    a, b = sides(*names, read_all(records), told)
    lines = judged(compare_runs(a.run, b.run, influence_folders(names, records)), smallest)
    if as_json:
        for line in lines:
            print(json.dumps(asdict(line)))
        return
    for side in (a, b):
        print(f"{side.title}: {side.told}")
    show_rows([line.as_row(a.title, b.title) for line in lines])
    for caveat in dict.fromkeys(text for line in lines for text in line.caveats):
        print(f"* {caveat}")
    for text in _remarks(lines, at="the margin" if margin else "the difference seen"):
        print(text)


def influence_folders(names: Sequence[str], records: list[Path] | None) -> list[Path]:
    """Where influences of these runs may lie: beside every record file that is read."""
    from genbench.cli.tables import record_files
    from genbench.records.influences import influences_folder

    named = [Path(name) for name in names if Path(name).is_file()]
    return [influences_folder(path) for path in (*named, *record_files(records))]


def _remarks(lines: Sequence[Comparison], at: str) -> list[str]:
    """What stands below a comparison of runs: the family, pairing, and how many would tell."""
    from statistics import median

    from genbench.verdicts.judging import FEW

    known = [line for line in lines if line.uncertainty is not None]
    if not known:
        return []
    plural = f"all {len(known)} figures together" if len(known) > 1 else "one figure"
    found = [f"B against A; at most 5% chance of any wrong difference, {plural} (Holm)"]
    paired = [line for line in known if not line.unpaired]
    ratios = [
        line.uncertainty / line.independent
        for line in paired if line.uncertainty is not None and line.independent
    ]  # fmt: skip
    if ratios:
        found.append(
            f"paired by sample: {len(paired)} of {len(known)} figures, intervals "
            f"{median(ratios):.2f} times as wide as of independent samples (median)"
        )
    for reason in dict.fromkeys(line.unpaired for line in known if line.unpaired):
        metrics = ", ".join(dict.fromkeys(line.metric for line in known if line.unpaired == reason))
        found.append(f"not paired: {metrics}: {reason}")
    if any(line.verdict == FEW for line in known):
        found.append(f"would tell {at}: about as many samples, 4 times in 5, for one figure alone")
    return found


def _compare_groups(given: list[str], records: list[Record], *, as_json: bool) -> None:
    from genbench.cli.console import show_rows
    from genbench.verdicts.groups import compare_groups

    groups = [_group(text, records) for text in given]
    if len(groups) != 2:
        raise UsageError(f"--group names two groups, each once: {len(groups)} given")
    a, b = groups
    lines = compare_groups(a, b)
    if as_json:
        for line in lines:
            print(json.dumps(asdict(line)))
        return
    for letter, group in zip("AB", groups, strict=True):
        print(f"{letter}: {group.name}: {len(group.runs)} trainings")
    show_rows([line.as_row(f"A: {a.name}", f"B: {b.name}") for line in lines])
    for text in _group_remarks(lines):
        print(text)


def _group_remarks(lines: Sequence[GroupComparison]) -> list[str]:
    found = [
        f"B against A by Welch's t over trainings; at most 5% chance of any wrong difference, "
        f"{len(lines)} figure{'s' * (len(lines) != 1)} together (Holm)"
    ]
    if lines[0].least_permutation > 0.05:
        found.append(
            f"so few trainings cannot bring the permutation test below "
            f"{lines[0].least_permutation:.2g}: 4 a group can"
        )
    needed = [f"{line.metric} {line.trainings_to_tell}" for line in lines if line.trainings_to_tell]
    if needed:
        found.append(
            f"trainings a group that would tell the difference seen, about, 4 times in 5: "
            f"{', '.join(needed)}"
        )
    return found


def _group(text: str, records: list[Record]) -> Group:
    from genbench.records.runs import find_run
    from genbench.verdicts.groups import Group

    name, equals, runs = text.partition("=")
    words = [word.strip() for word in runs.split(",") if word.strip()]
    if not (name and equals and words):
        raise UsageError(f"--group {text} is no group: NAME=RUN,RUN,… of `genbench ls runs`")
    return Group(name=name, runs=tuple(find_run(word, records) for word in words))
