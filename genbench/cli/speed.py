"""`genbench throughput` and `genbench audit`: how fast, and what the papers say of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.options import Checkpoint, Device, Json, Resolution, Seed, Variant, free_options
from genbench.errors import GenbenchError, UsageError, suggestion

if TYPE_CHECKING:
    from genbench.models.opening import ModelRequest
    from genbench.records.measurement import Measurement
    from genbench.speed.datasheets import Gpu


class NotMeasuredError(GenbenchError):
    """--strict, and no figure of the target GPU was measured on one."""

    exit_code = 3


def throughput(
    ctx: typer.Context,
    model: Annotated[list[str], typer.Option("--model", "-m", help="Model; repeat it.")],
    res: Resolution = 0,
    variant: Variant = "",
    checkpoint: Checkpoint = "",
    batch: Annotated[
        list[str] | None, typer.Option(help="Images a call; repeat it; auto finds the best.")
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(help="float32, tf32, float16, bfloat16; empty: a single model's own."),
    ] = "",
    compiles: Annotated[bool, typer.Option("--compile", help="torch.compile the networks.")] = (
        False
    ),
    train: Annotated[bool, typer.Option("--train", help="Time an optimiser step instead.")] = False,
    gpu: Annotated[str, typer.Option(help="Set this GPU's seconds beside: v100, …")] = "",
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 3 unless measured on that GPU (v100).")
    ] = False,
    seconds: Annotated[
        float, typer.Option(help="Length of a measurement; 0: 30 on a GPU, 5 on a CPU.")
    ] = 0.0,
    seed: Seed = 0,
    device: Device = "auto",
    json_lines: Json = False,
    records: Annotated[Path | None, typer.Option(help="Record file to append to.")] = None,
) -> None:
    """Measure speed: images a second, latency, memory, FLOP/s; random weights serve.

    Options of a model follow the same way: --steps 25 goes to the models that have it.
    """
    from genbench.cli.console import ConsoleReporter
    from genbench.cli.speed_console import show_speeds, show_target
    from genbench.records.store import append_records, read_records
    from genbench.runtime.distributed import World, device_of
    from genbench.runtime.folders import default_records
    from genbench.speed.datasheets import find_gpu
    from genbench.speed.instruments import laboratory, precision_named
    from genbench.speed.target_gpu import backtests
    from genbench.speed.throughput import SpeedRequest, sampling_throughput, training_throughput

    target = find_gpu(gpu or "v100") if gpu or strict else None
    batches = _batches(batch or [])
    place = device_of(device, World())
    own = len(model) == 1 and not train
    precision = precision_named(dtype or (_own_dtype(model[0], res, variant) if own else "float32"),
                                place)  # fmt: skip
    weights_dtype = str(precision.dtype).removeprefix("torch.")
    request = SpeedRequest(
        models=_requests(ctx, model, res, variant, checkpoint, seed, weights_dtype),
        precision=precision, batches=batches, compiles=compiles, target=target,
    )  # fmt: skip
    lab = laboratory(place, seconds)
    path = records or default_records()
    before = read_records(path) if target else []
    measured: list[Measurement] = []
    job = training_throughput if train else sampling_throughput
    for found in job(request, lab, ConsoleReporter(leads=True)):
        append_records(path, found)
        measured += found
        if json_lines:
            for record in found:
                print(record.to_json())
    if not json_lines:
        show_speeds(measured)
        if target is not None:
            show_target(measured, target, backtests([*before, *measured], lab.gpu, target))
    if strict and target is not None:
        _demand_measured(measured, target)


def _own_dtype(model: str, res: int, variant: str) -> str:
    """The arithmetic a model is sampled in when nobody names another."""
    from genbench.models.registry import choose_card, find_adapter, load_adapter_class

    cards = load_adapter_class(find_adapter(model)).cards
    return choose_card(cards, model, variant, res).dtype


def _batches(given: list[str]) -> tuple[int, ...]:
    """The numbers of --batch; none for auto. Raises UsageError for anything else."""
    if given in ([], ["auto"]):
        return ()
    try:
        return tuple(int(word) for word in given)
    except ValueError as error:
        raise UsageError(f"--batch takes auto or numbers, not {' '.join(given)}") from error


def _requests(
    ctx: typer.Context, models: list[str], res: int, variant: str, checkpoint: str, seed: int,
    dtype: str,
) -> tuple[ModelRequest, ...]:  # fmt: skip
    """One request a model, each with those of the further options that it knows."""
    from genbench.models.opening import ModelRequest
    from genbench.models.options import adapter_options
    from genbench.models.registry import find_adapter, load_adapter_class

    if len(models) > 1 and (variant or checkpoint):
        raise UsageError("--variant and --checkpoint are of one model: measure it alone")
    given = {key.replace("_", "-"): value for key, value in free_options(ctx).items()}
    own = {
        name: {
            option.replace("_", "-")
            for option in adapter_options(load_adapter_class(find_adapter(name)))
        }
        for name in models
    }
    for key in given:
        if not any(key in options for options in own.values()):
            names = [name for parameter in ctx.command.params for name in parameter.opts]
            names += [f"--{option}" for options in own.values() for option in options]
            raise UsageError(f"there is no option --{key}; {suggestion('--' + key, names)}")
    return tuple(
        ModelRequest(
            name=name, resolution=res, variant=variant, checkpoint=checkpoint, seed=seed,
            dtype=dtype, options=_known(given, own[name]),
        )
        for name in models
    )  # fmt: skip


def _known(given: Mapping[str, str], names: set[str]) -> dict[str, str]:
    return {key: value for key, value in given.items() if key in names}


def _demand_measured(measured: list[Measurement], target: Gpu) -> None:
    """Raises NotMeasuredError unless a record of the target's measured tier is there."""
    from genbench.speed.target_gpu import second_of, short_name

    name = f"throughput_{short_name(target)}"
    if not any(record.metric.endswith(name) for record in measured):
        raise NotMeasuredError(
            f"nothing was measured on a {second_of(target)}: run the same command on one, or leave "
            "out --strict"
        )


def audit(
    name: Annotated[str, typer.Argument(help="adm-table7 or adm-table10.")],
    json_lines: Json = False,
) -> None:
    """Recompute what a paper's table derives, beside what it prints. Exits 1 when they differ."""
    from dataclasses import asdict

    from genbench.cli.console import show_rows, stdout
    from genbench.speed import audits

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
