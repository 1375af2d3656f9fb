"""`genbench check` and `genbench doctor`: what holds of an adapter, and of this machine."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from genbench.cli.options import Checkpoint, Device, Dtype, Json, Resolution, Variant, model_request


def check(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="Model whose adapter to test.")],
    res: Resolution = 0,
    variant: Variant = "",
    checkpoint: Checkpoint = "",
    device: Device = "auto",
    dtype: Dtype = "",
) -> None:
    """Test an adapter against the contract, for its author. Exits 1 when a rule is broken."""
    from genbench.cli.console import show_check
    from genbench.models.check import check_adapter
    from genbench.runtime.distributed import World, device_of

    request = model_request(ctx, model, res, variant, checkpoint, 0, "uniform", dtype, 64)
    results = list(check_adapter(request, device_of(device, World())))
    for result in results:
        show_check(result.rule, result.passed, result.message)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def doctor(json_lines: Json = False) -> None:
    """Say what this machine can measure now, what is missing, and how to get it."""
    from dataclasses import asdict

    from genbench.cli.console import show_check
    from genbench.cli.doctor import examine

    for finding in examine():
        if json_lines:
            print(json.dumps(asdict(finding)))
        else:
            show_check(finding.subject, finding.good, finding.text)
