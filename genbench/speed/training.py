"""How fast a model trains: whole optimiser steps on synthetic images that lie on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from genbench.errors import GenbenchError
from genbench.models.optional import StepSetting, TimedTraining, TrainingForm, TrainRun
from genbench.models.registry import find_adapter, load_adapter_class
from genbench.runtime.distributed import World
from genbench.runtime.progress import Reporter
from genbench.speed.adm_table7 import adm_table7, network_flops, training_passes
from genbench.speed.flops import flops_of
from genbench.speed.instruments import Laboratory, Precision
from genbench.speed.memory import OutOfMemoryAt, noticing_memory
from genbench.speed.power import PowerLog
from genbench.speed.timing import Timing, timed

_BATCH = {"cuda": 32, "cpu": 2}  # where no paper says


@dataclass(frozen=True, kw_only=True)
class TrainingSpeed:
    """One form of a training step at one batch size. flops: of an image, forward and backward;
    rule: how they were counted; paper: whether the batch is the paper's a GPU."""

    form: TrainingForm
    timing: Timing
    flops: float
    rule: str
    memory: int
    paper: bool
    power: PowerLog = field(default_factory=PowerLog)


class TooSlowError(GenbenchError):
    """One step would take longer than the whole measurement. flops: of an image."""

    def __init__(self, text: str, flops: float) -> None:
        super().__init__(text)
        self.flops = flops


def training_forms(model: str, resolution: int) -> Sequence[TrainingForm]:
    """The forms of a family's training step; none for a family or a size without a recipe."""
    adapter = load_adapter_class(find_adapter(model))
    if not callable(getattr(adapter, "training_step", None)):
        return []
    return cast(TimedTraining, adapter).training_forms(resolution)


def paper_batch(form: TrainingForm) -> int | None:
    """Images a GPU in ADM's Table 7; None for a network or a form that is not in it."""
    for row in adm_table7():
        if row.network == form.network and form.name in ("naive", "optimised"):
            return (row.naive if form.name == "naive" else row.optimised).batch
    return None


def measure_training(
    model: str, form: TrainingForm, batch: int, lab: Laboratory, precision: Precision,
    reporter: Reporter, *, compiles: bool = False,
) -> TrainingSpeed:  # fmt: skip
    """Time one form. batch: 0 for the paper's, or a usual one.

    Raises TooSlowError for a step that would take longer than the measurement, GenbenchError when
    it does not fit into memory.
    """
    published = paper_batch(form)
    if not batch:
        usual = _BATCH.get(lab.device.type, 2)
        batch = published if published and lab.device.type == "cuda" else usual
    flops, rule = _forward_flops(model, form)
    if flops:
        _refuse_slow(form, flops, flops * batch / lab.matmul(precision), lab)
    adapter = cast(TimedTraining, load_adapter_class(find_adapter(model)))
    run = TrainRun(
        config=Path(), data="synthetic", out=Path(), world=World(), device=lab.device,
        reporter=reporter,
    )  # fmt: skip
    lab.memory.reset()
    power = PowerLog()
    try:
        with noticing_memory():
            setting = StepSetting(run=run, batch=batch, dtype=precision.dtype, compile=compiles)
            step = adapter.training_step(form, setting)
            if not flops and not compiles:
                flops, rule = flops_of(lambda: step(0)) / batch, "counted in one whole step"
            timing = timed(lab.stopwatch, step, batch, lab.effort(trials=3), watch=lab.watch(power))
    except OutOfMemoryAt as error:
        smaller = f"pass --batch {batch // 2}" if batch > 1 else "choose a smaller --res"
        raise GenbenchError(
            f"training {form.network} ran out of memory at batch {batch}: {smaller}"
        ) from error
    return TrainingSpeed(
        form=form, timing=timing, flops=flops, rule=rule, memory=lab.memory.peak(),
        paper=batch == published, power=power,
    )  # fmt: skip


def _forward_flops(model: str, form: TrainingForm) -> tuple[float, str]:
    """Forward FLOPs times the passes of ADM's Table 7, for the networks in it; 0 for others."""
    if paper_batch(form) is None:
        return 0.0, "not counted: the step is compiled"
    passes = training_passes()
    return float(passes * network_flops(model, form.network)), f"{passes} x the forward pass"


def _refuse_slow(form: TrainingForm, flops: float, seconds: float, lab: Laboratory) -> None:
    """Raises TooSlowError when a step at the rate of a large product outlasts the measurement."""
    if seconds > lab.patience:
        raise TooSlowError(
            f"training {form.network} ({form.name}) is not measured: a step takes at least "
            f"{seconds:.0f} s on this device; pass --seconds {math.ceil(seconds)} to wait for it, "
            "or a smaller --batch",
            flops,
        )
