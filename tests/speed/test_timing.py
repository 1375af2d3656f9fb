"""Timing with clocks that the test moves: what is timed, what is kept, when a device is warm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from torch.profiler import DeviceType

from genbench.errors import GenbenchError
from genbench.speed.batch_sweep import Point, sweep
from genbench.speed.memory import OutOfMemoryAt
from genbench.speed.stopwatches import (
    Event,
    EventStopwatch,
    HostStopwatch,
    _kernels_alone,
    stopwatch_for,
)
from genbench.speed.timing import Effort, Timing, WarmUp, latency, timed, warm_up


class Clock:
    """A clock that only the work moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class FakeDevice:
    """A GPU: work is queued at once and done later; an event is the time at which it is reached."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.free_at, self.waits = clock, 0.0, 0

    def launch(self, seconds: float) -> None:
        self.free_at = max(self.free_at, self.clock.now) + seconds

    def synchronise(self) -> None:
        self.waits += 1
        self.clock.now = max(self.clock.now, self.free_at)

    def event(self) -> FakeEvent:
        return FakeEvent(self)


@dataclass
class FakeEvent:
    device: FakeDevice
    at: float = 0.0

    def record(self) -> None:
        self.at = max(self.device.free_at, self.device.clock.now)

    def elapsed_time(self, end_event: Event, /) -> float:
        assert isinstance(end_event, FakeEvent)
        return (end_event.at - self.at) * 1000


EFFORT = Effort(seconds=2.0, trials=3, warm_seconds=0.5, drift=0.01)


def test_host_trials_are_each_call_and_the_wall_is_all_of_them() -> None:
    clock = Clock()
    lengths = [0.1, 0.2, 0.3]
    window = HostStopwatch(clock, clock).window(lambda k: clock.pass_(lengths[k]), 0, 3)
    assert window.seconds == pytest.approx(lengths)
    assert window.wall == pytest.approx(0.6)


def test_events_wait_once_for_the_whole_window() -> None:
    clock = Clock()
    gpu = FakeDevice(clock)
    watch = EventStopwatch(gpu.event, gpu.synchronise, clock, clock)
    window = watch.window(lambda k: gpu.launch(0.25), 0, 8)
    assert gpu.waits == 2  # before and after, never between
    assert window.seconds == pytest.approx([0.25] * 8)
    assert window.wall == pytest.approx(2.0)


def test_a_host_that_is_too_slow_is_seen() -> None:
    """Between calls the host is busy: the device's times say nothing of it, the wall does."""
    clock = Clock()
    gpu = FakeDevice(clock)
    stopwatch = EventStopwatch(gpu.event, gpu.synchronise, clock, clock)

    def slow_event() -> FakeEvent:
        clock.pass_(0.05)  # the host prepares the next call while the device idles
        return gpu.event()

    slow = EventStopwatch(slow_event, gpu.synchronise, clock, clock)
    prompt = timed(stopwatch, lambda k: gpu.launch(0.1), 4, EFFORT)

    def waited_for(number: int) -> None:
        gpu.launch(0.1)
        gpu.synchronise()

    late = timed(slow, waited_for, 4, EFFORT)
    assert not prompt.host_bound
    assert late.host_bound
    assert late.median == pytest.approx(0.1)
    assert late.rate < prompt.rate  # the rate is what a user gets, by the wall


def test_launches_that_take_longer_than_their_kernels_are_seen() -> None:
    """Inside the pair of events: the calls fill the wall clock, kernels a sixth of it."""
    clock = Clock()
    gpu = FakeDevice(clock)
    launched: list[float] = []

    def work(number: int) -> None:
        for _ in range(10):
            clock.pass_(0.05)
            gpu.launch(0.01)
            launched.append(0.01)

    def profiled(call: Callable[[], object]) -> float:
        launched.clear()
        call()
        return sum(launched)

    stopwatch = EventStopwatch(gpu.event, gpu.synchronise, clock, clock, profiled)
    timing = timed(stopwatch, work, 4, EFFORT)
    assert timing.busy == pytest.approx(1.0, abs=0.1)  # by the events
    told = replace(timing, device=stopwatch.device_seconds(work, 0))
    assert told.busy == pytest.approx(10 * 0.01 / 0.5, rel=0.05)
    assert told.host_bound


def test_warming_up_lasts_until_times_repeat_themselves() -> None:
    clock = Clock()
    lengths = iter([1.0, 0.5, 0.2, 0.11, 0.1, 0.1, 0.1, 9.9])
    warm = warm_up(
        HostStopwatch(clock, clock),
        lambda k: clock.pass_(next(lengths)),
        Effort(seconds=1, warm_seconds=1.0, steady=3, drift=0.01),
    )
    assert warm.steady
    assert warm.calls == 7
    assert warm.first == pytest.approx(1.0)  # the first call is told apart
    assert warm.typical == pytest.approx(0.1)


def test_warming_up_gives_up_on_a_device_that_never_settles() -> None:
    clock = Clock()
    warm = warm_up(
        HostStopwatch(clock, clock),
        lambda k: clock.pass_(0.1 * (1 + k % 2)),
        Effort(seconds=1, warm_seconds=1.0, drift=0.01),
    )
    assert not warm.steady
    assert warm.seconds == pytest.approx(3.0, abs=0.2)


def test_the_timed_window_holds_neither_set_up_nor_warming_up() -> None:
    """The first calls compile for ten seconds; the window must not know."""
    clock = Clock()
    watched = []

    @contextmanager
    def watch() -> Iterator[None]:
        watched.append(clock.now)
        yield
        watched.append(clock.now)

    def work(number: int) -> None:
        clock.pass_(10.0 if number == 0 else 0.1)

    clock.pass_(1000)  # loading
    timing = timed(HostStopwatch(clock, clock), work, 4, EFFORT, watch=watch())
    assert timing.warm.first == pytest.approx(10.0)
    assert max(timing.trials) == pytest.approx(0.1)
    assert timing.wall == pytest.approx(0.1 * len(timing.trials))
    assert watched[1] - watched[0] == pytest.approx(timing.wall)  # power is logged over it alone
    assert timing.rate == pytest.approx(40.0)


def test_every_call_has_its_own_number_and_all_trials_are_kept() -> None:
    clock = Clock()
    numbers: list[int] = []

    def work(number: int) -> None:
        numbers.append(number)
        clock.pass_(0.125)

    timing = timed(HostStopwatch(clock, clock), work, 2, EFFORT)
    assert numbers == list(range(len(numbers)))
    assert len(timing.trials) == len(numbers) - timing.warm.calls == 16  # 2 s of 0.125 s
    assert timing.images == 32


def test_at_least_the_asked_number_of_trials() -> None:
    clock = Clock()
    timing = timed(HostStopwatch(clock, clock), lambda k: clock.pass_(60.0), 1, EFFORT)
    assert len(timing.trials) == 3


def test_latency_waits_for_every_call() -> None:
    clock = Clock()
    gpu = FakeDevice(clock)
    watch = EventStopwatch(gpu.event, gpu.synchronise, clock, clock)

    def work(number: int) -> None:
        clock.pass_(0.02)  # launching
        gpu.launch(0.1)

    seconds = latency(watch, work, EFFORT)
    assert seconds == pytest.approx([0.12] * len(seconds))


def timing_of(trials: list[float], wall: float | None = None) -> Timing:
    warm = WarmUp(calls=1, seconds=1.0, first=1.0, typical=1.0, steady=True)
    wall = sum(trials) if wall is None else wall
    return Timing(batch=10, trials=tuple(trials), wall=wall, cpu=0.0, warm=warm)


def test_statistics_of_known_trials() -> None:
    timing = timing_of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert timing.median == 3.0
    assert timing.spread == pytest.approx(2.0)  # 4 - 2
    assert timing.rate == pytest.approx(50 / 15)
    low, high = timing.interval()
    assert low < timing.rate < high
    assert timing.interval() == (low, high)  # fixed random numbers


def test_equal_trials_have_an_interval_without_width() -> None:
    low, high = timing_of([0.5] * 16).interval()
    assert low == pytest.approx(20.0)
    assert high == pytest.approx(20.0)


def test_the_interval_counts_the_gaps_between_calls() -> None:
    low, high = timing_of([0.5] * 16, wall=16.0).interval()
    assert low == pytest.approx(10.0)
    assert high == pytest.approx(10.0)


def test_neighbours_that_are_alike_widen_the_interval() -> None:
    """A block bootstrap knows that 8 slow calls in a row are one event, not eight."""
    slow_half = timing_of([1.0] * 8 + [2.0] * 8)
    mixed = timing_of([1.0, 2.0] * 8)
    assert slow_half.rate == mixed.rate
    width = [high - low for low, high in (slow_half.interval(), mixed.interval())]
    assert width[0] > 1.5 * width[1]


class Device:
    """A device with a memory limit and a rate that saturates: seconds = fixed + batch * each."""

    def __init__(self, limit: int, fixed: float, each: float) -> None:
        self.limit, self.fixed, self.each = limit, fixed, each
        self.tried: list[int] = []

    def __call__(self, batch: int) -> Point:
        self.tried.append(batch)
        if batch > self.limit:
            raise OutOfMemoryAt
        seconds = self.fixed + batch * self.each
        return Point(batch=batch, rate=batch / seconds, memory=batch * 1000)


def test_the_sweep_survives_running_out_of_memory() -> None:
    device = Device(limit=20, fixed=1.0, each=0.01)
    found = sweep(device)
    assert device.tried == [1, 2, 4, 8, 16, 32]
    assert found.batch == 16
    assert found.ended == "out of memory at 32"
    assert [point.batch for point in found.points] == [1, 2, 4, 8, 16]


def test_the_sweep_stops_at_the_knee_and_takes_the_smallest_near_the_best() -> None:
    device = Device(limit=10**6, fixed=0.01, each=0.1)
    found = sweep(device)
    best = max(point.rate for point in found.points)
    chosen = next(point for point in found.points if point.batch == found.batch)
    smaller = [point for point in found.points if point.batch < found.batch]
    assert chosen.rate >= 0.99 * best
    assert all(point.rate < 0.99 * best for point in smaller)
    assert found.ended.startswith("no gain")
    assert device.tried[-1] < 256  # it did not go on for ever


def test_a_slower_larger_batch_is_not_chosen() -> None:
    rates = {1: 10.0, 2: 20.0, 4: 15.0, 8: 12.0}
    assert sweep(lambda batch: Point(batch=batch, rate=rates[batch])).batch == 2


def test_not_even_one_image_is_one_clear_line() -> None:
    with pytest.raises(GenbenchError, match="not enough memory for one image: use"):
        sweep(Device(limit=0, fixed=1, each=1))


def test_the_sweep_keeps_a_host_from_being_killed() -> None:
    found = sweep(Device(limit=10**6, fixed=1.0, each=0.0), room=lambda: 10_000.0)
    assert found.points[-1].batch == 8  # 16 would take 16,000
    assert "memory would be short at 16" in found.ended


def test_the_sweep_stops_before_a_call_gets_too_long() -> None:
    found = sweep(Device(limit=10**6, fixed=1.0, each=0.5), longest=7.0)
    assert found.points[-1].batch == 8  # 5 s, so at most 10 s for twice as many
    assert found.ended == "a call of 16 would take too long"


def test_the_sweep_ends_with_its_time() -> None:
    clock = Clock()

    def measure(batch: int) -> Point:
        clock.pass_(float(batch))
        return Point(batch=batch, rate=float(batch))

    found = sweep(measure, time_left=lambda: 130.0 - clock.now)
    assert [point.batch for point in found.points] == [1, 2, 4, 8]  # 15 s of 30; 16 would not fit
    assert found.ended == "no time was left for 16"


@pytest.mark.gpu
def test_events_on_a_real_gpu_agree_with_the_wall() -> None:
    device = torch.device("cuda")
    left = torch.randn(4096, 4096, device=device)
    effort = Effort(seconds=1.0, warm_seconds=0.5, drift=0.02)
    timing = timed(stopwatch_for(device), lambda _: left @ left, 1, effort)
    assert timing.busy > 0.9
    assert 0.9 < timing.median / (timing.wall / len(timing.trials)) < 1.1


def test_a_kernel_counts_once_not_again_by_the_operator_that_starts_it() -> None:
    def average(microseconds: float, device: DeviceType, *, named: bool = False) -> SimpleNamespace:
        return SimpleNamespace(
            self_device_time_total=microseconds, device_type=device, is_user_annotation=named
        )

    kernel, operator = average(3e6, DeviceType.CUDA), average(3e6, DeviceType.CPU)
    region = average(9e6, DeviceType.CUDA, named=True)
    assert _kernels_alone([kernel, operator, region]) == 3.0


def test_a_sweep_stops_before_the_size_that_has_no_room() -> None:
    """Weights of 100 bytes and 10 an image: 64 images are 740, and 128 would be 1380."""
    tried: list[int] = []

    def measure(batch: int) -> Point:
        tried.append(batch)
        return Point(batch=batch, rate=float(batch), memory=100 + 10 * batch)

    assert sweep(measure, room=lambda: 1380.0).ended == "memory would be short at 256"
    assert tried[-1] == 128
    tried.clear()
    assert sweep(measure, room=lambda: 1379.0).ended == "memory would be short at 128"
    assert tried[-1] == 64
