"""`genbench bundle` and `verify`: a run for others to check, and such a run checked."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from genbench.cli.options import (
    COMPUTE,
    IMAGES,
    MODEL,
    OUTPUT,
    Cache,
    Device,
    Json,
    Records,
    Reference,
)
from genbench.errors import GenbenchError, UsageError

Samples = Annotated[
    str,
    typer.Option(
        "--samples", help="The images, where no model drew them.", metavar="IMAGES",
        rich_help_panel=IMAGES, show_default=False,
    ),
]  # fmt: skip
Weights = Annotated[
    str,
    typer.Option(
        "--checkpoint", help="The weights, where genbench does not bring them.", metavar="PATH",
        rich_help_panel=MODEL, show_default=False,
    ),
]  # fmt: skip


def bundle(
    run: Annotated[str, typer.Argument(help="A run, by id or name (`genbench ls runs`).")],
    out: Annotated[
        Path,
        typer.Option(help="File to write (.genbench).", metavar="FILE", rich_help_panel=OUTPUT),
    ],
    with_features: Annotated[
        bool,
        typer.Option("--with-features", help="All features too: every figure can be checked.",
                     rich_help_panel=OUTPUT),
    ] = False,
    slim: Annotated[
        bool,
        typer.Option("--slim", help="Without moments: small, and fewer figures can be checked.",
                     rich_help_panel=OUTPUT),
    ] = False,
    samples: Samples = "",
    ref: Reference = "",
    checkpoint: Weights = "",
    device: Device = "auto",
    cache: Cache = None,
    records: Records = None,
) -> None:  # fmt: skip
    """Pack a run into one file that others can check: records, moments, a digest of every sample.

    The seal that is printed names everything in the file: put it into the paper.
    """
    from genbench.bundles.door import bundle as packed
    from genbench.cli.tables import read_all
    from genbench.records.runs import find_run
    from genbench.runtime.progress_bars import ProgressBars

    if slim and with_features:
        raise UsageError("--slim leaves out what --with-features brings: choose one")
    if out.suffix != ".genbench":
        raise UsageError(f"--out {out}: a bundle ends in .genbench: {out}.genbench")
    manifest = packed(
        find_run(run, read_all(records)), out, samples=samples, checkpoint=checkpoint,
        reference=ref, slim=slim, with_features=with_features, device=device, cache=cache,
        reporter=ProgressBars(leads=True),
    )  # fmt: skip
    size = out.stat().st_size
    told = f"{size / 1e6:.1f} MB" if size > 1e6 else f"{size / 1e3:.0f} kB"
    print(f"{manifest.samples:,} samples, {told}: {out}", file=sys.stderr)
    print(f"seal {manifest.seal()}")


def verify(
    file: Annotated[Path, typer.Argument(help="A bundle (.genbench).", metavar="FILE")],
    fraction: Annotated[
        float,
        typer.Option(help="Share of the samples to draw again; 0 for none.", metavar="SHARE",
                     rich_help_panel=COMPUTE),
    ] = 0.02,
    seed: Annotated[
        int | None,
        typer.Option(help="Which samples.", metavar="NUMBER", rich_help_panel=COMPUTE,
                     show_default="drawn anew, so that nobody can foresee them"),
    ] = None,
    seal: Annotated[
        str,
        typer.Option(help="The seal that was published.", metavar="DIGITS", rich_help_panel=IMAGES,
                     show_default=False),
    ] = "",
    samples: Samples = "",
    ref: Reference = "",
    checkpoint: Weights = "",
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit code 1 also where a claim could not be checked.",
                     rich_help_panel=COMPUTE),
    ] = False,
    device: Device = "auto",
    cache: Cache = None,
    json_lines: Json = False,
) -> None:  # fmt: skip
    """Check a bundle: that it is whole, that its figures follow, that its samples are drawn so.

    Exit code 1 when something fails; what cannot be checked here is said, and why.
    """
    from genbench.bundles.door import verify as checked
    from genbench.cli.console import show_check
    from genbench.runtime.progress_bars import ProgressBars

    failed = left = 0
    found = checked(
        file, fraction=fraction, seed=seed, seal=seal, samples=samples, checkpoint=checkpoint,
        reference=ref, device=device, cache=cache, reporter=ProgressBars(leads=True),
    )  # fmt: skip
    for check in found:
        failed += check.state == "fails"
        left += check.state == "not checked"
        if json_lines:
            print(json.dumps(asdict(check)))
        elif check.state == "not checked":
            print(f"– {check.subject}: not checked: {check.told}")
        elif check.state == "told":
            print(f"· {check.subject}: {check.told}")
        else:
            show_check(check.subject, check.state == "holds", check.told)
    if failed:
        raise GenbenchError(f"{file} does not hold: {failed} of its claims failed")
    if left and strict:
        raise GenbenchError(f"{left} claims of {file} could not be checked here")
    told = f"nothing failed, and {left} claims were not checked, for the reasons above"
    print(told if left else "everything holds", file=sys.stderr)
