"""`genbench watch`: checkpoints measured while a training writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.fetch import Yes, fetch_first
from genbench.cli.options import (
    IMAGES,
    OUTPUT,
    Batch,
    Block,
    Cache,
    Counts,
    Device,
    Dtype,
    Interval,
    Json,
    Labels,
    Metrics,
    Model,
    ModelOrImageSize,
    Name,
    Preprocessing,
    Protocol,
    ProtocolCrop,
    ProtocolDetector,
    RecordFile,
    Reference,
    Seed,
    Variant,
    Weights,
)
from genbench.cli.words import refuse_unknown, resolved_model, words_and_options
from genbench.errors import GenbenchError, UsageError

if TYPE_CHECKING:
    from genbench.watching.curve import Point

WATCH = "When"
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|)")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 366 * 24 * 3600.0  # beyond it nobody waits, and far beyond it no clock can
_DRAWN = (".svg", ".png", ".pdf")


def watch(
    ctx: typer.Context,
    samples: Annotated[
        bool,
        typer.Option(
            "--samples", help="The checkpoints are image sets: folders, .npz, .zip.",
            rich_help_panel=IMAGES,
        ),
    ] = False,
    ref: Reference = "",
    crop: ProtocolCrop = "",
    model: Model = "",
    res: ModelOrImageSize = 0,
    variant: Variant = "",
    seed: Seed = 0,
    labels: Labels = "uniform",
    every: Annotated[
        str,
        typer.Option(
            help="Time between two looks: 30s, 5m, 1h.", metavar="TIME", rich_help_panel=WATCH
        ),
    ] = "60s",
    until: Annotated[
        int | None,
        typer.Option(
            help="End when a checkpoint of this step, or a later one, is measured.", min=0,
            metavar="STEP", rich_help_panel=WATCH, show_default="Ctrl-C",
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Measure what is there, then end.", rich_help_panel=WATCH),
    ] = False,
    protocol: Protocol = "",
    n: Counts = None,
    metric: Metrics = None,
    detector: ProtocolDetector = "",
    preprocessing: Preprocessing = "",
    detector_weights: Weights = None,
    ci: Interval = False,
    batch_size: Batch = None,
    block: Block = None,
    dtype: Dtype = "",
    device: Device = "auto",
    name: Name = "",
    cache: Cache = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw the curve, anew with every point: .svg, .png or .pdf.", metavar="FILE",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_lines: Json = False,
    records: RecordFile = None,
    yes: Yes = False,
) -> None:  # fmt: skip
    """Measure the checkpoints of a training as they appear, and draw the curve.

    CHECKPOINTS are folders, files, or a pattern in quotes. What is on record is not measured again.
    """
    from genbench import given
    from genbench.quality.request import Job, QualityRequest
    from genbench.records.influences import influences_folder
    from genbench.runtime.devices import common_device
    from genbench.runtime.distributed import joined_world
    from genbench.runtime.files import lasts
    from genbench.runtime.folders import default_records
    from genbench.runtime.progress_bars import ProgressBars
    from genbench.watching.watch import Watch, watched

    seconds = _seconds(every)
    if plot and plot.suffix not in _DRAWN:
        raise UsageError(f"--plot {plot}: end it in {', '.join(_DRAWN)}")
    words = words_and_options(ctx)[0]
    _check_words(words, model, samples)
    chosen = None
    if model:
        _without_words(ctx)
        chosen = resolved_model(
            ctx, model, res, variant, "", seed, labels, dtype, batch_size, block
        )
    else:
        refuse_unknown(ctx, [])
    used = given.protocol_of(
        protocol, chosen, ref, detector=detector, preprocessing=preprocessing, crop=crop,
        resolution=res,
    )  # fmt: skip
    kept = records or default_records()
    request = QualityRequest(
        protocol=used, reference=given.spec_of(ref), counts=tuple(n or ()),
        metrics=given.metric_keys(metric or ()), interval=ci, cache=cache, name=name,
        detector_weights=detector_weights,
        influences=influences_folder(kept) if ci and lasts(kept) else None,
    )  # fmt: skip
    points: list[Point] = []
    with joined_world() as world:
        reporter = ProgressBars(leads=world.leads)
        fetch_first(  # the checkpoints are there
            world, [None], used, reference=ref, own_detector=detector_weights is not None, yes=yes
        )
        job = Job(request, world, common_device(device, world), reporter)
        looking = Watch(tuple(words), chosen, job, kept, until)
        try:
            for point in watched(looking, every=seconds, once=once):
                points.append(point)
                _show(points, as_json=json_lines)
                if plot:
                    _draw(points, plot)
        finally:  # Ctrl-C too
            if points and not json_lines:
                _show_curve(points)
        if once and world.leads and not points:
            raise GenbenchError(
                f"no checkpoint was measured in {' '.join(words)}: "
                + ("the lines above say why" if looking.refused else "check the path")
            )


def _seconds(text: str) -> float:
    """The seconds of "30s", "5m", "1h" or "30". Raises UsageError for anything else, for no time
    at all and for more than a year."""
    found = _SPAN.fullmatch(text.strip())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not seconds:
        raise UsageError(f"--every {text} is no time: 30s, 5m or 1h")
    if seconds > _LONGEST:
        raise UsageError(f"--every {text} is more than a year: 30s, 5m or 1h")
    return seconds


def _check_words(words: Sequence[str], model: str, samples: bool) -> None:
    if not words:
        raise UsageError("name the checkpoints: genbench watch FOLDER --model NAME")
    if dash := next((word for word in words if word.startswith("-")), ""):
        raise UsageError(f"there is no option {dash}: `genbench watch -h` lists them")
    if bool(model) == samples:
        raise UsageError(
            "say what the checkpoints are: weights of a model (--model NAME), or image sets "
            "(--samples)"
        )


def _without_words(ctx: typer.Context) -> None:
    """Leave the model's own options alone in the context: the checkpoints are read."""
    pairs = words_and_options(ctx)[1]
    ctx.args[:] = [f"--{key}={value}" for key, value in pairs.items()]


def _show(points: Sequence[Point], *, as_json: bool) -> None:
    """The last point in a line, or its records."""
    from genbench.records.lines import to_line
    from genbench.watching.curve import best_of
    from genbench.watching.rows import shown

    point = points[-1]
    if as_json:
        for record in point.records:
            print(to_line(record), flush=True)
        return
    record = point.headline
    best = ", best so far" if len(points) > 1 and best_of(points) is point else ""
    print(f"{point.name}: {record.metric} {shown(record)}{best}", flush=True)


def _show_curve(points: Sequence[Point]) -> None:
    from genbench.cli.console import show_rows
    from genbench.watching.curve import best_of, in_order, sparkline
    from genbench.watching.rows import rows_of

    ordered = in_order(points)
    show_rows(rows_of(ordered, best_of(ordered)))
    if bars := sparkline([point.headline.value for point in ordered]):
        print(f"{ordered[-1].headline.metric} {bars}")


def _draw(points: Sequence[Point], path: Path) -> None:
    from genbench.cli.plot import write_figure
    from genbench.report.figures import figures_of

    headlines = [replace(point.headline, step=point.step) for point in points]
    figures = figures_of("training", headlines)
    if figures:
        write_figure(figures[0], path)
