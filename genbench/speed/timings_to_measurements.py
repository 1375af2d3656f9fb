"""Timings to records: rate, latency, memory, and every trial, with what decides them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal

from genbench.models.optional import TrainingForm
from genbench.records.kinds import (
    PowerFacts,
    SpeedRecord,
    SweepFacts,
    SweptBatch,
    TargetFacts,
    TimingFacts,
    TrainingFacts,
    WarmUpFacts,
    WorkFacts,
)
from genbench.records.measurement import Subject
from genbench.records.provenance import describe_environment
from genbench.runtime.arithmetic import Arithmetic
from genbench.runtime.digests import canonical_digest
from genbench.speed.batch_sweep import BatchSweep
from genbench.speed.datasheets import Gpu
from genbench.speed.flops import CONVENTION
from genbench.speed.instruments import Laboratory
from genbench.speed.power import PowerLog, gpu_facts, warnings_of
from genbench.speed.sampling import ImageCost, SamplingSpeed
from genbench.speed.target_gpu import TargetRate, second_of, short_name
from genbench.speed.timing import INTERVAL, Timing
from genbench.speed.training import TrainingSpeed

PROTOCOL = "speed"
# What is timed: the digest that two rates must share to be compared. Raise the number with it.
METHOD = {
    "version": 1,
    "sample": "sample numbers to uint8 images on the device: labels, noise, every network call, "
    "guidance, rounding; not loading, warming up, compiling, copying to the host",
    "train": "one optimiser step on synthetic uint8 images on the device: noise, forward, "
    "backward, optimiser, moving average; not loading data",
    "rate": "images / wall clock between two synchronisations, after warming up",
    "caches": "warm",
}


def speed_template(lab: Laboratory, arithmetic: Arithmetic, name: str = "") -> SpeedRecord:
    """A record without a number: what all figures of one run have in common. Call it while the
    arithmetic is pinned."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else ()
    environment = describe_environment(lab.device)
    return SpeedRecord(
        model="", resolution=0, metric="", value=0.0, unit="", samples=0,
        protocol=PROTOCOL, protocol_digest=canonical_digest(METHOD)[:16],
        run=uuid.uuid4().hex[:12],
        environment=replace(
            environment, gpu=gpu_facts(lab.device, lab.monitor), load_average=tuple(load)
        ),
        arithmetic=arithmetic.name,
        gpu=lab.gpu.name if lab.gpu else "",
        clock=lab.stopwatch.clock,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        name=name,
    )  # fmt: skip


def of_subject(template: SpeedRecord, subject: Subject) -> SpeedRecord:
    """The template with the model that is measured; the arithmetic stays the run's."""
    told = {item.name: getattr(subject, item.name) for item in fields(Subject)}
    return replace(template, **told | {"arithmetic": template.arithmetic})


def sampling_records(
    template: SpeedRecord, speed: SamplingSpeed, lab: Laboratory, arithmetic: Arithmetic
) -> list[SpeedRecord]:
    """Rate, latency at batch 1, and peak memory of one model at one batch size."""
    timing = speed.timing
    warned = (*_warnings(timing, speed.power, lab), *_of_breaks(speed.breaks))
    base = replace(template, notes=(*template.notes, *warned), compiled=speed.compiled)
    rate = replace(
        rate_record(base, "throughput", timing),
        mode="sample",
        evaluations=speed.cost.evaluations,
        host_copy_seconds=speed.copy,
        **flops_facts(speed.cost),
        work=work_facts(timing.rate, speed.cost.flops, lab, arithmetic),
        batch_rule="smallest within 1% of the best of a sweep" if speed.sweep else "given",
        sweep=_sweep_facts(speed.sweep, speed.cost.evaluations),
        power=_power_facts(speed.power, timing),
    )
    middle = sorted(speed.latency)[len(speed.latency) // 2]
    return [
        rate,
        replace(
            base, metric="latency", value=middle, unit="s", samples=len(speed.latency),
            trials=speed.latency, batch=1, statistic="median",
        ),
        replace(
            base, metric="peak_memory", value=float(speed.memory), unit="bytes",
            samples=timing.batch, batch=timing.batch,
        ),
    ]  # fmt: skip


def flops_facts(cost: ImageCost) -> dict[str, Any]:
    """What a record says of the work of an image, as run and as published."""
    folded = cost.published != cost.flops
    return {
        "flops_per_image": cost.flops or None,
        "published_flops_per_image": cost.published if folded else None,
    }


def training_records(
    template: SpeedRecord, speed: TrainingSpeed, lab: Laboratory, arithmetic: Arithmetic
) -> list[SpeedRecord]:
    """Rate and peak memory of one form of a training step."""
    timing = speed.timing
    base = replace(
        template, notes=(*template.notes, *_warnings(timing, speed.power, lab)),
        training=training_facts(speed.form, speed=speed),
    )  # fmt: skip
    rate = replace(
        rate_record(base, "training_throughput", timing),
        mode="train",
        flops_per_image=speed.flops or None,
        work=work_facts(timing.rate, speed.flops, lab, arithmetic),
        power=_power_facts(speed.power, timing),
    )
    memory = replace(
        base, metric="peak_memory", value=float(speed.memory), unit="bytes",
        samples=timing.batch, batch=timing.batch,
    )  # fmt: skip
    return [rate, memory]


def training_facts(form: TrainingForm, *, speed: TrainingSpeed | None = None) -> TrainingFacts:
    """Which network a training record is about, and how its step was implemented and counted."""
    return TrainingFacts(
        network=form.network,
        form=form.name,
        implementation=form.note,
        published_batch=speed.published_batch if speed else None,
        flops_rule=speed.rule if speed else "",
    )


def rate_record(template: SpeedRecord, metric: str, timing: Timing) -> SpeedRecord:
    """Images a second of this device, with its interval and every trial."""
    low, high = timing.interval()
    return replace(
        template, metric=metric, value=timing.rate, unit="images/s", samples=timing.images,
        low=low, high=high, interval=INTERVAL, trials=timing.trials, batch=timing.batch,
        timing=timing_facts(timing),
    )  # fmt: skip


def target_record(template: SpeedRecord, rate: TargetRate, target: Gpu) -> SpeedRecord:
    """A rate of the target GPU under the name of its tier: only a measured one is called
    throughput_v100 (or training_throughput_v100), so that no table can take another for it."""
    name = f"{'training_' * (template.mode == 'train')}throughput_{short_name(target)}"
    return replace(
        template,
        metric=name if rate.tier == "measured" else f"{name}_{rate.tier}",
        value=rate.value,
        unit=f"images/{second_of(target)}-second",
        low=rate.low,
        high=rate.high,
        interval=rate.how if rate.tier == "projected" else "",
        samples=0,
        trials=(),
        tier=rate.tier,
        target=TargetFacts(gpu=target.name, how=rate.how),
        # The measurement behind it has records of its own.
        clock="", timing=None, work=None, sweep=None, power=None, batch_rule="",
        evaluations=None, compiled=None, host_copy_seconds=None,
    )  # fmt: skip


def timing_facts(timing: Timing) -> TimingFacts:
    """What a window says beside its trials."""
    return TimingFacts(
        calls=len(timing.trials),
        wall_seconds=timing.wall,
        processor_seconds=timing.cpu,
        median_seconds=timing.median,
        iqr_seconds=timing.spread,
        busy=timing.busy,
        host_bound=timing.host_bound,
        warm_up=WarmUpFacts(**asdict(timing.warm)),
    )


def work_facts(
    rate: float, flops: float, lab: Laboratory, arithmetic: Arithmetic
) -> WorkFacts | None:
    """FLOP/s reached, and the shares of the datasheet and of a large product; None for a model
    without a product to count."""
    if not flops:
        return None
    reached = rate * flops
    peak = lab.gpu.peak(arithmetic.name) if lab.gpu else None
    product = lab.matmul(arithmetic)
    return WorkFacts(
        convention=CONVENTION,
        achieved_flops=reached,
        datasheet_flops=peak,
        utilisation_datasheet=reached / peak if peak else None,
        matmul_flops=product,
        utilisation_matmul=reached / product,
    )


def _sweep_facts(swept: BatchSweep | None, evaluations: int) -> SweepFacts | None:
    if swept is None:
        return None
    return SweepFacts(
        points=tuple(SweptBatch(point.batch, point.rate, point.memory) for point in swept.points),
        ended=swept.ended,
        of="single evaluations" if evaluations > 1 else "whole calls",
    )


def _power_facts(log: PowerLog, timing: Timing) -> PowerFacts | None:
    watts, joules = log.mean_watts, log.energy
    lists: tuple[list[Any], ...] = (log.power, log.sm_clock, log.memory_clock, log.temperature)
    seen = max(len(readings) for readings in lists)
    if not seen and joules is None:
        return None
    source: Literal["mean power", "energy counter"] | None = "energy counter"
    if joules is None:
        source = None if watts is None else "mean power"
        joules = None if watts is None else watts * timing.wall
    return PowerFacts(
        samples=seen,
        mean_watts=watts,
        sm_clock_mhz=(min(log.sm_clock), max(log.sm_clock)) if log.sm_clock else None,
        memory_clock_mhz=max(log.memory_clock, default=None),
        temperature_c=max(log.temperature, default=None),
        power_capped=log.capped,
        throttled=log.throttled,
        energy_joules=log.energy,
        joules_per_image=None if joules is None else joules / timing.images,
        energy_from=source,
    )


def _warnings(timing: Timing, log: PowerLog, lab: Laboratory) -> Sequence[str]:
    others = lab.monitor.other_processes() if lab.monitor else 0
    facts = gpu_facts(lab.device, None)
    unseen = facts is not None and lab.monitor is None
    found = list(warnings_of(log, others, facts.alike if facts else 1, unseen=unseen))
    if not timing.warm.steady:
        found.append("times were not steady when the measurement began")
    if timing.host_bound:
        found.append("the device waited for the host: a larger batch, or --compile, may be faster")
    if lab.device.type == "cpu" and timing.cpu < 0.9 * timing.wall:
        found.append(
            f"this process had a processor for {timing.cpu / timing.wall:.0%} of the time: the "
            "machine was busy"
        )
    return found


def _of_breaks(breaks: Mapping[str, int]) -> tuple[str, ...]:
    if not breaks:
        return ()
    return (
        f"compiled in pieces: torch.compile left its graph {sum(breaks.values())} times, first at: "
        f"{next(iter(breaks))}",
    )
