"""Timing: warming up until steady, then a window of which every trial is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from genbench.speed.stopwatches import Stopwatch, Work

_HOST_BOUND = 0.97  # below this share of the wall clock the device was waiting for the host
_RESAMPLES = 2000
_MOST_TRIALS = 2000


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure. drift: relative spread of the last `steady` warm-up calls at which the
    device counts as warm."""

    seconds: float  # of the measured window, at least
    trials: int = 5  # at least
    warm_seconds: float = 1.0  # at least, after the first call
    steady: int = 3
    drift: float = 0.01

    @property
    def longest_warm_up(self) -> float:
        """Seconds after which a device that never settles is measured as it is."""
        return 3 * self.warm_seconds


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """What it took before times repeated themselves. seconds: of the calls after the first;
    typical: of a call at the end."""

    calls: int  # whole ones, the first among them
    seconds: float
    first: float  # the first call, which compiles and tunes
    typical: float
    steady: bool


def warm_up(stopwatch: Stopwatch, work: Work, effort: Effort) -> WarmUp:
    """Call until the last few times agree, or until three times the time given has passed.

    The first call, which may compile for minutes, counts for nothing.
    """
    first = stopwatch.window(work, 0, 1).wall
    taken: list[float] = []
    while True:
        taken.append(stopwatch.window(work, 1 + len(taken), 1).wall)
        last = taken[-effort.steady :]
        steady = len(last) == effort.steady and max(last) <= min(last) * (1 + effort.drift)
        total = sum(taken)
        enough = total >= effort.warm_seconds
        if (enough and steady) or total >= effort.longest_warm_up:
            return WarmUp(
                calls=1 + len(taken), seconds=total, first=first, typical=median(last),
                steady=steady,
            )  # fmt: skip


def warm_up_by_parts(
    stopwatch: Stopwatch, parts: Sequence[tuple[Work, int]], effort: Effort
) -> WarmUp:
    """Warm up for calls too long to be made again and again, by what they repeat: each part with
    how often a call makes it. No whole call is made."""
    share = replace(effort, warm_seconds=effort.warm_seconds / len(parts))
    warm = [(warm_up(stopwatch, work, share), times) for work, times in parts]
    return WarmUp(
        calls=0,
        seconds=sum(part.seconds for part, _ in warm),
        first=sum(part.first for part, _ in warm),
        typical=sum(times * part.typical for part, times in warm),
        steady=all(part.steady for part, _ in warm),
    )


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One measured window at one batch size: every trial, and what follows from them.

    device: seconds of one call in which the device computed; None where it is not known.
    """

    batch: int
    trials: tuple[float, ...]  # seconds a call
    wall: float  # seconds of all calls
    cpu: float  # processor seconds of all calls
    warm: WarmUp
    device: float | None = None

    @property
    def images(self) -> int:
        """Images made in the window."""
        return self.batch * len(self.trials)

    @property
    def rate(self) -> float:
        """Images a second by the wall clock: what a user gets."""
        return self.images / self.wall

    @property
    def median(self) -> float:
        """Seconds of the middle call."""
        return median(self.trials)

    @property
    def spread(self) -> float:
        """Interquartile range of the trials, seconds."""
        low, high = np.quantile(self.trials, (0.25, 0.75))
        return float(high - low)

    @property
    def busy(self) -> float:
        """Share of the wall clock in which the device computed; where that is not known, that the
        trials account for."""
        if self.device is None:
            return sum(self.trials) / self.wall
        return min(1.0, self.device * len(self.trials) / self.wall)

    @property
    def host_bound(self) -> bool:
        """Whether the device waited for the host, within calls or between them."""
        return self.busy < _HOST_BOUND

    def interval(self) -> tuple[float, float]:
        """95% interval of the rate: percentiles of a block bootstrap over the trials, in blocks of
        about the root of their number since neighbours are alike; fixed random numbers."""
        count = len(self.trials)
        block = math.isqrt(count)
        starts = np.random.default_rng(0).integers(
            0, count - block + 1, size=(_RESAMPLES, math.ceil(count / block))
        )
        picked = (starts[:, :, None] + np.arange(block)).reshape(_RESAMPLES, -1)[:, :count]
        means = np.asarray(self.trials)[picked].mean(axis=1)
        gap = (self.wall - sum(self.trials)) / count
        low, high = np.quantile(self.batch / (means + gap), (0.025, 0.975))
        return float(low), float(high)


INTERVAL = "95% percentile interval of a block bootstrap over the calls of one process"


def timed(
    stopwatch: Stopwatch,
    work: Work,
    batch: int,
    effort: Effort,
    *,
    watch: AbstractContextManager[object] | None = None,
    warm: WarmUp | None = None,
) -> Timing:
    """Warm up, then make as many calls as the effort asks for. Nothing outside `work` is timed.

    watch: entered for the measured window alone, such as a power monitor. warm: where it is warm
    already.
    """
    warm = warm or warm_up(stopwatch, work, effort)
    with watch or nullcontext():
        window = stopwatch.window(work, warm.calls, _calls(warm, effort))
    return Timing(batch=batch, trials=window.seconds, wall=window.wall, cpu=window.cpu, warm=warm)


def latency(stopwatch: Stopwatch, work: Work, effort: Effort) -> tuple[float, ...]:
    """Seconds from asking to having, of calls made one by one, each waited for."""
    warm = warm_up(stopwatch, work, effort)
    numbers = range(warm.calls, warm.calls + _calls(warm, effort))
    return tuple(stopwatch.window(work, number, 1).wall for number in numbers)


def _calls(warm: WarmUp, effort: Effort) -> int:
    """Calls that fill the time asked for."""
    wanted = math.ceil(effort.seconds / max(warm.typical, 1e-9))
    return max(effort.trials, min(_MOST_TRIALS, wanted))
