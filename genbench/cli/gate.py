"""`genbench gate`: a model held against a baseline, for CI."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli import completion
from genbench.cli.compare import influence_folders
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
    from genbench.verdicts.gate import Gate


class NotMeasuredError(GenbenchError):
    """A gate could not be asked: no verdict, and so not the exit code of one."""

    exit_code = 3


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
        str, typer.Option(help="Images instead of a model: .npz, folder, tar, …", metavar="IMAGES",
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
    clear: -n 2500 -n 5000 -n 10000 of the baseline give three looks. Exit 0: not worse, or
    not to be told (--strict: 1); 2: wrong usage; 3: it could not be measured. Nothing is recorded.
    """
    from genbench.cli.console import told
    from genbench.cli.tables import read_all
    from genbench.runtime.devices import device_of
    from genbench.runtime.distributed import World
    from genbench.runtime.out_of_memory import is_out_of_memory
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
            known, influence_folders([baseline], records), metric=metric, margin=allowed,
            model=chosen, samples=samples, reference=ref, device=device_of(device, World()),
            cache=cache, reporter=ProgressBars(leads=True),
        )  # fmt: skip
    except UsageError:
        raise
    except (GenbenchError, OSError, MemoryError) as error:
        raise NotMeasuredError(f"{error}; nothing was decided") from error
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise NotMeasuredError(
            "the device is out of memory, and nothing was decided: free some, or lower --block, or "
            "pass --device cpu"
        ) from error
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
