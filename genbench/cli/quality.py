"""`genbench fid`, `sample` and `ref`: images measured, drawn and written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from genbench.cli.options import (
    Batch,
    Block,
    Cache,
    Checkpoint,
    Crop,
    Detector,
    Device,
    Dtype,
    Json,
    Labels,
    Model,
    Name,
    Resolution,
    Reuse,
    Seed,
    Variant,
    Weights,
    refuse_unknown,
    resolved_model,
)
from genbench.errors import UsageError


def fid(
    ctx: typer.Context,
    samples: Annotated[str, typer.Option(help="Images: .npz, folder, zip, bundled, …")] = "",
    model: Model = "",
    ref: Annotated[str, typer.Option(help="Reference images or ADM reference file.")] = "",
    features: Annotated[Path | None, typer.Option(help="Your own features (.npz).")] = None,
    ref_features: Annotated[Path | None, typer.Option(help="The reference's features.")] = None,
    protocol: Annotated[str, typer.Option(help="Protocol (`genbench ls protocols`).")] = "",
    n: Annotated[list[int] | None, typer.Option("-n", help="Sample count; repeat it.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Metric; repeat it.")] = None,
    detector: Detector = "",
    detector_weights: Weights = None,
    res: Resolution = 0,
    crop: Crop = "",
    variant: Variant = "",
    checkpoint: Checkpoint = "",
    seed: Seed = 0,
    labels: Labels = "uniform",
    batch_size: Batch = None,
    block: Block = None,
    dtype: Dtype = "",
    device: Device = "auto",
    ci: Annotated[bool, typer.Option("--ci", help="Add 95% intervals.")] = False,
    reuse: Reuse = False,
    name: Name = "",
    json_lines: Json = False,
    records: Annotated[Path | None, typer.Option(help="Record file to append to.")] = None,
    cache: Cache = None,
) -> None:
    """Measure quality: FID, sFID, Inception Score, KID, precision, recall, density, coverage.

    Options of the model itself (`genbench ls MODEL`) are given the same way: --truncation 0.5
    """
    from genbench import api
    from genbench.cli.console import show_results
    from genbench.runtime.folders import default_records

    chosen = None
    if model:
        chosen = resolved_model(
            ctx, model, res, variant, checkpoint, seed, labels, dtype, batch_size, block
        )
    else:
        refuse_unknown(ctx, [])
    api.evaluate(
        chosen or "", samples=samples, features=features, reference=ref,
        reference_features=ref_features, protocol=protocol, counts=tuple(n or ()),
        metrics=tuple(metric or ()), ci=ci, resolution=res, detector=detector,
        detector_weights=detector_weights, crop=crop, device=device, cache=cache,
        records=records or default_records(), reuse=reuse, run_name=name,
        found=lambda measured: show_results(measured, as_json=json_lines),
    )  # fmt: skip


def sample(
    ctx: typer.Context,
    model: Model,
    out: Annotated[Path, typer.Option(help=".npz (ADM batch), .png (grid), or a folder.")],
    n: Annotated[int, typer.Option("-n", help="Number of samples.", min=1)],
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
    """Draw samples and write them; a killed run resumes."""
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


def ref(
    images: Annotated[str, typer.Argument(help="Images: .npz, folder, zip, bundled, …")],
    out: Annotated[Path, typer.Option(help="Reference file to write (.npz).")],
    detector: Detector = "inception",
    detector_weights: Weights = None,
    res: Resolution = 0,
    crop: Crop = "none",
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Write a reference file: images, mu, sigma (and mu_s, sigma_s) as ADM's evaluator reads it."""
    from genbench.detectors.published_weights import fetch_weights
    from genbench.detectors.registry import create_detector, detector_status
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
    opened = open_image_set(images, crop=crop, resolution=res)
    with joined_world() as world:
        layers = [layer for layer in detector_status(detector).layers if layer != "logits"]
        reporter = ProgressBars(leads=world.leads)
        if detector_weights is None:
            fetch_weights(detector, reporter)
        extractor = create_detector(
            detector, layers=layers, weights=detector_weights, device=device_of(device, world)
        )
        export_reference(
            opened, extractor, out, cache=cache or cache_folder(), world=world,
            reporter=reporter,
        )  # fmt: skip
        if world.leads:
            print(f"{len(opened)} images, {detector}: {out}", file=sys.stderr)
