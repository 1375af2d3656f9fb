"""`genbench sample` and `ref`: images drawn, and references written."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from genbench.cli.fetch import Yes, fetch_first
from genbench.cli.options import (
    OUTPUT,
    Batch,
    Block,
    Cache,
    Checkpoint,
    Compile,
    Crop,
    Detector,
    Device,
    Dtype,
    ImageSize,
    Labels,
    Model,
    Preprocessing,
    Resolution,
    Seed,
    Shard,
    Variant,
    Weights,
)
from genbench.cli.words import (
    resolved_model,
)
from genbench.errors import UsageError


def sample(
    ctx: typer.Context,
    model: Model,
    out: Annotated[
        Path,
        typer.Option(
            help=".npz (ADM batch), .png (grid), or a folder.",
            metavar="PATH",
            rich_help_panel=OUTPUT,
        ),
    ],
    n: Annotated[
        int,
        typer.Option("-n", help="Number of samples.", min=1, metavar="N", rich_help_panel=OUTPUT),
    ],
    res: Resolution = 0,
    variant: Variant = "",
    checkpoint: Checkpoint = "",
    seed: Seed = 0,
    labels: Labels = "uniform",
    batch_size: Batch = None,
    block: Block = None,
    compiles: Compile = False,
    dtype: Dtype = "",
    device: Device = "auto",
    cache: Cache = None,
    shard: Shard = "",
    yes: Yes = False,
) -> None:
    """Draw samples and write them; a killed run resumes. With --shard a share of them is drawn and
    nothing written: the same without it, once all are there, writes them.

    Options of the model itself are given the same way; `genbench sample --model NAME -h` shows
    them.
    """
    from genbench.models.room import opened_with_room
    from genbench.quality.samples import check_output, draw_samples, export_samples
    from genbench.runtime.addresses import shown
    from genbench.runtime.devices import common_device
    from genbench.runtime.distributed import joined_world
    from genbench.runtime.folders import cache_folder
    from genbench.runtime.progress_bars import ProgressBars
    from genbench.runtime.shards import SHARD_ROWS
    from genbench.runtime.sharing import sharing_of

    chosen = resolved_model(
        ctx,
        model,
        res,
        variant,
        checkpoint,
        seed,
        labels,
        dtype,
        batch_size,
        block,
        compiles,
    )
    check_output(out)
    sharing = sharing_of(shard)
    with joined_world() as world:
        reporter = ProgressBars(leads=world.leads)
        fetch_first(world, [chosen], None, yes=yes)
        source = opened_with_room(chosen, common_device(device, world), reporter)
        where = cache or cache_folder()
        folder = draw_samples(
            source, n, cache=where, world=world, reporter=reporter, sharing=sharing
        )
        if world.leads and not sharing.is_whole:
            kept, then = shown(folder.path.parent), f"the same without --shard writes {out}"
            reporter.note(sharing.told(source.name, n, SHARD_ROWS, kept, then))
        elif world.leads:
            export_samples(source, folder, n, out)
            print(f"{n} samples of {source.spec.card}, seed {seed}: {out}", file=sys.stderr)


class ReferenceForm(Enum):
    """Whose evaluator a reference file is for."""

    adm = "adm"
    edm = "edm"
    features = "features"


def ref(
    images: Annotated[
        str, typer.Argument(help="Images: .npz, folder, zip, tar, parquet, … (docs/data.md).")
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Reference file to write (.npz).", metavar="FILE", rich_help_panel=OUTPUT
        ),
    ],
    form: Annotated[
        ReferenceForm,
        typer.Option(
            "--format",
            help="adm: with the images; edm: mu and sigma alone; features: of every image.",
            rich_help_panel=OUTPUT,
        ),
    ] = ReferenceForm.adm,
    detector: Detector = "inception",
    preprocessing: Preprocessing = "",
    detector_weights: Weights = None,
    res: ImageSize = 0,
    crop: Crop = "none",
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Write a reference file: images, mu, sigma (and mu_s, sigma_s) as ADM's evaluator reads it, or
    mu and sigma alone as EDM's does; or the features of every image, for --features.
    """
    from genbench.detectors.published_weights import fetch_weights
    from genbench.detectors.registry import check_choices, create_detector, detector_status
    from genbench.images.opening import open_image_set
    from genbench.quality.reference_files import export_reference
    from genbench.runtime.devices import common_device
    from genbench.runtime.distributed import joined_world
    from genbench.runtime.files import refuse_input
    from genbench.runtime.folders import cache_folder
    from genbench.runtime.progress_bars import ProgressBars

    if out.suffix.lower() != ".npz":
        raise UsageError(f"--out {out}: a reference file ends in .npz: {out}.npz")
    refuse_input(out, [Path(images)])
    check_choices(detector, preprocessing=preprocessing)
    opened = open_image_set(images, crop=crop, resolution=res)
    with joined_world() as world:
        layers = [
            layer
            for layer in detector_status(detector).layers
            if layer != "logits" or form is ReferenceForm.features
        ]
        reporter = ProgressBars(leads=world.leads)
        if detector_weights is None:
            fetch_weights(detector, reporter)
        extractor = create_detector(
            detector, layers=layers, weights=detector_weights, device=common_device(device, world),
            preprocessing=preprocessing,
        )  # fmt: skip
        export_reference(
            opened, extractor, out, form=form.value, cache=cache or cache_folder(),
            world=world, reporter=reporter,
        )  # fmt: skip
        if world.leads:
            print(f"{len(opened)} images, {detector}: {out}", file=sys.stderr)
