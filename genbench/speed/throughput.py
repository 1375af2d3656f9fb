"""The speed job: models one after the other, each measured here and set beside a target GPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from genbench.errors import GenbenchError, UsageError
from genbench.models.checkpoints import bundled_file
from genbench.models.description import describe_model
from genbench.models.opening import ModelRequest, chosen, open_model, open_random_model
from genbench.models.optional import TrainingForm
from genbench.models.registry import find_adapter, load_adapter_class
from genbench.models.source import ModelSource
from genbench.records.measurement import Measurement
from genbench.runtime.progress import Reporter
from genbench.speed.datasheets import Gpu
from genbench.speed.instruments import Laboratory, Precision, precision_flags
from genbench.speed.sampling import cost_of_an_image, measure_sampling
from genbench.speed.target_gpu import TargetRate, is_target, projected, theoretical
from genbench.speed.timings_to_measurements import (
    form_settings,
    sampling_records,
    speed_template,
    target_record,
    training_records,
)
from genbench.speed.training import TooSlowError, measure_training, training_forms


@dataclass(frozen=True, kw_only=True)
class SpeedRequest:
    """What to measure. batches: empty for a sweep. target: whose second to set beside ours."""

    models: tuple[ModelRequest, ...]
    precision: Precision
    batches: tuple[int, ...] = ()
    compiles: bool = False
    target: Gpu | None = None


def sampling_throughput(
    request: SpeedRequest, lab: Laboratory, reporter: Reporter
) -> Iterator[list[Measurement]]:
    """The records of each model in turn, as soon as they are there.

    Raises UsageError for bad requests before anything is measured, GenbenchError with the remedy.
    """
    check_batches(request.batches)
    models = at_their_resolution(request.models, reporter)
    with precision_flags(request.precision):
        template = speed_template(lab, request.precision)
        for model in models:
            yield _of_request(model, template, request, lab, reporter)


def training_throughput(
    request: SpeedRequest, lab: Laboratory, reporter: Reporter
) -> Iterator[list[Measurement]]:
    """The records of each model's training step, in every form its family brings.

    Raises UsageError for bad requests before anything is measured, GenbenchError with the remedy.
    """
    check_batches(request.batches)
    jobs = _training_jobs(request.models, reporter)
    with precision_flags(request.precision):
        template = speed_template(lab, request.precision)
        for model, form in jobs:
            for batch in request.batches or (0,):
                base = replace(
                    template, model=model.name, resolution=form.resolution, card=form.network,
                    weight_kind="random-init", seed=model.seed,
                )  # fmt: skip
                yield _of_form(model, form, batch, base, request, lab, reporter)


def _training_jobs(
    models: Sequence[ModelRequest], reporter: Reporter
) -> list[tuple[ModelRequest, TrainingForm]]:
    """Every form of every model; a model without any is noted. Raises UsageError without a job."""
    jobs = []
    for model in models:
        size = chosen(replace(model, resolution=0))[1].resolution
        forms = training_forms(model.name, model.resolution or size)
        jobs += [(model, form) for form in forms]
        if not forms:
            reporter.note(
                f"{model.name} is left out: it brings no training step for "
                f"{model.resolution or size} pixels"
            )
    if not jobs:
        raise UsageError("none of these models brings a training step for this --res")
    return jobs


def _of_form(
    model: ModelRequest, form: TrainingForm, batch: int, base: Measurement,
    request: SpeedRequest, lab: Laboratory, reporter: Reporter,
) -> list[Measurement]:  # fmt: skip
    try:
        with reporter.task(f"{form.network}: {form.name} step", 1) as advance:
            speed = measure_training(
                model.name, form, batch, lab, request.precision, reporter,
                compiles=request.compiles,
            )  # fmt: skip
            advance(1)
    except TooSlowError as error:
        if request.target is None and len(request.models) == 1:
            raise
        reporter.note(str(error))
        told = {**form_settings(form), "mode": "train", "flops_per_image": error.flops}
        base = replace(base, settings={**base.settings, **told})
        return list(_target_records(base, None, error.flops, request, lab))
    records = training_records(base, speed, lab, request.precision)
    rate = records[0]
    return [*records, *_target_records(rate, rate.value, speed.flops, request, lab)]


def check_batches(batches: Sequence[int]) -> None:
    """Raises UsageError for a batch size below 1."""
    for batch in batches:
        if batch < 1:
            raise UsageError(f"--batch {batch} must be at least 1, or auto for a sweep")


def at_their_resolution(models: Sequence[ModelRequest], reporter: Reporter) -> list[ModelRequest]:
    """The requests whose model has that resolution; the others are noted and left out.

    Raises UsageError when none is left.
    """
    fitting = []
    for model in models:
        cards = load_adapter_class(find_adapter(model.name)).cards
        sizes = sorted({card.resolution for card in cards})
        if model.resolution in (0, *sizes) or len(models) == 1:
            chosen(model)  # a bad variant, option or resolution is an error here
            fitting.append(model)
        else:
            has = ", ".join(map(str, sizes))
            reporter.note(f"{model.name} is left out: no {model.resolution} pixels, only {has}")
    if not fitting:
        raise UsageError(f"none of these models has {models[0].resolution} pixels: change --res")
    return fitting


def open_for_speed(model: ModelRequest, lab: Laboratory) -> ModelSource:
    """The model with the weights that are here: given, bundled, or none needed; else with random
    ones, at which it is as fast. Nothing is downloaded."""
    adapter, card = chosen(model)
    weights = card.checkpoint
    if model.checkpoint or weights is None:
        return open_model(model, lab.device)
    if weights.bundled and bundled_file(type(adapter), weights).exists():
        return open_model(model, lab.device)
    return open_random_model(model, lab.device)


def _of_request(
    model: ModelRequest, template: Measurement, request: SpeedRequest, lab: Laboratory,
    reporter: Reporter,
) -> list[Measurement]:  # fmt: skip
    """Load, measure and let go of one model, before the next is loaded. One of several that cannot
    be opened is noted and left out."""
    with reporter.task(f"{model.name}: loading", 1) as advance:
        try:
            source = open_for_speed(model, lab)
        except UsageError as error:
            if len(request.models) == 1:
                raise
            reporter.note(f"{model.name} is left out: {error}")
            return []
        advance(1)
    return _of_model(source, describe_model(template, source), request, lab, reporter)


def _of_model(
    source: ModelSource, template: Measurement, request: SpeedRequest, lab: Laboratory,
    reporter: Reporter,
) -> list[Measurement]:  # fmt: skip
    with reporter.task(f"{source.name}: counting FLOPs", 1) as advance:
        cost = cost_of_an_image(source, lab)
        advance(1)
    precision = request.precision
    if cost.seconds > lab.patience:
        text = (
            f"{source.spec.card} is not measured: one image takes about {cost.seconds:.0f} s on "
            f"this device ({cost.evaluations} network calls); pass --seconds "
            f"{math.ceil(cost.seconds)} to wait for it, or take fewer steps"
        )
        if request.target is None and len(request.models) == 1:
            raise GenbenchError(text)
        reporter.note(text)
        told = {"mode": "sample", "flops_per_image": cost.flops}
        base = replace(template, settings={**template.settings, **told})
        return list(_target_records(base, None, cost.flops, request, lab))
    records: list[Measurement] = []
    for speed in measure_sampling(
        source, cost, lab, reporter, batches=request.batches, compiles=request.compiles
    ):
        measured = sampling_records(template, speed, lab, precision)
        again = bool(records)  # the latency is the same at every batch size: recorded once
        records += [record for record in measured if not (again and record.metric == "latency")]
        records += _target_records(measured[0], measured[0].value, cost.flops, request, lab)
    return records


def _target_records(
    base: Measurement, rate: float | None, flops: float, request: SpeedRequest, lab: Laboratory
) -> Iterator[Measurement]:
    """The rows of the target GPU: what was measured on one, what arithmetic gives, and an
    interval; never one for another."""
    target, precision = request.target, request.precision.name
    if target is None:
        return
    rates: list[TargetRate | None] = []
    if rate is not None and is_target(lab.gpu, target):
        rates.append(TargetRate(tier="measured", value=rate, how="measured on this device"))
    rates.append(theoretical(flops, target, precision))
    if rate is not None:
        rates.append(projected(rate, flops, lab.gpu, target, precision))
    for found in rates:
        if found is not None:
            record = target_record(base, found, target)
            if found.tier == "measured":
                record = replace(record, low=base.low, high=base.high, interval=base.interval,
                                 samples=base.samples, trials=base.trials)  # fmt: skip
            yield record
