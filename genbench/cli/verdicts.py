"""`genbench compare` and `genbench gate`: which differences are more than chance."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli import completion
from genbench.cli.options import (
    IMAGES,
    MEASURE,
    Batch,
    Block,
    Cache,
    Checkpoint,
    Device,
    Dtype,
    Json,
    Labels,
    Model,
    Records,
    Reference,
    Resolution,
    Seed,
    Variant,
)
from genbench.cli.words import refuse_unknown, resolved_model
from genbench.errors import GenbenchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genbench.records.kinds import Record
    from genbench.tables.comparison import Comparison
    from genbench.verdicts.gate import Gate
    from genbench.verdicts.groups import Group, GroupComparison


class NotMeasuredError(GenbenchError):
    """A gate could not be asked: no verdict, and so not the exit code of one."""

    exit_code = 3


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
    lines = judged(compare_runs(a.run, b.run, _folders(names, records)), smallest)
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


def _folders(names: Sequence[str], records: list[Path] | None) -> list[Path]:
    """Where influences of these runs may lie: beside every record file that is read."""
    from genbench.cli.tables import record_files
    from genbench.records.influences import influences_folder

    named = [Path(name) for name in names if Path(name).is_file()]
    return [influences_folder(path) for path in (*named, *record_files(records))]


def _remarks(lines: Sequence[Comparison], at: str) -> list[str]:
    """What stands below a comparison of runs: the family, pairing, and how many would tell."""
    from statistics import median

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
    needed = [line for line in known if line.samples_to_tell]
    if needed:
        told = ", ".join(
            f"{line.metric} {line.samples_to_tell:,}" for line in needed if line.samples_to_tell
        )
        found.append(f"samples that would tell {at}, about, 4 times in 5: {told}")
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


def gate(
    ctx: typer.Context,
    baseline: Annotated[
        str,
        typer.Argument(metavar="BASELINE", help="Run with --ci, by id or name; or a record file.",
                       show_default=False),
    ],
    metric: Annotated[
        str, typer.Option(help="Metric.", metavar="METRIC", rich_help_panel=MEASURE,
                          autocompletion=completion.metrics)
    ] = "fid",
    margin: Annotated[
        str, typer.Option(help="How much worse is let pass: 2%, or 0.5.", metavar="MARGIN",
                          rich_help_panel=MEASURE)
    ] = "2%",
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 when it cannot be told, too.",
                           rich_help_panel=MEASURE)
    ] = False,
    samples: Annotated[
        str, typer.Option(help="Images instead of a model: .npz, folder, zip, …", metavar="IMAGES",
                          rich_help_panel=IMAGES, show_default=False)
    ] = "",
    ref: Reference = "",
    model: Model = "",
    res: Resolution = 0,
    variant: Variant = "",
    checkpoint: Checkpoint = "",
    seed: Seed = 0,
    labels: Labels = "uniform",
    batch_size: Batch = None,
    block: Block = None,
    dtype: Dtype = "",
    device: Device = "auto",
    cache: Cache = None,
    records: Records = None,
    json_lines: Json = False,
) -> None:  # fmt: skip
    """Exit 1 when a model is worse than a baseline by more than a margin, beyond chance.

    Looks at as many samples as the baseline has figures of, the fewest first, and stops once it is
    clear: -n 1250 -n 2500 -n 5000 -n 10000 of the baseline give four looks. Exit 0: not worse, or
    not to be told (--strict: 1); 2: wrong usage; 3: it could not be measured. Nothing is recorded.
    """
    from genbench.cli.console import told
    from genbench.cli.tables import read_all
    from genbench.runtime.devices import device_of
    from genbench.runtime.distributed import World
    from genbench.runtime.progress_bars import ProgressBars
    from genbench.tables.compared_runs import named_run
    from genbench.verdicts.door import run_gate
    from genbench.verdicts.margins import margin_of

    if bool(samples) == bool(model):
        raise UsageError("name what is measured by exactly one of --model and --samples")
    allowed = margin_of(margin)
    try:
        chosen = None
        if model:
            chosen = resolved_model(
                ctx, model, res, variant, checkpoint, seed, labels, dtype, batch_size, block
            )
        else:
            refuse_unknown(ctx, [])
        known = named_run(baseline, read_all(records), told)
        found = run_gate(
            known, _folders([baseline], records), metric=metric, margin=allowed, model=chosen,
            samples=samples, reference=ref, device=device_of(device, World()), cache=cache,
            reporter=ProgressBars(leads=True),
        )  # fmt: skip
    except UsageError:
        raise
    except (GenbenchError, OSError, MemoryError) as error:
        raise NotMeasuredError(f"{error}; nothing was decided") from error
    _show_gate(found, as_json=json_lines)
    if found.decision == "worse" or (strict and found.decision == "inconclusive"):
        raise typer.Exit(1)


def _show_gate(found: Gate, *, as_json: bool) -> None:
    from genbench.cli.console import show_rows
    from genbench.verdicts.gate import in_words

    if as_json:
        print(json.dumps({"decision": found.decision, **asdict(found)}))
        return
    rows = [
        {
            "samples": f"{look.samples:,}",
            "baseline": f"{look.baseline:.6g}",
            "now": f"{look.value:.6g}",
            "worse than the margin by": f"{look.excess:+.3g}",
            "± 1 deviation": f"{look.deviation:.2g}",
            "deviates": f"{look.statistic:+.2f}",
            "decided beyond": f"{look.limit:.2f}",
        }
        for look in found.looks
    ]
    show_rows(rows)
    for text in in_words(found):
        print(text)
