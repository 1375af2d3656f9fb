"""The public door: what the command line and notebooks call, with results that show themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench import given
from genbench.errors import UsageError
from genbench.given import Images, Samples
from genbench.images.arrays import Batch
from genbench.images.sets import ImageSet
from genbench.models import opening
from genbench.models.noise import NoiseStream
from genbench.models.opening import ModelRequest, ResolvedModel
from genbench.models.source import ModelSource
from genbench.quality import evaluation
from genbench.quality.drawing import drawn_by
from genbench.quality.request import QualityRequest, near_cache
from genbench.quality.source import Source
from genbench.quality.strips import keep_beside
from genbench.records.influences import influences_folder
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.records.measurement import Scalar
from genbench.records.protocols import EvalProtocol
from genbench.records.store import append_records, check_appendable, refuse_absent
from genbench.records.store import read_records as read_lines
from genbench.runtime.arithmetic import FLOAT32, arithmetic_named, check_arithmetic
from genbench.runtime.devices import common_device, device_of
from genbench.runtime.distributed import World, joined_world
from genbench.runtime.files import lasts
from genbench.runtime.progress import Reporter
from genbench.runtime.progress_bars import ProgressBars
from genbench.runtime.sharing import Sharing, sharing_of
from genbench.speed import throughput as speed
from genbench.speed.datasheets import find_gpu
from genbench.speed.instruments import laboratory
from genbench.speed.profiling import Profiling
from genbench.tables.specs import at_count, load_spec
from genbench.tables.views import Results, TableView, built

Draw = Callable[[Tensor | None, NoiseStream], Tensor]
_BATCH = 50  # images that a function is asked for at once


def open_images(
    images: Images,
    *,
    crop: str = "none",
    resolution: int = 0,
    labels: Any = None,
    name: str = "images",
) -> ImageSet:
    """Images as one set, indexed and read lazily.

    images: what --samples takes ("folder/", "batch.npz", "bundled", "fashion-mnist:test[:500]"), a
    uint8 tensor or array [N, 3, H, W] or [N, H, W, 3], or an iterator of batches of either. crop,
    resolution: how they are brought to a size ("adm" or "resize"; 0: as they are). labels: int64
    [N], name: of the set, both for images without a file. Raises GenbenchError or UsageError with
    the remedy.
    """
    return given.opened_images(images, crop=crop, resolution=resolution, labels=labels, name=name)


def open_model(
    model: str | ResolvedModel,
    *,
    resolution: int = 0,
    variant: str = "",
    checkpoint: str | Path = "",
    options: Mapping[str, Scalar] | None = None,
    seed: int = 0,
    labels: str = "uniform",
    dtype: str = "",
    batch_size: int | None = None,
    block: int | None = None,
    compile: bool = False,
    device: str = "auto",
    random_weights: bool = False,
) -> ModelSource:
    """A model, loaded: `images(start, stop)` gives its samples, uint8 [n, 3, H, W].

    options: the family's own (`genbench ls MODEL`), such as {"truncation": 0.5}. random_weights:
    where the family can, for looking at speed without weights. Raises GenbenchError or UsageError
    with the remedy.
    """
    request = given.resolved(model, resolution, variant, checkpoint, options, seed, labels, dtype,
                       batch_size, block, compile)  # fmt: skip
    load = opening.open_random_model if random_weights else opening.open_model
    return load(request, device_of(device, World()))


def evaluate(
    model: str | ResolvedModel | ModelSource = "",
    *,
    samples: Samples | Draw = "",
    features: Path | str | None = None,
    reference: str | Path | ImageSet | Batch = "",
    reference_features: Path | str | None = None,
    training: str | Path | ImageSet = "",
    clip: str | Path = "",
    prompts: str | Path | None = None,
    protocol: str | EvalProtocol = "",
    counts: int | Sequence[int] = (),
    metrics: str | Sequence[str] = (),
    ci: bool = False,
    resolution: int = 0,
    variant: str = "",
    checkpoint: str | Path = "",
    options: Mapping[str, Scalar] | None = None,
    seed: int = 0,
    labels: str = "uniform",
    classes: int = 0,
    dtype: str = "",
    batch_size: int | None = None,
    block: int | None = None,
    compile: bool = False,
    detector: str = "",
    preprocessing: str = "",
    detector_weights: str | Path | None = None,
    crop: str = "",
    device: str = "auto",
    cache: str | Path | None = None,
    records: str | Path | None = None,
    reuse: bool = False,
    name: str = "",
    run_name: str = "",
    shard: str | Sharing = "",
    found: Callable[[Results[QualityRecord]], object] | None = None,
    reporter: Reporter | None = None,
) -> Results[QualityRecord]:
    """Measure a model, samples or features against a reference, under a protocol.

    One of model, samples and features names what is measured. samples: what `open_images` takes, an
    opened model, or a function `(labels, noise) -> images` that draws uint8 [n, 3, H, W] for labels
    int64 [n] (None where `classes` is 0) and a `genbench.NoiseStream`; such a function is asked for
    the largest of `counts`. counts: sample counts; empty: the protocol's. metrics: keys such as
    "fid"; empty: the protocol's. training: images that the model learned from. clip: the folder or
    Hub id of a CLIP for "clip_score", prompts: the file of its texts. ci: 95% intervals too.
    records: a file to append to, beside which a strip of the first samples is kept for people to
    look at. reuse: compute nothing that is in `records`, unchanged and of that `run_name`.
    shard: "3/16", "slurm" or "pull": that share of the features and no figures (`genbench merge`).
    name: of samples that have none. run_name: kept on the records, for tables and to find the run
    by. found: called with the results before they are written to `records`. Under torchrun the
    processes share the work; all but the first get no results. Everything else is as on the command
    line (`genbench fid --help`). Raises GenbenchError or UsageError with the remedy.
    """
    if reuse and not records:
        raise UsageError("reuse looks for figures in a record file: name it with records=")
    if isinstance(model, ModelSource):
        if not given.is_empty(samples):
            raise UsageError("name what is measured once: by model= or by samples=")
        model, samples = "", model
    counts, metrics = given.wholes(counts, "-n", least=1), given.metric_keys(metrics)
    seed = given.whole(seed, "seed")
    chosen = given.resolved(model, resolution, variant, checkpoint, options, seed, labels, dtype,
                      batch_size, block, compile) if model else None  # fmt: skip
    protocol = given.protocol_of(
        protocol, chosen, reference, detector=detector, preprocessing=preprocessing, crop=crop,
        resolution=resolution,
    )  # fmt: skip
    with joined_world() as world:
        place = common_device(device, world)
        bars = reporter or ProgressBars(leads=world.leads)
        for note in filter(None, map(given.shadowing, (samples, reference))):
            bars.note(note)
        kept = given.path_of(records, "records")
        if kept and world.leads:
            check_appendable(kept)
        known = tuple(read_lines(kept, told=bars.note)) if kept and reuse else ()
        if callable(samples):
            images: str | Source = drawn_by(
                samples, max(counts or protocol.counts), device=place,
                classes=given.whole(classes, "classes", least=0), seed=seed, labels=labels,
                batch_size=given.whole(_BATCH if batch_size is None else batch_size, "batch_size",
                                       least=1),
                name=str(name), reporter=bars,
            )  # fmt: skip
        else:
            images = given.samples_source(samples, protocol, name)
        request = QualityRequest(
            protocol=protocol, samples=images, model=chosen,
            features=given.path_of(features, "features"),
            reference=given.reference_set(reference),
            reference_features=given.path_of(reference_features, "reference_features"),
            clip=str(clip), prompts=given.prompts_of(prompts, chosen, str(clip)),
            training=training, counts=counts, metrics=metrics,
            detector_weights=given.path_of(detector_weights, "detector_weights"),
            interval=ci, cache=given.path_of(cache, "cache"), known=known, name=run_name,
            sharing=sharing_of(shard),
            influences=influences_folder(kept) if ci and kept and lasts(kept) else None,
        )  # fmt: skip
        measured = evaluation.evaluate(request, world=world, device=place, reporter=bars)
        if found and world.leads:
            found(Results(measured))
        if kept and world.leads:
            append_records(kept, [record for record in measured if record not in known])
            strips = (record.samples_digest for record in measured)
            keep_beside(kept, near_cache(request.cache), strips, bars)
    return Results(measured)


def throughput(
    model: str | ResolvedModel | Sequence[str | ResolvedModel],
    *,
    instead: Mapping[str, tuple[ResolvedModel, ...]] | None = None,
    resolution: int = 0,
    variant: str = "",
    checkpoint: str | Path = "",
    options: Mapping[str, Scalar] | None = None,
    dtype: str = "",
    batches: int | Sequence[int] = (),
    compile: bool = False,
    train: bool = False,
    gpu: str = "",
    seconds: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    records: str | Path | None = None,
    run_name: str = "",
    profiling: Profiling | None = None,
    found: Callable[[Sequence[SpeedRecord]], object] | None = None,
    reporter: Reporter | None = None,
) -> Results[SpeedRecord]:
    """Measure how fast models draw, or with `train` how fast they learn; random weights serve.

    model: one or several. instead: by name what to measure where a model takes too long. batches:
    sizes of a call; empty: the best of a sweep. gpu: set this GPU's seconds beside ("v100"), in
    tiers that are never mixed. seconds: of a measurement; 0: 30 on a GPU, 5 on a CPU. profiling:
    where the time of a call goes. found: called with the records of each model as soon as they are
    there. records: a file to append them to. run_name: kept on them. Raises GenbenchError or
    UsageError with the remedy.
    """
    reporter = reporter or ProgressBars(leads=True)
    place = device_of(device, World())
    kept = given.path_of(records, "records")
    if kept:
        check_appendable(kept)
    if isinstance(model, ModelSource):
        raise UsageError("throughput opens models itself, one after the other: name this one")
    wanted = [model] if isinstance(model, str | ResolvedModel) else list(model)
    batches = given.wholes(batches, "batches")
    resolved = [one for one in wanted if isinstance(one, ResolvedModel)]
    requests = [
        ModelRequest(
            name=one, resolution=0 if train else resolution, variant=variant,
            checkpoint=str(checkpoint), options=given.texts(options), seed=seed,
        )
        for one in wanted if isinstance(one, str)
    ]  # fmt: skip
    resolved += speed.resolve_fitting(requests, reporter) if requests else []
    arithmetic = arithmetic_named(dtype) if dtype else FLOAT32
    if not dtype and len(resolved) == 1 and not train:
        arithmetic = resolved[0].arithmetic
    check_arithmetic(arithmetic, place)
    request = speed.SpeedRequest(
        models=tuple(resolved), instead=instead or {}, arithmetic=arithmetic, resolution=resolution,
        batches=batches, compiles=compile, profiling=profiling, name=run_name,
        target=find_gpu(gpu) if gpu else None,
    )  # fmt: skip
    measured: list[SpeedRecord] = []
    job = speed.training_throughput if train else speed.sampling_throughput
    with torch.random.fork_rng([place] if place.type == "cuda" else []):
        for new in job(request, laboratory(place, seconds), reporter):
            measured += new
            if found:
                found(new)
            if kept:
                append_records(kept, new)
    return Results(measured)


def read_records(path: str | Path) -> Results[Record]:
    """The records of a file, oldest first. Raises GenbenchError naming the line that is none."""
    refuse_absent(Path(path))
    return Results(read_lines(Path(path)))


def build_table(
    name: str,
    records: Iterable[Record] = (),
    *,
    samples: int = 0,
    folders: Sequence[str | Path] = (),
) -> TableView:
    """A paper's table with the measured numbers beside the published ones (`genbench ls tables`).

    name: or the path of a spec of your own; of one in `folders` the name will do. samples: another
    sample count than the table's. Raises UsageError for an unknown name.
    """
    if isinstance(records, str | Path):
        raise UsageError(
            f"records are records, not a file: genbench.read_records({str(records)!r})"
        )
    spec = load_spec(name, [Path(folder) for folder in folders])
    return built(at_count(spec, samples) if samples else spec, list(records))
