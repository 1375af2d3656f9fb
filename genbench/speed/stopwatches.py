"""Stopwatches: calls timed on a device, behind one protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch.profiler import DeviceType

Work = Callable[[int], object]  # the number of the call: fresh noise and labels each time
Now = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Calls made one after the other. seconds: of each; wall: of all of them by the host's clock,
    between two synchronisations; cpu: processor seconds of this process meanwhile."""

    seconds: tuple[float, ...]
    wall: float
    cpu: float


class Stopwatch(Protocol):
    """Times calls on one device."""

    clock: str

    def window(self, work: Work, first: int, count: int) -> Window:
        """Make calls first … first + count - 1, waiting for the device only at the end."""
        ...

    def device_seconds(self, work: Work, number: int) -> float | None:
        """Seconds of one call in which the device computed, gaps left out; None for a CPU, which
        is host and device."""
        ...


class HostStopwatch:
    """For a CPU, where a call that has returned is done: the host's monotonic clock."""

    clock = "monotonic host clock"

    def __init__(self, now: Now = time.perf_counter, cpu: Now = time.process_time) -> None:
        self._now, self._cpu = now, cpu

    def window(self, work: Work, first: int, count: int) -> Window:
        """Each call timed by the clock around it."""
        seconds = []
        begin, cpu = self._now(), self._cpu()
        for number in range(first, first + count):
            start = self._now()
            work(number)
            seconds.append(self._now() - start)
        return Window(seconds=tuple(seconds), wall=self._now() - begin, cpu=self._cpu() - cpu)

    def device_seconds(self, work: Work, number: int) -> float | None:
        """Nobody waits for anybody."""
        return None


class Event(Protocol):
    """What the stopwatch asks of torch.cuda.Event."""

    def record(self) -> None:
        """Mark this point of the current stream."""
        ...

    def elapsed_time(self, end_event: Event, /) -> float:
        """Milliseconds to a later, finished event."""
        ...


class EventStopwatch:
    """For a GPU: a pair of events around every call on the current stream, one wait at the end."""

    clock = "CUDA events, wall clock between synchronisations"

    def __init__(
        self,
        new_event: Callable[[], Event],
        synchronise: Callable[[], object],
        now: Now = time.perf_counter,
        cpu: Now = time.process_time,
        profiled: Callable[[Callable[[], object]], float] | None = None,
    ) -> None:
        self._event, self._synchronise, self._now, self._cpu = new_event, synchronise, now, cpu
        self._profiled = profiled or _kernel_seconds

    def window(self, work: Work, first: int, count: int) -> Window:
        """Each call timed by the device, all of them by the host."""
        pairs = []
        self._synchronise()
        begin, cpu = self._now(), self._cpu()
        for number in range(first, first + count):
            start, end = self._event(), self._event()
            start.record()
            work(number)
            end.record()
            pairs.append((start, end))
        self._synchronise()
        wall, used = self._now() - begin, self._cpu() - cpu
        seconds = tuple(start.elapsed_time(end) / 1000 for start, end in pairs)
        return Window(seconds=seconds, wall=wall, cpu=used)

    def device_seconds(self, work: Work, number: int) -> float | None:
        """Of its kernels and copies, by a profiler: events around a call cannot see the gaps of one
        whose kernels are shorter than their launching."""

        def call() -> None:
            work(number)
            self._synchronise()

        self._synchronise()
        return self._profiled(call)


def _kernel_seconds(call: Callable[[], object]) -> float:
    """Seconds of everything that torch's profiler sees on the GPU during a call."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        call()
    return _kernels_alone(profile.key_averages())


def _kernels_alone(averages: Iterable[Any]) -> float:
    """Seconds of kernels and copies. The operators that start them repeat their time, and so do
    regions that somebody named."""
    total: float = sum(
        event.self_device_time_total
        for event in averages
        if event.device_type != DeviceType.CPU and not event.is_user_annotation
    )
    return total / 1e6  # microseconds


def stopwatch_for(device: torch.device) -> Stopwatch:
    """The stopwatch of a device."""
    if device.type != "cuda":
        return HostStopwatch()
    event = partial(torch.cuda.Event, enable_timing=True)
    return EventStopwatch(cast(Callable[[], Event], event), partial(torch.cuda.synchronize, device))
