"""How fast a model trains: whole optimiser steps on synthetic images that lie on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genbench.errors import GenbenchError, UsageError
from genbench.models.contract import Adapter
from genbench.models.optional import (
    CountableNetworks,
    StepSetting,
    TimedTraining,
    TrainingForm,
    TrainRun,
)
from genbench.runtime.arithmetic import Arithmetic
from genbench.runtime.distributed import World
from genbench.runtime.progress import Reporter
from genbench.speed.flops import flops_of, network_flops
from genbench.speed.instruments import Laboratory
from genbench.speed.memory import refusing_memory
from genbench.speed.power import PowerLog
from genbench.speed.timing import Timing, timed

_BATCH = {"cuda": 32, "cpu": 2}  # where no paper says


@dataclass(frozen=True, kw_only=True)
class TrainingSpeed:
    """One form of a training step at one batch size. flops: of an image, forward and backward;
    rule: how they were counted; published_batch: whether the batch is the paper's a GPU."""

    form: TrainingForm
    timing: Timing
    flops: float
    rule: str
    memory: int
    published_batch: bool
    power: PowerLog = field(default_factory=PowerLog)


class TooSlowError(GenbenchError):
    """One step would take longer than the whole measurement. flops: of an image."""

    def __init__(self, text: str, flops: float) -> None:
        super().__init__(text)
        self.flops = flops


def training_forms(adapter: Adapter, resolution: int) -> Sequence[TrainingForm]:
    """The forms of a family's training step; none for a family or a size without a recipe."""
    return adapter.training_forms(resolution) if isinstance(adapter, TimedTraining) else []


def measure_training(
    adapter: Adapter, form: TrainingForm, batch: int, lab: Laboratory, arithmetic: Arithmetic,
    reporter: Reporter, *, compiles: bool = False,
) -> TrainingSpeed:  # fmt: skip
    """Time one form. batch: 0 for the published one, or a usual one.

    Raises TooSlowError for a step that would take longer than the measurement, GenbenchError when
    it does not fit into memory, UsageError for a family without a training step.
    """
    if not isinstance(adapter, TimedTraining):
        raise UsageError(f"{form.network} brings no training step")
    if not batch:
        usual = _BATCH.get(lab.device.type, 2)
        batch = form.published_batch if lab.device.type == "cuda" else usual
        batch = batch or usual
    flops, rule = _forward_flops(adapter, form)
    if flops:
        _refuse_slow(form, flops, flops * batch / lab.matmul(arithmetic), lab)
    run = TrainRun(
        config=Path(), data="synthetic", out=Path(), world=World(), device=lab.device,
        reporter=reporter,
    )  # fmt: skip
    lab.memory.reset()
    power = PowerLog()
    smaller = f"pass --batch {batch // 2}" if batch > 1 else "choose a smaller --res"
    with refusing_memory(f"training {form.network} ran out of memory at batch {batch}", smaller):
        setting = StepSetting(run=run, batch=batch, dtype=arithmetic.dtype, compile=compiles)
        step = adapter.training_step(form, setting)
        if not flops and not compiles:
            flops, rule = flops_of(lambda: step(0)) / batch, "counted in one whole step"
        timing = timed(lab.stopwatch, step, batch, lab.effort(trials=3), watch=lab.watch(power))
    return TrainingSpeed(
        form=form, timing=timing, flops=flops, rule=rule, memory=lab.memory.peak(),
        published_batch=batch == form.published_batch, power=power,
    )  # fmt: skip


def _forward_flops(adapter: Adapter, form: TrainingForm) -> tuple[float, str]:
    """Forward FLOPs times the passes that a step counts for; 0 where the form does not say."""
    if not form.passes or not isinstance(adapter, CountableNetworks):
        return 0.0, "not counted: the step is compiled"
    flops = form.passes * network_flops(adapter, form.network)
    return float(flops), f"{form.passes} x the forward pass"


def _refuse_slow(form: TrainingForm, flops: float, seconds: float, lab: Laboratory) -> None:
    """Raises TooSlowError when a step at the rate of a large product outlasts the measurement."""
    if seconds > lab.patience:
        raise TooSlowError(
            f"training {form.network} ({form.name}) is not measured: a step takes at least "
            f"{seconds:.0f} s on this device; pass --seconds {math.ceil(seconds)} to wait for it, "
            "or a smaller --batch",
            flops,
        )
