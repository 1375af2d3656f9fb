"""`genbench throughput` and `genbench audit`: how fast, and what the papers say of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli import completion
from genbench.cli.options import (
    COMPUTE,
    MEASURE,
    MODEL,
    Checkpoint,
    Device,
    Json,
    Name,
    RecordFile,
    Seed,
    Variant,
)
from genbench.cli.words import (
    free_options,
    refuse_unknown,
)
from genbench.errors import GenbenchError, UsageError

if TYPE_CHECKING:
    from genbench.models.opening import ResolvedModel
    from genbench.records.kinds import SpeedRecord
    from genbench.speed.datasheets import Gpu


class NotMeasuredError(GenbenchError):
    """--strict, and no figure of the target GPU was measured on one."""

    exit_code = 3


def throughput(
    ctx: typer.Context,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Model; repeat it.",
            metavar="NAME",
            rich_help_panel=MODEL,
            autocompletion=completion.models,
            show_default="all that bring weights",
        ),
    ] = None,
    res: Annotated[
        int,
        typer.Option(
            "--res",
            help="Resolution in pixels.",
            min=0,
            metavar="PIXELS",
            rich_help_panel=MODEL,
            show_default="the model's first; of all models 128, or what fits the device",
        ),
    ] = 0,
    variant: Variant = "",
    checkpoint: Checkpoint = "",
    seed: Seed = 0,
    train: Annotated[
        bool,
        typer.Option(
            "--train", help="Time an optimiser step instead of sampling.", rich_help_panel=MEASURE
        ),
    ] = False,
    batch: Annotated[
        list[str] | None,
        typer.Option(
            help="Images a call, or auto; repeat it.",
            metavar="N",
            rich_help_panel=MEASURE,
            show_default="auto: the fastest that fits",
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            help="Length of a measurement.",
            metavar="SECONDS",
            rich_help_panel=MEASURE,
            show_default="30 on a GPU, 5 on a CPU",
        ),
    ] = 0.0,
    gpu: Annotated[
        str,
        typer.Option(
            help="Set this GPU's seconds beside: v100, … (`genbench ls gpus`).",
            metavar="GPU",
            rich_help_panel=MEASURE,
            autocompletion=completion.gpus,
            show_default=False,
        ),
    ] = "",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit 3 unless measured on that GPU (v100).", rich_help_panel=MEASURE
        ),
    ] = False,
    dtype: Annotated[
        str,
        typer.Option(
            help="Arithmetic: float32, tf32, float16, bfloat16.",
            metavar="DTYPE",
            rich_help_panel=COMPUTE,
            autocompletion=completion.arithmetics,
            show_default="float32; a single model's own",
        ),
    ] = "",
    compiles: Annotated[
        bool,
        typer.Option("--compile", help="torch.compile the networks.", rich_help_panel=COMPUTE),
    ] = False,
    profile: Annotated[
        Path | None,
        typer.Option(
            help="Show where the time of a call goes, and write its trace to this folder.",
            metavar="FOLDER",
            rich_help_panel=MEASURE,
        ),
    ] = None,
    device: Device = "auto",
    name: Name = "",
    json_lines: Json = False,
    records: RecordFile = None,
) -> None:
    """Measure speed: images a second, latency, memory, FLOP/s; random weights serve.

    Options of a model follow the same way: --steps 25 goes to the models that have it, and
    `genbench throughput --model NAME -h` shows what they are.
    """
    from genbench import api
    from genbench.cli.console import show_results, told
    from genbench.cli.speed_console import show_profile, show_target
    from genbench.models.opening import ModelRequest, resolve
    from genbench.records.lines import to_line
    from genbench.records.store import read_records
    from genbench.runtime.devices import device_of
    from genbench.runtime.distributed import World
    from genbench.runtime.folders import default_records
    from genbench.runtime.progress_bars import ProgressBars
    from genbench.speed.backtests import backtests
    from genbench.speed.datasheets import find_gpu
    from genbench.speed.instruments import sheet_of
    from genbench.speed.profiling import Profile, Profiling
    from genbench.speed.throughput import resolve_fitting
    from genbench.speed.usual import SIDE, usual_models, usual_names

    if len(model or usual_names()) > 1 and (variant or checkpoint):
        raise UsageError("--variant and --checkpoint are of one model: measure it alone")
    if profile and train:
        raise UsageError("--profile looks into sampling: leave out --train, or --profile")
    target = find_gpu(gpu or "v100") if gpu or strict else None
    batches = _batches(batch or [])
    reporter = ProgressBars(leads=True)
    requests = [
        ModelRequest(
            name=named, resolution=0 if train else res, variant=variant, checkpoint=checkpoint,
            seed=seed, options=free_options(ctx),
        )
        for named in model or usual_names()
    ]  # fmt: skip
    instead: dict[str, tuple[ResolvedModel, ...]] = {}
    if train:
        models = [resolve(request, lenient=True) for request in requests]
    elif model or res:
        models = resolve_fitting(requests, reporter)
    else:
        models, instead = usual_models(free_options(ctx), seed)
        for other in (one for one in models if one.card.resolution != SIDE):
            told(
                f"{other.request.name} has no {SIDE} pixels: it is measured at "
                f"{other.card.resolution}"
            )
    refuse_unknown(ctx, models)
    path = records or default_records()
    before = read_records(path, told=told) if target else []

    profiles: list[Profile] = []

    def print_lines(found: Sequence[SpeedRecord]) -> None:
        for record in found:
            print(to_line(record))

    measured = api.throughput(
        models, instead=instead, resolution=res, dtype=dtype, batches=batches, compile=compiles,
        train=train, gpu=target.name if target else "", seconds=seconds, device=device,
        records=path, run_name=name, found=print_lines if json_lines else None,
        reporter=reporter, profiling=Profiling(profile, profiles.append) if profile else None,
    )  # fmt: skip
    if not json_lines:
        show_results(measured, as_json=False)
        for one in profiles:
            show_profile(one)
        if target is not None:
            sheet = sheet_of(device_of(device, World()))
            show_target(measured, target, backtests([*before, *measured], sheet, target))
    if strict and target is not None:
        _demand_measured(measured, target)


def _batches(given: list[str]) -> tuple[int, ...]:
    """The numbers of --batch; none for auto. Raises UsageError for anything else."""
    if given in ([], ["auto"]):
        return ()
    try:
        return tuple(int(word) for word in given)
    except ValueError as error:
        raise UsageError(f"--batch takes auto or numbers, not {' '.join(given)}") from error


def _demand_measured(measured: Sequence[SpeedRecord], target: Gpu) -> None:
    """Raises NotMeasuredError unless a record of the target's measured tier is there."""
    from genbench.speed.target_gpu import second_of, short_name

    name = f"throughput_{short_name(target)}"
    if not any(record.metric.endswith(name) for record in measured):
        raise NotMeasuredError(
            f"nothing was measured on a {second_of(target)}: run the same command on one, or leave "
            "out --strict"
        )


def audit(
    name: Annotated[
        str,
        typer.Argument(
            help="adm-table7 or adm-table10.",
            autocompletion=completion.audits,
            show_default="list them",
        ),
    ] = "",
    json_lines: Json = False,
) -> None:
    """Recompute what a paper's table derives, beside what it prints. Exits 1 when they differ."""
    from dataclasses import asdict

    from genbench.cli.console import show_rows, stdout
    from genbench.speed import audits

    if not name:
        for known in audits.AUDITS:
            title = audits.audit(known).title
            if json_lines:
                print(json.dumps({"audit": known, "title": title}))
            else:
                stdout.print(f"{known}: {title}", markup=False, highlight=False)
        return
    found = audits.audit(name)
    if json_lines:
        for row in found.rows:
            print(json.dumps({"audit": name, **asdict(row), "agrees": row.agrees}))
    else:
        stdout.print(f"{found.title} ({found.source})", markup=False, highlight=False)
        show_rows(
            [
                {
                    "row": row.row,
                    "quantity": row.quantity,
                    "recomputed": f"{row.recomputed:.2f}",
                    "published": f"{row.published:g}",
                    "agrees": "yes" if row.agrees else "NO",
                    "from": row.how,
                }
                for row in found.rows
            ]
        )
        stdout.print(f"note: {found.note}", markup=False, highlight=False, soft_wrap=True)
    if not found.agrees:
        raise typer.Exit(1)
