"""`genbench check`, `doctor` and `schema`: what holds of an adapter, a machine, a record."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from genbench.cli import completion
from genbench.cli.options import (
    Checkpoint,
    Device,
    Dtype,
    Json,
    ModelArgument,
    Resolution,
    Variant,
)
from genbench.cli.words import (
    free_options,
    refuse_unknown,
)


def check(
    ctx: typer.Context,
    model: ModelArgument,
    res: Resolution = 0,
    variant: Variant = "",
    checkpoint: Checkpoint = "",
    device: Device = "auto",
    dtype: Dtype = "",
) -> None:
    """Test an adapter against the contract, for its author. Exits 1 when a rule is broken."""
    from genbench.cli.console import show_check
    from genbench.models.check import check_adapter
    from genbench.models.opening import ModelRequest, resolve
    from genbench.runtime.devices import device_of
    from genbench.runtime.distributed import World

    request = ModelRequest(
        name=model, resolution=res, variant=variant, checkpoint=checkpoint, dtype=dtype,
        options=free_options(ctx),
    )  # fmt: skip
    if request.options:
        refuse_unknown(ctx, [resolve(request, lenient=True)])
    results = list(check_adapter(request, device_of(device, World())))
    for result in results:
        show_check(result.rule, result.passed, result.message)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def doctor(
    protocol: Annotated[
        str,
        typer.Argument(
            metavar="[PROTOCOL]",
            help="What this protocol needs, a line each.",
            autocompletion=completion.protocols,
            show_default=False,
        ),
    ] = "",
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Everything that was looked at, line by line.")
    ] = False,
    json_lines: Json = False,
) -> None:
    """Say what this machine can measure now, what needs a download, and what is missing.

    Nothing is downloaded. --json prints what --verbose does. Of a protocol, it exits 1 when
    anything that it needs is missing.
    """
    from dataclasses import asdict

    from genbench.cli.console import show_check, show_overview
    from genbench.cli.doctor import examine, examine_protocol

    if not (protocol or verbose or json_lines):
        from genbench.cli.overview import look_around

        show_overview(look_around())
        return
    findings = examine_protocol(protocol) if protocol else examine()
    for finding in findings:
        if json_lines:
            print(json.dumps(asdict(finding)))
        else:
            show_check(finding.subject, finding.good, finding.text)
    if protocol and not all(finding.good for finding in findings):
        raise typer.Exit(1)


def schema() -> None:
    """Print the JSON Schema of a record, one line of a record file."""
    from genbench.records.lines import record_schema

    print(json.dumps(record_schema(), indent=1))
