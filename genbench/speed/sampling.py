"""How fast a model draws: whole sampler calls, from sample numbers to uint8 on the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from genbench.errors import UsageError
from genbench.models.compiling import compile_networks, forget_programs, graph_breaks
from genbench.models.optional import Compilable, Evaluation
from genbench.models.source import ModelSource
from genbench.runtime.out_of_memory import unfragmented
from genbench.runtime.progress import Reporter
from genbench.speed.batch_sweep import BatchSweep, Point, sweep
from genbench.speed.flops import evaluations_of, sampling_flops
from genbench.speed.instruments import Laboratory
from genbench.speed.memory import noticing_memory, refusing_memory
from genbench.speed.power import PowerLog
from genbench.speed.stopwatches import Work
from genbench.speed.timing import Effort, Timing, WarmUp, latency, timed, warm_up_by_parts

_TRIALS, _FEWEST = 5, 3  # trials at least, and of a long trajectory


@dataclass(frozen=True, kw_only=True)
class ImageCost:
    """What one image costs. flops: as the network is run; published: as it was published. seconds:
    of one call at batch 1, from one of each evaluation."""

    flops: int
    published: int
    evaluations: int  # network calls
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SamplingSpeed:
    """One model measured at one batch size. memory: bytes at the peak; copy: seconds that a batch
    takes to host memory, None where it is there already; breaks: where torch.compile left its
    graphs, by reason."""

    timing: Timing
    cost: ImageCost
    latency: tuple[float, ...]
    memory: int
    copy: float | None
    sweep: BatchSweep | None
    compiled: bool
    breaks: Mapping[str, int] = field(default_factory=dict)
    power: PowerLog = field(default_factory=PowerLog)


def cost_of_an_image(
    source: ModelSource, lab: Laboratory, published: ModelSource | None = None
) -> ImageCost:
    """FLOPs of one image, counted while each kind of evaluation is made once, and an estimate of
    the time from making each once more. Raises GenbenchError when there is no memory for it.

    published: the same model as published, with any weights; None: it is run as it was.
    """
    what = f"model {source.name} does not fit the memory of {lab.device} even at batch 1"
    remedy = "use a smaller --res, a half precision --dtype, or another device"
    with refusing_memory(what, remedy):
        evaluations = _evaluations(source)
        flops = sampling_flops(evaluations)
        return ImageCost(
            flops=flops,
            published=sampling_flops(_evaluations(published)) if published else flops,
            evaluations=sum(times for _, times in evaluations),
            seconds=_estimate(evaluations, lab),
        )


def _evaluations(source: ModelSource) -> Sequence[Evaluation]:
    return evaluations_of(source.generator, source.labels(0, 1), source.noise(0, 1))


@torch.inference_mode()
def _estimate(evaluations: Sequence[Evaluation], lab: Laboratory) -> float:
    return sum(
        times * lab.stopwatch.window(lambda _, call=call: call(), 0, 1).wall  # type: ignore[misc]
        for call, times in evaluations
    )


def measure_sampling(
    source: ModelSource,
    cost: ImageCost,
    lab: Laboratory,
    reporter: Reporter,
    *,
    batches: Sequence[int] = (),
    compiles: bool = False,
) -> Iterator[SamplingSpeed]:
    """Measure at each of `batches`, or without any at the one a sweep finds best.

    The sweep runs eagerly, since every size would be compiled anew; what is measured then is
    compiled for its own size, and stays so until the next is asked for. Raises GenbenchError when
    not even one image fits into memory, UsageError for a model that cannot be compiled.
    """
    if compiles and not isinstance(source.generator, Compilable):
        raise UsageError(f"model {source.name} has nothing to compile: leave out --compile")
    found = None
    if not batches:
        with reporter.task(f"{source.name}: batch sizes", 1) as advance:
            found = _swept(source, cost, lab)
            advance(1)
        batches = (found.batch,)
    if compiles:
        compile_networks(source.generator, source.name, source.device)
    with reporter.task(f"{source.name}: latency", 1) as advance:
        alone = latency(lab.stopwatch, _work(source, 1), lab.effort(0.2, trials=_FEWEST))
        advance(1)
    for batch in batches:
        if compiles:
            forget_programs()
        before = graph_breaks()
        with reporter.task(f"{source.name}: batch {batch}", 1) as advance:
            speed = _measured(source, cost, lab, batch, alone, found, compiles)
            advance(1)
        yield replace(speed, breaks=graph_breaks() - before if compiles else {})


def _work(source: ModelSource, batch: int) -> Work:
    """Call number k draws samples k * batch …: fresh noise and labels for every call."""
    return lambda number: source.draw(number * batch, (number + 1) * batch)


def _swept(source: ModelSource, cost: ImageCost, lab: Laboratory) -> BatchSweep:
    """Quick looks at growing batches, within three times the seconds of the measurement itself; of
    a long trajectory at one of its steps."""
    spent = 0.0
    effort = lab.effort(0.1, trials=2)

    @torch.inference_mode()
    def point(batch: int) -> Point:
        nonlocal spent
        lab.memory.reset()
        seconds = 0.0
        with noticing_memory():
            for work, times in _parts(source, cost, batch):
                timing = timed(lab.stopwatch, work, batch, effort)
                spent += timing.wall + timing.warm.seconds
                seconds += times * timing.wall / len(timing.trials)
        return Point(batch=batch, rate=batch / seconds, memory=lab.memory.peak())

    return sweep(
        point,
        longest=2 * lab.patience,
        room=lab.memory.room,
        time_left=lambda: 3 * lab.patience - spent,
    )


def _parts(source: ModelSource, cost: ImageCost, batch: int) -> list[tuple[Work, int]]:
    """What a call at a batch size consists of: itself, or the evaluations it repeats."""
    if cost.evaluations == 1:
        return [(_work(source, batch), 1)]
    labels, noise = source.labels(0, batch), source.noise(0, batch)
    evaluations = evaluations_of(source.generator, labels, noise)
    return [(lambda _, call=call: call(), times) for call, times in evaluations]  # type: ignore[misc]


def _measured(
    source: ModelSource, cost: ImageCost, lab: Laboratory, batch: int, alone: tuple[float, ...],
    found: BatchSweep | None, compiled: bool,
) -> SamplingSpeed:  # fmt: skip
    lab.memory.reset()
    power = PowerLog()
    smaller = f"pass --batch {batch // 2}" if batch > 1 else "use a smaller --res"
    smaller += unfragmented(lab.device)
    with refusing_memory(f"model {source.name} ran out of memory at batch {batch}", smaller):
        effort = lab.effort(trials=_FEWEST if cost.seconds > lab.seconds / 5 else _TRIALS)
        work = _work(source, batch)
        warm = _warmed(source, cost, lab, batch, effort, compiled)
        timing = timed(lab.stopwatch, work, batch, effort, watch=lab.watch(power), warm=warm)
        source.check_drawn()
        timing = replace(timing, device=_device_seconds(source, cost, lab, batch))
    return SamplingSpeed(
        timing=timing,
        cost=cost,
        latency=alone,
        memory=lab.memory.peak(),
        copy=_copy_seconds(source, batch, lab),
        sweep=found,
        compiled=compiled,
        power=power,
    )


@torch.inference_mode()
def _device_seconds(
    source: ModelSource, cost: ImageCost, lab: Laboratory, batch: int
) -> float | None:
    """Seconds of one call in which the device computed, from one of each evaluation."""
    total = 0.0
    for work, times in _parts(source, cost, batch):
        seconds = lab.stopwatch.device_seconds(work, 0)
        if seconds is None:
            return None
        total += times * seconds
    return total


@torch.inference_mode()
def _warmed(
    source: ModelSource, cost: ImageCost, lab: Laboratory, batch: int, effort: Effort,
    compiled: bool,
) -> WarmUp | None:  # fmt: skip
    """The warm-up of a long trajectory by its single evaluations, where a whole call would take
    longer than warming up may; else None. Of compiled networks one whole call is made all the same:
    what it hands them may differ from what the evaluations do, and is compiled anew then."""
    if cost.evaluations == 1:
        return None
    warm = warm_up_by_parts(lab.stopwatch, _parts(source, cost, batch), effort)
    if warm.typical <= effort.longest_warm_up:
        return None
    if compiled:
        first = lab.stopwatch.window(_work(source, batch), 0, 1).wall
        warm = replace(warm, calls=1, first=warm.first + first)
    return warm


def _copy_seconds(source: ModelSource, batch: int, lab: Laboratory) -> float | None:
    """Median seconds of one batch's copy to pinned host memory, waited for."""
    if lab.device.type != "cuda":
        return None
    shape = (batch, 3, source.card.resolution, source.card.resolution)
    images = torch.zeros(shape, dtype=torch.uint8, device=lab.device)
    host = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
    return timed(lab.stopwatch, lambda _: host.copy_(images), batch, lab.effort(0.02)).median
