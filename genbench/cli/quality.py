"""`genbench fid`, `sample` and `ref`: images measured, drawn and written."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from genbench.cli import completion
from genbench.cli.options import (
    IMAGES,
    OUTPUT,
    Batch,
    Block,
    Cache,
    Checkpoint,
    Counts,
    Crop,
    Detector,
    Device,
    Dtype,
    ImageSize,
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
    Resolution,
    Reuse,
    Seed,
    Variant,
    Weights,
)
from genbench.cli.seeds import Seeds, named_seeds, of_seeds, show_seeds
from genbench.cli.words import (
    refuse_unknown,
    resolved_model,
    words_and_options,
)
from genbench.errors import UsageError


def fid(
    ctx: typer.Context,
    samples: Annotated[
        str,
        typer.Option(
            help="Images to measure: .npz, folder, zip, bundled, …",
            metavar="IMAGES",
            rich_help_panel=IMAGES,
            show_default=False,
        ),
    ] = "",
    ref: Reference = "",
    features: Annotated[
        Path | None,
        typer.Option(
            help="Features of your own (.npz) instead of images.",
            metavar="FILE",
            rich_help_panel=IMAGES,
        ),
    ] = None,
    ref_features: Annotated[
        Path | None,
        typer.Option(help="The reference's features.", metavar="FILE", rich_help_panel=IMAGES),
    ] = None,
    train: Annotated[
        str,
        typer.Option(
            help="Images the model learned from, for memorisation.",
            metavar="IMAGES",
            rich_help_panel=IMAGES,
            show_default=False,
        ),
    ] = "",
    crop: ProtocolCrop = "",
    model: Model = "",
    res: ModelOrImageSize = 0,
    variant: Variant = "",
    checkpoint: Checkpoint = "",
    seed: Seed = 0,
    seeds: Seeds = "",
    labels: Labels = "uniform",
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
    reuse: Reuse = False,
    name: Name = "",
    cache: Cache = None,
    json_lines: Json = False,
    records: RecordFile = None,
) -> None:
    """Measure quality: FID, sFID, Inception Score, KID, precision, recall, density, coverage.

    `genbench fid A B` measures the images A against the reference B, as --samples A --ref B does.
    Options of the model itself are given the same way; `genbench fid --model NAME -h` shows them.
    """
    from genbench import api
    from genbench.cli.console import show_results
    from genbench.runtime.distributed import joined_world
    from genbench.runtime.folders import default_records

    samples, ref = _image_sets(words_and_options(ctx)[0], samples, ref, model, features)
    chosen = None
    if model:
        chosen = resolved_model(
            ctx, model, res, variant, checkpoint, seed, labels, dtype, batch_size, block
        )
    else:
        refuse_unknown(ctx, [])
    with joined_world():  # once, for all seeds
        runs = [
            api.evaluate(
                one or "", samples=samples, features=features, reference=ref,
                reference_features=ref_features, training=train, protocol=protocol,
                counts=tuple(n or ()), metrics=tuple(metric or ()), ci=ci, resolution=res,
                detector=detector, preprocessing=preprocessing,
                detector_weights=detector_weights, crop=crop, device=device,
                cache=cache, records=records or default_records(), reuse=reuse, run_name=name,
                found=lambda measured: show_results(measured, as_json=json_lines),
            )
            for one in (of_seeds(chosen, named_seeds(seeds, seed)) if seeds else [chosen])
        ]  # fmt: skip
    if chosen and not json_lines:
        show_seeds(runs)


def _image_sets(
    words: list[str], samples: str, ref: str, model: str, features: Path | None
) -> tuple[str, str]:
    """Samples and reference, each named once: by a word, the first the samples, or by its option.
    Raises UsageError for words that contradict options, and for too many."""
    if not words:
        return samples, ref
    first, *others = words
    if dash := next((word for word in words if word.startswith("-")), ""):
        raise UsageError(f"there is no option {dash}: `genbench fid -h` lists them")
    if model or features:
        given = f"--model {model}" if model else f"--features {features}"
        raise UsageError(
            f"{given} already says what is measured, and so does {first}: leave one out (a "
            f"reference follows --ref: --ref {first})"
        )
    if samples:
        raise UsageError(f"samples are named twice, {first} and --samples {samples}: leave one out")
    if not Path(first).exists() and first in completion.models(first):
        raise UsageError(f"{first} is a model: genbench fid --model {first}")
    if len(others) > 1:
        raise UsageError(
            f"fid takes samples and a reference, and {others[1]!r} is a third: leave it out"
        )
    if others and ref:
        raise UsageError(
            f"the reference is named twice, {others[0]} and --ref {ref}: leave one out"
        )
    return first, others[0] if others else ref


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
    dtype: Dtype = "",
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Draw samples and write them; a killed run resumes.

    Options of the model itself are given the same way; `genbench sample --model NAME -h` shows
    them.
    """
    from genbench.models.opening import open_model
    from genbench.quality.samples import check_output, draw_samples, export_samples
    from genbench.runtime.devices import device_of
    from genbench.runtime.distributed import joined_world
    from genbench.runtime.folders import cache_folder
    from genbench.runtime.progress_bars import ProgressBars

    chosen = resolved_model(
        ctx, model, res, variant, checkpoint, seed, labels, dtype, batch_size, block
    )
    check_output(out)
    with joined_world() as world:
        reporter = ProgressBars(leads=world.leads)
        source = open_model(chosen, device_of(device, world))
        where = cache or cache_folder()
        folder = draw_samples(source, n, cache=where, world=world, reporter=reporter)
        if world.leads:
            export_samples(source, folder, n, out)
            print(f"{n} samples of {source.spec.card}, seed {seed}: {out}", file=sys.stderr)


class ReferenceForm(Enum):
    """Whose evaluator a reference file is for."""

    adm = "adm"
    edm = "edm"


def ref(
    images: Annotated[str, typer.Argument(help="Images: .npz, folder, zip, bundled, …")],
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
            help="adm: with the images; edm: mu and sigma alone.",
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
    mu and sigma alone as EDM's does.
    """
    from genbench.detectors.published_weights import fetch_weights
    from genbench.detectors.registry import check_choices, create_detector, detector_status
    from genbench.images.opening import open_image_set
    from genbench.quality.reference_files import export_reference
    from genbench.runtime.devices import device_of
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
        layers = [layer for layer in detector_status(detector).layers if layer != "logits"]
        reporter = ProgressBars(leads=world.leads)
        if detector_weights is None:
            fetch_weights(detector, reporter)
        extractor = create_detector(
            detector, layers=layers, weights=detector_weights, device=device_of(device, world),
            preprocessing=preprocessing,
        )  # fmt: skip
        export_reference(
            opened, extractor, out, form=form.value, cache=cache or cache_folder(),
            world=world, reporter=reporter,
        )  # fmt: skip
        if world.leads:
            print(f"{len(opened)} images, {detector}: {out}", file=sys.stderr)
