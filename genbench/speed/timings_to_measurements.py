"""Speeds to measurements: rate, latency, memory, and every trial, with what decides them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from genbench.models.optional import TrainingForm
from genbench.records.measurement import Measurement
from genbench.records.provenance import describe_environment
from genbench.runtime.digests import canonical_digest
from genbench.speed.datasheets import Gpu
from genbench.speed.flops import CONVENTION
from genbench.speed.instruments import Laboratory, Precision
from genbench.speed.power import PowerLog, gpu_facts, warnings_of
from genbench.speed.sampling import SamplingSpeed
from genbench.speed.target_gpu import TargetRate, second_of, short_name
from genbench.speed.timing import INTERVAL, Timing
from genbench.speed.training import TrainingSpeed

PROTOCOL = "speed"
# What the row of a target GPU tells of the measurement behind it.
_TOLD = ("precision", "gpu", "mode", "batch", "flops_per_image", "network", "form")
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


def speed_template(lab: Laboratory, precision: Precision) -> Measurement:
    """A measurement without a number: what all figures of one run have in common."""
    facts = gpu_facts(lab.device, lab.monitor)
    load = list(os.getloadavg()) if hasattr(os, "getloadavg") else []
    return Measurement(
        model="", resolution=0, metric="", value=0.0, unit="", samples=0, detector="",
        protocol=PROTOCOL, protocol_digest=canonical_digest(METHOD)[:16], checkpoint="", seed=None,
        run=uuid.uuid4().hex[:12],
        environment={**describe_environment(lab.device), "gpu": facts, "load_average": load},
        settings={
            "precision": precision.name,
            "gpu": lab.gpu.name if lab.gpu else "",
            "clock": lab.stopwatch.clock,
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def sampling_records(
    template: Measurement, speed: SamplingSpeed, lab: Laboratory, precision: Precision
) -> list[Measurement]:
    """Rate, latency at batch 1, and peak memory of one model at one batch size."""
    timing = speed.timing
    base = replace(template, notes=(*template.notes, *_warnings(timing, speed.power, lab)))
    settings = {
        **base.settings,
        "tier": "measured",
        "mode": "sample",
        "evaluations": speed.cost.evaluations,
        "compile": speed.compiled,
        "host_copy_seconds": speed.copy,
        **timing_settings(timing),
        **work_settings(timing.rate, speed.cost.flops, lab, precision),
        **_sweep_settings(speed),
        **_power_settings(speed.power, timing),
    }
    rate = rate_record(replace(base, settings=settings), "throughput", timing)
    middle = sorted(speed.latency)[len(speed.latency) // 2]
    plain = {key: base.settings[key] for key in base.settings} | {"tier": "measured"}
    return [
        rate,
        replace(
            base, metric="latency", value=middle, unit="s", samples=len(speed.latency),
            trials=speed.latency, settings={**plain, "batch": 1, "statistic": "median"},
        ),
        replace(
            base, metric="peak_memory", value=float(speed.memory), unit="bytes",
            samples=timing.batch, settings={**plain, "batch": timing.batch},
        ),
    ]  # fmt: skip


def training_records(
    template: Measurement, speed: TrainingSpeed, lab: Laboratory, precision: Precision
) -> list[Measurement]:
    """Rate and peak memory of one form of a training step."""
    timing, form = speed.timing, speed.form
    base = replace(
        template, notes=(*template.notes, *_warnings(timing, speed.power, lab)),
        settings={**template.settings, **form_settings(form), "tier": "measured"},
    )  # fmt: skip
    settings = {
        **base.settings,
        "mode": "train",
        "paper_batch": speed.paper,
        "flops_rule": speed.rule,
        **timing_settings(timing),
        **work_settings(timing.rate, speed.flops, lab, precision),
        **_power_settings(speed.power, timing),
    }
    memory = {**base.settings, "batch": timing.batch}
    return [
        rate_record(replace(base, settings=settings), "training_throughput", timing),
        replace(base, metric="peak_memory", value=float(speed.memory), unit="bytes",
                samples=timing.batch, settings=memory),
    ]  # fmt: skip


def form_settings(form: TrainingForm) -> dict[str, str]:
    """Which network a training record is about, and how its step was implemented."""
    return {"network": form.network, "form": form.name, "implementation": form.note}


def rate_record(template: Measurement, metric: str, timing: Timing) -> Measurement:
    """Images a second of this device, with its interval and every trial."""
    low, high = timing.interval()
    return replace(
        template, metric=metric, value=timing.rate, unit="images/s", samples=timing.images,
        low=low, high=high, interval=INTERVAL, trials=timing.trials,
    )  # fmt: skip


def target_record(template: Measurement, rate: TargetRate, target: Gpu) -> Measurement:
    """A rate of the target GPU under the name of its tier: only a measured one is called
    throughput_v100 (or training_throughput_v100), so that no table can take another for it."""
    training = template.settings.get("mode") == "train"
    name = f"{'training_' * training}throughput_{short_name(target)}"
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
        settings={
            **{key: template.settings[key] for key in _TOLD
               if key in template.settings},
            "tier": rate.tier, "target": target.name, "how": rate.how,
        },
    )  # fmt: skip


def timing_settings(timing: Timing) -> dict[str, Any]:
    """What a window says beside its trials."""
    return {
        "batch": timing.batch,
        "calls": len(timing.trials),
        "wall_seconds": timing.wall,
        "processor_seconds": timing.cpu,
        "median_seconds": timing.median,
        "iqr_seconds": timing.spread,
        "busy": timing.busy,
        "host_bound": timing.host_bound,
        "warm_up": asdict(timing.warm),
    }


def work_settings(
    rate: float, flops: float, lab: Laboratory, precision: Precision
) -> dict[str, Any]:
    """FLOPs of an image, FLOP/s reached, and the shares of the datasheet and of a large product;
    nothing for a model without a product to count."""
    if not flops:
        return {}
    reached = rate * flops
    peak = lab.gpu.peak(precision.name) if lab.gpu else None
    product = lab.matmul(precision)
    return {
        "flops_per_image": flops,
        "flops_convention": CONVENTION,
        "achieved_flops": reached,
        "datasheet_flops": peak,
        "utilisation_datasheet": reached / peak if peak else None,
        "matmul_flops": product,
        "utilisation_matmul": reached / product,
    }


def _sweep_settings(speed: SamplingSpeed) -> Mapping[str, Any]:
    if speed.sweep is None:
        return {"batch_rule": "given"}
    return {
        "batch_rule": "smallest within 1% of the best of a sweep",
        "sweep": [[point.batch, point.rate, point.memory] for point in speed.sweep.points],
        "sweep_ended": speed.sweep.ended,
        "sweep_of": "single evaluations" if speed.cost.evaluations > 1 else "whole calls",
    }


def _power_settings(log: PowerLog, timing: Timing) -> Mapping[str, Any]:
    summary = log.summary()
    if not summary:
        return {}
    joules = summary["mean_watts"] * timing.wall if log.energy is None else log.energy
    return {
        "power": summary,
        "joules_per_image": joules / timing.images,
        "energy_from": "mean power" if log.energy is None else "energy counter",
    }


def _warnings(timing: Timing, log: PowerLog, lab: Laboratory) -> Sequence[str]:
    others = lab.monitor.other_processes() if lab.monitor else 0
    alike = int(gpu_facts(lab.device, None).get("alike", 1))
    found = list(warnings_of(log, others, alike))
    if not timing.warm.steady:
        found.append("times were not steady when the measurement began")
    if timing.host_bound:
        found.append("the device waited for the host between calls: a larger batch may be faster")
    if lab.device.type == "cpu" and timing.cpu < 0.9 * timing.wall:
        found.append(
            f"this process had a processor for {timing.cpu / timing.wall:.0%} of the time: the "
            "machine was busy"
        )
    return found
