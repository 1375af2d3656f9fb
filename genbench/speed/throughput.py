"""The speed job: models one after the other, each measured here and set beside a target GPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from genbench.errors import GenbenchError, UsageError
from genbench.models.checkpoints import bundled_file
from genbench.models.opening import (
    ModelRequest,
    ResolvedModel,
    open_model,
    open_random_model,
    resolve,
)
from genbench.models.optional import Folding, RandomInit, TrainingForm
from genbench.models.registry import NoVariantError
from genbench.models.source import ModelSource
from genbench.records.kinds import SpeedRecord
from genbench.runtime.arithmetic import FLOAT32, Arithmetic, pinned
from genbench.runtime.progress import Reporter
from genbench.speed.datasheets import Gpu
from genbench.speed.instruments import Laboratory
from genbench.speed.profiling import Profiling, flops_by_group, profile_sampling
from genbench.speed.sampling import ImageCost, cost_of_an_image, measure_sampling
from genbench.speed.target_gpu import TargetRate, is_target, projected, theoretical
from genbench.speed.timings_to_measurements import (
    flops_facts,
    of_subject,
    sampling_records,
    speed_template,
    target_record,
    training_facts,
    training_records,
)
from genbench.speed.training import TooSlowError, measure_training, training_forms


@dataclass(frozen=True, kw_only=True)
class SpeedRequest:
    """What to measure. batches: empty for a sweep. target: whose second to set beside ours.

    instead: by a model's name what to measure where it takes too long. arithmetic: of all models,
    whatever each is usually sampled in. resolution: of the training steps, in pixels; 0: each
    model's own. profiling: of the sampling. name: of the run.
    """

    models: tuple[ResolvedModel, ...]
    instead: Mapping[str, tuple[ResolvedModel, ...]] = field(default_factory=dict)
    arithmetic: Arithmetic = FLOAT32
    resolution: int = 0
    batches: tuple[int, ...] = ()
    compiles: bool = False
    profiling: Profiling | None = None
    target: Gpu | None = None
    name: str = ""


def resolve_fitting(requests: Sequence[ModelRequest], reporter: Reporter) -> list[ResolvedModel]:
    """The models that have the resolution asked for; of several, the others are noted and left
    out. Options that a model does not have are told in `unknown`.

    Raises UsageError when none is left, and for whatever else `resolve` refuses.
    """
    fitting = []
    for request in requests:
        try:
            fitting.append(resolve(request, lenient=True))
        except NoVariantError as error:
            if len(requests) == 1:
                raise
            reporter.note(
                f"{request.name} is left out: no {request.resolution} pixels, only {error.sizes}"
            )
    if not fitting:
        raise UsageError(f"none of these models has {requests[0].resolution} pixels: change --res")
    return fitting


def sampling_throughput(
    request: SpeedRequest, lab: Laboratory, reporter: Reporter
) -> Iterator[list[SpeedRecord]]:
    """The records of each model in turn, as soon as they are there.

    Raises UsageError for bad requests before anything is measured, GenbenchError with the remedy.
    """
    check_batches(request.batches)
    with pinned(request.arithmetic, fastest=True):
        template = speed_template(lab, request.arithmetic, request.name)
        for wanted in request.models:
            for model in (wanted, *request.instead.get(wanted.request.name, ())):
                found = replace(model, arithmetic=request.arithmetic)
                new = _of_request(found, template, request, lab, reporter)
                yield new
                if any(record.metric == "throughput" for record in new):
                    break


def training_throughput(
    request: SpeedRequest, lab: Laboratory, reporter: Reporter
) -> Iterator[list[SpeedRecord]]:
    """The records of each model's training step, in every form its family brings.

    Raises UsageError for bad requests before anything is measured, GenbenchError with the remedy.
    """
    check_batches(request.batches)
    jobs = _training_jobs(request, reporter)
    with pinned(request.arithmetic, fastest=True):
        template = speed_template(lab, request.arithmetic, request.name)
        template = replace(template, weight_kind="random-init")
        for model, form in jobs:
            for batch in request.batches or (0,):
                base = replace(
                    template, model=model.request.name, resolution=form.resolution,
                    card=form.network, seed=model.request.seed,
                )  # fmt: skip
                yield _of_form(model, form, batch, base, request, lab, reporter)


def _training_jobs(
    request: SpeedRequest, reporter: Reporter
) -> list[tuple[ResolvedModel, TrainingForm]]:
    """Every form of every model; a model without any is noted. Raises UsageError without a job."""
    jobs = []
    for model in request.models:
        size = request.resolution or model.card.resolution
        forms = training_forms(model.adapter, size)
        jobs += [(model, form) for form in forms]
        if not forms:
            reporter.note(
                f"{model.request.name} is left out: it brings no training step for {size} pixels"
            )
    if not jobs:
        raise UsageError("none of these models brings a training step for this --res")
    return jobs


def _of_form(
    model: ResolvedModel, form: TrainingForm, batch: int, base: SpeedRecord,
    request: SpeedRequest, lab: Laboratory, reporter: Reporter,
) -> list[SpeedRecord]:  # fmt: skip
    try:
        with reporter.task(f"{form.network}: {form.name} step", 1) as advance:
            speed = measure_training(
                model.adapter, form, batch, lab, request.arithmetic, reporter,
                compiles=request.compiles,
            )  # fmt: skip
            advance(1)
    except TooSlowError as error:
        if request.target is None and len(request.models) == 1:
            raise
        reporter.note(str(error))
        base = replace(
            base, mode="train", training=training_facts(form), flops_per_image=error.flops
        )
        return list(_target_records(base, None, error.flops, request, lab))
    records = training_records(base, speed, lab, request.arithmetic)
    rate = records[0]
    return [*records, *_target_records(rate, rate.value, speed.flops, request, lab)]


def check_batches(batches: Sequence[int]) -> None:
    """Raises UsageError for a batch size below 1."""
    for batch in batches:
        if batch < 1:
            raise UsageError(f"--batch {batch} must be at least 1, or auto for a sweep")


def open_for_speed(model: ResolvedModel, lab: Laboratory) -> ModelSource:
    """The model with the weights that are here: given, bundled, or none needed; else with random
    ones, at which it is as fast. Nothing is downloaded."""
    weights = model.card.checkpoint
    if model.request.checkpoint or weights is None:
        return open_model(model, lab.device)
    if weights.bundled and bundled_file(type(model.adapter), weights).exists():
        return open_model(model, lab.device)
    return open_random_model(model, lab.device)


def _as_published(model: ResolvedModel, lab: Laboratory) -> ModelSource | None:
    """The model as published, with random weights, which cost the same; None where it is run so."""
    if not isinstance(model.adapter, Folding):
        return None
    published = model.adapter.as_published()
    if published == model.adapter or not isinstance(published, RandomInit):
        return None
    return open_random_model(replace(model, adapter=published), lab.device)


def _of_request(
    model: ResolvedModel, template: SpeedRecord, request: SpeedRequest, lab: Laboratory,
    reporter: Reporter,
) -> list[SpeedRecord]:  # fmt: skip
    """Load, measure and let go of one model, before the next is loaded. One of several that cannot
    be opened is noted and left out."""
    name = model.request.name
    with reporter.task(f"{name}: loading", 1) as advance:
        try:
            source = open_for_speed(model, lab)
        except UsageError as error:
            if len(request.models) == 1:
                raise
            reporter.note(f"{name} is left out: {error}")
            return []
        advance(1)
    with reporter.task(f"{source.name}: counting FLOPs", 1) as advance:
        cost = cost_of_an_image(source, lab, _as_published(model, lab))
        advance(1)
    template = of_subject(template, source.subject())
    return _of_model(source, cost, template, request, lab, reporter)


def _of_model(
    source: ModelSource, cost: ImageCost, template: SpeedRecord, request: SpeedRequest,
    lab: Laboratory, reporter: Reporter,
) -> list[SpeedRecord]:  # fmt: skip
    if cost.seconds > lab.patience:
        text = (
            f"{source.spec.card} is not measured: one image takes about {cost.seconds:.0f} s on "
            f"this device ({cost.evaluations} network calls); pass --seconds "
            f"{math.ceil(cost.seconds)} to wait for it, or take fewer steps"
        )
        if request.target is None and len(request.models) == 1:
            raise GenbenchError(text)
        reporter.note(text)
        base = replace(template, mode="sample", notes=(text,), **flops_facts(cost))
        return list(_target_records(base, None, cost.published, request, lab))
    records: list[SpeedRecord] = []
    flops = flops_by_group(source) if request.profiling else {}  # before they are compiled
    for speed in measure_sampling(
        source, cost, lab, reporter, batches=request.batches, compiles=request.compiles
    ):
        measured = sampling_records(template, speed, lab, request.arithmetic)
        again = bool(records)  # the latency is the same at every batch size: recorded once
        records += [record for record in measured if not (again and record.metric == "latency")]
        records += _target_records(measured[0], measured[0].value, cost.published, request, lab)
        if wanted := request.profiling:
            batch = speed.timing.batch
            with reporter.task(f"{source.name}: profile of batch {batch}", 1) as advance:
                wanted.told(profile_sampling(
                    source, cost, flops, batch, lab, request.arithmetic, wanted.folder
                ))  # fmt: skip
                advance(1)
    return records


def _target_records(
    base: SpeedRecord, rate: float | None, flops: float, request: SpeedRequest, lab: Laboratory
) -> Iterator[SpeedRecord]:
    """The rows of the target GPU: what was measured on one, what arithmetic gives, and an
    interval; never one for another. flops: of an image by the network as published."""
    target, arithmetic = request.target, request.arithmetic.name
    if target is None:
        return
    rates: list[TargetRate | None] = []
    if rate is not None and is_target(lab.gpu, target):
        rates.append(TargetRate(tier="measured", value=rate, how="measured on this device"))
    rates.append(theoretical(flops, target, arithmetic))
    if rate is not None:
        rates.append(projected(rate, flops, lab.gpu, target, arithmetic))
    for found in rates:
        if found is not None:
            record = target_record(base, found, target)
            if found.tier == "measured":
                record = replace(record, low=base.low, high=base.high, interval=base.interval,
                                 samples=base.samples, trials=base.trials)  # fmt: skip
            yield record
