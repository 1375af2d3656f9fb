"""What a speed measurement needs of the device it runs on: stopwatch, memory, power."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch

from genbench.errors import UsageError
from genbench.runtime.arithmetic import Arithmetic
from genbench.speed.datasheets import Gpu, recognised
from genbench.speed.memory import MemoryMeter, meter_for
from genbench.speed.power import PowerLog, PowerMonitor, power_monitor
from genbench.speed.stopwatches import Stopwatch, stopwatch_for
from genbench.speed.timing import Effort, timed

_MATMUL = {"cuda": 8192, "cpu": 1024}  # side of the square matrices
_SECONDS = {"cuda": 30.0, "cpu": 5.0}  # of a measured window, unless the user says
_LONGEST = 86_400.0  # seconds
_PATIENCE = 5.0  # seconds that even the shortest measurement waits for one call
_DRIFT = {"cuda": 0.01, "cpu": 0.05}  # a CPU is shared, its clock wanders


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """One device with its instruments. gpu: its datasheet facts, None for a device without."""

    device: torch.device
    stopwatch: Stopwatch
    memory: MemoryMeter
    monitor: PowerMonitor | None = None
    gpu: Gpu | None = None
    seconds: float  # of a measured window, at least
    drift: float = 0.01
    matmuls: dict[str, float] = field(default_factory=dict)  # FLOP/s by arithmetic, once measured

    @property
    def patience(self) -> float:
        """Seconds that one call may take: no more than a measurement, whatever its length."""
        return max(self.seconds, _PATIENCE)

    def effort(self, share: float = 1.0, trials: int = 5) -> Effort:
        """The effort of a full measurement, or of a share of it."""
        seconds = self.seconds * share
        return Effort(seconds=seconds, trials=trials, warm_seconds=seconds / 5, drift=self.drift)

    def watch(self, log: PowerLog) -> AbstractContextManager[None] | None:
        """What fills a power log while a window is measured; None without a monitor."""
        return self.monitor.watching(log) if self.monitor else None

    def matmul(self, arithmetic: Arithmetic) -> float:
        """FLOP/s of a large product in this arithmetic, measured once: 2 n^3 over the median."""
        if arithmetic.name not in self.matmuls:
            side = _MATMUL.get(self.device.type, 1024)
            left = torch.randn(side, side, device=self.device).to(arithmetic.dtype)
            right = torch.randn(side, side, device=self.device).to(arithmetic.dtype)
            timing = timed(self.stopwatch, lambda _: left @ right, 1, self.effort(0.1))
            self.matmuls[arithmetic.name] = 2 * side**3 / timing.median
        return self.matmuls[arithmetic.name]


def laboratory(device: torch.device, seconds: float) -> Laboratory:
    """The laboratory of a device, of a GPU the current one, whose stream events are recorded on.

    seconds: 0 for what suits it. Raises UsageError for a length that is none.
    """
    if not 0 <= seconds < _LONGEST:
        raise UsageError(f"--seconds {seconds:g} is no length of a measurement: give up to a day")
    return Laboratory(
        device=device,
        stopwatch=stopwatch_for(device),
        memory=meter_for(device),
        monitor=power_monitor(device),
        gpu=sheet_of(device),
        seconds=seconds or _SECONDS.get(device.type, 5.0),
        drift=_DRIFT.get(device.type, 0.05),
    )


def sheet_of(device: torch.device) -> Gpu | None:
    """The datasheet of a device; None for a CPU and for a GPU that has none here."""
    return recognised(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
