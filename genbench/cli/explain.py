"""`genbench explain`: why two numbers of the same samples differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import completion
from genbench.cli.options import (
    IMAGES,
    MEASURE,
    OUTPUT,
    Batch,
    Block,
    Cache,
    Checkpoint,
    Device,
    Dtype,
    Json,
    Labels,
    Model,
    ModelOrImageSize,
    ProtocolCrop,
    ProtocolDetector,
    Reference,
    Seed,
    Variant,
)
from genbench.cli.words import (
    refuse_unknown,
    resolved_model,
)
from genbench.errors import UsageError

if TYPE_CHECKING:
    from genbench.explaining.result import Explanation

ENDS = "The two ends"


def explain(
    ctx: typer.Context,
    start: Annotated[
        str,
        typer.Option(
            "--from", help="Protocol to start from.", metavar="NAME", rich_help_panel=ENDS,
            autocompletion=completion.protocols, show_default=False,
        ),
    ],
    end: Annotated[
        str,
        typer.Option(
            "--to", help="Protocol to go to.", metavar="NAME", rich_help_panel=ENDS,
            autocompletion=completion.protocols, show_default=False,
        ),
    ],
    samples: Annotated[
        str,
        typer.Option(
            help="Images: .npz, folder, zip, tar, parquet, … (docs/data.md).", metavar="IMAGES",
            rich_help_panel=IMAGES, show_default=False,
        ),
    ] = "",
    to_samples: Annotated[
        str,
        typer.Option(
            help="Those of --to, where they are others.", metavar="IMAGES", rich_help_panel=IMAGES,
            show_default=False,
        ),
    ] = "",
    ref: Reference = "",
    from_ref: Annotated[
        str, typer.Option(help="Reference of --from.", metavar="IMAGES", rich_help_panel=ENDS)
    ] = "",
    to_ref: Annotated[
        str, typer.Option(help="Reference of --to.", metavar="IMAGES", rich_help_panel=ENDS)
    ] = "",
    from_n: Annotated[
        int | None,
        typer.Option(help="Sample count of --from.", min=1, metavar="N", rich_help_panel=ENDS,
                     show_default="the protocol's, or all there are"),
    ] = None,
    to_n: Annotated[
        int | None,
        typer.Option(help="Sample count of --to.", min=1, metavar="N", rich_help_panel=ENDS,
                     show_default="the protocol's, or all there are"),
    ] = None,
    rounding: Annotated[
        str,
        typer.Option(
            help="How the samples were rounded to uint8: truncate, nearest, floor256.",
            metavar="NAME", rich_help_panel=ENDS, show_default="as they are",
        ),
    ] = "",
    from_jpeg: Annotated[
        int | None, typer.Option(help="--from of JPEG files of this quality.", min=1, max=100,
                          metavar="1-100", rich_help_panel=ENDS, show_default="none")
    ] = None,
    to_jpeg: Annotated[
        int | None, typer.Option(help="--to of JPEG files of this quality.", min=1, max=100,
                          metavar="1-100", rich_help_panel=ENDS, show_default="none")
    ] = None,
    from_weights: Annotated[
        Path | None, typer.Option(help="Detector weights of --from.", metavar="FILE",
                                  rich_help_panel=ENDS, show_default="the published ones")
    ] = None,
    to_weights: Annotated[
        Path | None, typer.Option(help="Detector weights of --to.", metavar="FILE",
                                  rich_help_panel=ENDS, show_default="the published ones")
    ] = None,
    to_labels: Annotated[
        str, typer.Option(help="Classes that a model draws for --to.", metavar="CLASSES",
                          rich_help_panel=ENDS, show_default="as --labels")
    ] = "",
    metric: Annotated[
        str, typer.Option(help="Metric.", metavar="METRIC", rich_help_panel=MEASURE,
                          autocompletion=completion.metrics)
    ] = "fid",
    published: Annotated[
        float | None,
        typer.Option(help="A number to find the nearest protocol for.", metavar="NUMBER",
                     rich_help_panel=MEASURE, show_default=False),
    ] = None,
    order: Annotated[
        str,
        typer.Option(help="averaged: over all orders of the steps; stated: in one.",
                     metavar="ORDER", rich_help_panel=MEASURE, show_default="as many steps allow"),
    ] = "",
    detector: ProtocolDetector = "",
    crop: ProtocolCrop = "",
    model: Model = "",
    res: ModelOrImageSize = 0,
    variant: Variant = "",
    checkpoint: Checkpoint = "",
    seed: Seed = 0,
    labels: Labels = "uniform",
    batch_size: Batch = None,
    block: Block = None,
    dtype: Dtype = "",
    device: Device = "auto",
    cache: Cache = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The waterfall as a file: .svg.", metavar="FILE", rich_help_panel=OUTPUT),
    ] = None,
    json_lines: Json = False,
) -> None:  # fmt: skip
    """Why a figure of the same samples differs between two protocols, step by step.

    The steps (resize, reference, sample count, k, …) sum to the difference. A figure is computed
    for every combination of them where that is affordable; nothing is recorded.
    """
    from genbench.explaining.door import explain as explained

    if order not in ("", "averaged", "stated"):
        raise UsageError(f"--order {order}: averaged or stated")
    if out and out.suffix != ".svg":
        raise UsageError(f"--out {out}: end it in .svg")
    if bool(samples) == bool(model):
        raise UsageError("name the samples by exactly one of --samples and --model")
    what: Any = samples
    other: Any = to_samples or None
    if model:
        what = resolved_model(
            ctx, model, res, variant, checkpoint, seed, labels, dtype, batch_size, block
        )
        if to_labels:
            other = resolved_model(
                ctx, model, res, variant, checkpoint, seed, to_labels, dtype, batch_size, block
            )
    else:
        refuse_unknown(ctx, [])
        if to_labels:
            raise UsageError("--to-labels is of a model; images are what they are")
    found = explained(
        start, end, samples=what, end_samples=other, metric=metric, reference=ref,
        references=(from_ref, to_ref), counts=(from_n or 0, to_n or 0), detector=detector,
        weights=(from_weights, to_weights), rounding=rounding, jpeg=(from_jpeg or 0, to_jpeg or 0),
        published=published, order=order,  # type: ignore[arg-type]
        crop=crop, resolution=0 if model else res, device=device, cache=cache,
    )  # fmt: skip
    if out:
        _draw(found, out)
    if json_lines:
        print(json.dumps(_plain(found)))
    else:
        _show(found)


def _draw(found: Explanation, out: Path) -> None:
    from genbench.report.waterfall import draw_waterfall
    from genbench.runtime.files import replacing

    text = draw_waterfall(found)
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"waterfall: {out}", file=sys.stderr)


def _plain(found: Explanation) -> dict[str, Any]:
    """An explanation as JSON has it."""
    return {
        "metric": found.metric,
        "from": {"protocol": found.protocols[0], "value": found.start.value},
        "to": {"protocol": found.protocols[1], "value": found.end.value},
        "order": found.order,
        "parts": [
            {"step": part.step.key, "title": part.step.title, "from": part.step.start,
             "to": part.step.end, "change": part.change}
            for part in found.parts
        ],
        "rest": found.rest,
        "left_out": list(found.left_out),
        "published": found.published,
        "candidates": [
            {"protocol": one.protocol, "value": one.value, "published_minus_value": one.rest,
             "chance": one.chance}
            for one in found.candidates
        ],
    }  # fmt: skip


def _show(found: Explanation) -> None:
    from genbench.cli.console import stdout
    from genbench.explaining.result import in_words, waterfall_rows
    from genbench.tables.terminal import print_rows

    print_rows(stdout, waterfall_rows(found), frozenset({"change", found.metric.upper()}))
    for line in in_words(found):
        print(line)
