"""`genbench fid`: images measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from genbench.cli import completion
from genbench.cli.fetch import Yes, fetch_first
from genbench.cli.model_command import options_of
from genbench.cli.options import (
    IMAGES,
    MEASURE,
    Batch,
    Block,
    Cache,
    Checkpoint,
    Compile,
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
    OtherCaches,
    Preprocessing,
    Protocol,
    ProtocolCrop,
    ProtocolDetector,
    RecordFile,
    Reference,
    Reuse,
    Seed,
    Shard,
    Store,
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
            help="Images to measure: .npz, folder, zip, tar, parquet, … (docs/data.md).",
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
    decode: Annotated[
        str,
        typer.Option(
            help="Decode latents (.npz, .safetensors, of a function or program) by an "
            "AutoencoderKL: vae:FOLDER.",
            metavar="vae:FOLDER",
            rich_help_panel=IMAGES,
            show_default=False,
        ),
    ] = "",
    clip: Annotated[
        str,
        typer.Option(
            help="A CLIP that compares images with --prompts (clip_score): a folder of "
            "transformers, or a Hub id.",
            metavar="FOLDER",
            rich_help_panel=MEASURE,
            show_default=False,
        ),
    ] = "",
    prompts: Annotated[
        str,
        typer.Option(
            help="Prompts, one a line: what a pipeline draws, and --clip compares with.",
            metavar="FILE",
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
    compiles: Compile = False,
    dtype: Dtype = "",
    device: Device = "auto",
    reuse: Reuse = False,
    yes: Yes = False,
    name: Name = "",
    cache: Cache = None,
    store: Store = None,
    shard: Shard = "",
    take: OtherCaches = None,
    json_lines: Json = False,
    records: RecordFile = None,
) -> None:
    """Measure quality: FID, sFID, Inception Score, KID, precision, recall, density, coverage, and
    what else `genbench ls metrics` lists.

    `genbench fid A B` measures the images A against the reference B, as --samples A --ref B does.
    Options of the model itself are given the same way; `genbench fid --model NAME -h` shows them.
    """
    from genbench import api, given
    from genbench.cli.console import show_results
    from genbench.quality.battery import KEY, battery, in_words
    from genbench.quality.prompted import of_texts_alone
    from genbench.runtime.distributed import joined_world
    from genbench.runtime.folders import default_records
    from genbench.runtime.progress_bars import ProgressBars
    from genbench.runtime.sharing import sharing_of

    cache, records = _store_paths(store, cache, records)
    sharing = replace(sharing_of(shard), others=tuple(take or ()))
    samples, ref = _image_sets(words_and_options(ctx)[0], samples, ref, model, features)
    chosen = None
    images: Any = samples
    if model:
        _hand_on(ctx, model, {"decode": decode, "prompts": prompts}, clip)
    elif decode:
        from genbench.images.latents import open_latents
        from genbench.runtime.devices import device_of
        from genbench.runtime.distributed import World

        images = open_latents(samples, decode, device_of(device, World()))
    if model:
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
    else:
        refuse_unknown(ctx, [])
    drawn = of_seeds(chosen, named_seeds(seeds, seed)) if seeds else [chosen]
    with joined_world() as world:  # once, for all runs
        if not features:
            used = given.protocol_of(
                protocol, chosen, ref, detector=detector, preprocessing=preprocessing, crop=crop,
                resolution=res,
            )  # fmt: skip
            keys = given.metric_keys(metric or ())
            fetch_first(
                world, [chosen], None if clip and of_texts_alone(keys) else used, reference=ref,
                own_detector=detector_weights is not None, yes=yes,
            )  # fmt: skip
        encoders = [detector]
        if KEY in given.metric_keys(metric or ()) and not (detector or features):
            encoders = battery(ProgressBars(leads=world.leads))
        runs = [
            api.evaluate(
                one or "", samples=images, features=features, reference=ref,
                reference_features=ref_features, training=train, clip=clip,
                prompts=prompts if clip or not model else "", protocol=protocol,
                counts=tuple(n or ()), metrics=tuple(metric or ()), ci=ci, resolution=res,
                detector=encoder, preprocessing=preprocessing,
                detector_weights=detector_weights, crop=crop, device=device,
                cache=cache, records=records or default_records(), reuse=reuse, run_name=name,
                shard=sharing,
                found=lambda measured: show_results(measured, as_json=json_lines),
            )
            for one in drawn for encoder in encoders
        ]  # fmt: skip
    if chosen and not json_lines and len(encoders) == 1:
        show_seeds(runs)
    if len(encoders) > 1 and all(runs) and not json_lines:
        print(in_words(record for run in runs for record in run))


def _hand_on(ctx: typer.Context, model: str, given: Mapping[str, str], clip: str) -> None:
    """Give a model those options of this command that may be its own. Raises UsageError for one
    that it has no use for, unless a CLIP has."""
    own = {option.name for option in options_of(model)} if any(given.values()) else set()
    for name, value in given.items():
        if value and name in own:
            ctx.args += [f"--{name}", value]
        elif value and not (clip and name == "prompts"):
            raise UsageError(f"model {model} takes no --{name}: leave it out")


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


def _store_paths(
    store: Path | None, cache: Path | None, records: Path | None
) -> tuple[Path | None, Path | None]:
    """The cache and the record file: of a store where one is named and they are not."""
    if store is None:
        return cache, records
    return cache or store, records or store / "records.jsonl"
