"""`genbench sweep`: one model at several settings, each measured once."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.fetch import Yes, fetch_first
from genbench.cli.options import (
    MODEL,
    Batch,
    Block,
    Cache,
    Compile,
    Counts,
    Device,
    Dtype,
    Interval,
    Json,
    Labels,
    Metrics,
    Model,
    Name,
    Protocol,
    ProtocolDetector,
    RecordFile,
    Reference,
    Resolution,
    Variant,
    Weights,
)
from genbench.cli.words import (
    option_pairs,
    refuse_unknown,
)
from genbench.errors import UsageError

if TYPE_CHECKING:
    from genbench.records.kinds import QualityRecord


def sweep(
    ctx: typer.Context,
    model: Model,
    ref: Reference = "",
    protocol: Protocol = "",
    n: Counts = None,
    metric: Metrics = None,
    detector: ProtocolDetector = "",
    detector_weights: Weights = None,
    res: Resolution = 0,
    variant: Variant = "",
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights: a path, or URL#sha256=DIGEST; repeat it.",
            metavar="PATH",
            rich_help_panel=MODEL,
            show_default="the variant's own",
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Seeds: 0,1,2", metavar="NUMBERS", rich_help_panel=MODEL)
    ] = "0",
    labels: Labels = "uniform",
    batch_size: Batch = None,
    block: Block = None,
    compiles: Compile = False,
    dtype: Dtype = "",
    device: Device = "auto",
    ci: Interval = False,
    name: Name = "",
    json_lines: Json = False,
    records: RecordFile = None,
    cache: Cache = None,
    yes: Yes = False,
) -> None:
    """Measure a model at several settings of its options: --truncation 0.2,0.4,0.6

    Several options make every combination. What is on record and unchanged is not measured again;
    each setting is recorded when it is finished, so the same command goes on where it was stopped.
    """
    from genbench import api, given
    from genbench.cli.console import show_results, stdout
    from genbench.models.grid import grid, listed_values
    from genbench.models.opening import ModelRequest, resolve
    from genbench.runtime.distributed import joined_world
    from genbench.runtime.folders import default_records
    from genbench.tables.terminal import print_table
    from genbench.tables.views import Results

    base = ModelRequest(
        name=model, resolution=res, variant=variant, labels=labels, dtype=dtype,
        batch_size=batch_size, block=block, compiles=compiles,
    )  # fmt: skip
    options = listed_values(model, option_pairs(ctx))
    for option, values in options.items():
        if not values:
            raise UsageError(f"--{option} has no value: give some, with commas between them")
    settings = grid(base, options, tuple(checkpoint or ()), _numbers(seeds))
    # All of them before any is measured: a bad value is told at once.
    chosen = [resolve(setting.request, lenient=True) for setting in settings]
    refuse_unknown(ctx, chosen[:1])
    measured: Results[QualityRecord] = Results([])
    used = given.protocol_of(protocol, chosen[0], ref, detector=detector)
    with joined_world() as world:  # once, for all settings
        fetch_first(
            world, chosen, used, reference=ref, own_detector=detector_weights is not None, yes=yes
        )
        for number, (setting, one) in enumerate(zip(settings, chosen, strict=True), start=1):
            found = api.evaluate(
                one, reference=ref, protocol=protocol, counts=tuple(n or ()),
                metrics=tuple(metric or ()), ci=ci, detector=detector,
                detector_weights=detector_weights, device=device, cache=cache, reuse=True,
                records=records or default_records(), run_name=name,
            )  # fmt: skip
            if found:
                figures = ", ".join(f"{item.metric} {item.value:.6g}" for item in found[:3])
                at = ", ".join(filter(None, [model, setting.label]))
                print(f"{number} of {len(settings)}: {at}: {figures}", file=sys.stderr)
            measured += found
    if json_lines:
        show_results(measured, as_json=True)
    elif measured:
        # Figures on record before may bear the name of another run.
        named = [replace(record, name=name) for record in measured]
        print_table(stdout, Results(named).table().table)


def _numbers(given: str) -> tuple[int, ...]:
    from genbench.models.noise import check_seed

    try:
        numbers = tuple(dict.fromkeys(int(word) for word in given.split(",")))
    except ValueError as error:
        raise UsageError(f"--seeds takes numbers, 0,1,2, not {given}") from error
    for number in numbers:
        check_seed(number)
    return numbers
