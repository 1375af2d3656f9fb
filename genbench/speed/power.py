"""Power, clocks, throttling and other users of a GPU through NVML, where nvidia-ml-py is there."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch

from genbench.records.measurement import GpuFacts

_PERIOD = 0.1  # seconds between samples
# nvmlClocksEventReason*: what slows a GPU that is asked for all it has (nvml.h).
_SLOWDOWNS = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
_POWER_CAP = 0x04  # normal at full load: reported, no warning


@dataclass
class PowerLog:
    """What was seen while it lasted: watts, MHz, degrees Celsius; energy in joules."""

    power: list[float] = field(default_factory=list)
    sm_clock: list[int] = field(default_factory=list)
    memory_clock: list[int] = field(default_factory=list)
    temperature: list[int] = field(default_factory=list)
    reasons: int = 0  # every reason seen, as bits
    energy: float | None = None  # of the counter; None where the GPU has none

    def add_reasons(self, bits: int) -> None:
        """Keep the reasons of a moment with those of the others."""
        self.reasons |= bits

    @property
    def throttled(self) -> tuple[str, ...]:
        """The slowdowns that were seen; a power cap alone is none."""
        return tuple(text for bit, text in _SLOWDOWNS.items() if self.reasons & bit)

    @property
    def capped(self) -> bool:
        """Whether the GPU ran at its power limit, as it should when it is asked for all it has."""
        return bool(self.reasons & _POWER_CAP)

    @property
    def mean_watts(self) -> float | None:
        """Mean power; None where none was sampled."""
        return sum(self.power) / len(self.power) if self.power else None


class PowerMonitor:
    """NVML's view of one GPU. nvml: the pynvml module, or anything that answers like it."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self.nvml, self.handle = nvml, handle

    def facts(self) -> dict[str, Any]:
        """Driver, power limit, clocks' ceiling, MIG, ECC; what it does not tell is left out."""
        nvml, handle = self.nvml, self.handle
        calls: dict[str, Callable[[], Any]] = {
            "driver": lambda: _text(nvml.nvmlSystemGetDriverVersion()),
            "power_limit_watts": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
            "max_sm_clock_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM),
            "persistence": lambda: bool(nvml.nvmlDeviceGetPersistenceMode(handle)),
            "mig": lambda: bool(nvml.nvmlDeviceGetMigMode(handle)[0]),
            "ecc": lambda: bool(nvml.nvmlDeviceGetEccMode(handle)[0]),
        }
        found = {}
        for name, call in calls.items():
            with suppress(nvml.NVMLError, AttributeError):
                found[name] = call()
        return found

    def other_processes(self) -> int:
        """Processes other than this one that compute on the GPU. This one is among them, though a
        container knows it by another number than the driver."""
        try:
            running = self.nvml.nvmlDeviceGetComputeRunningProcesses(self.handle)
        except self.nvml.NVMLError:
            return 0
        return max(len(running) - 1, 0)

    @contextmanager
    def watching(self, log: PowerLog) -> Iterator[None]:
        """Fill the log from a thread while the context lasts; energy is a counter's difference."""
        finished = threading.Event()

        def watch() -> None:
            while True:
                self._sample(log)
                if finished.wait(_PERIOD):
                    return

        thread = threading.Thread(target=watch, daemon=True)
        before = self._energy()
        thread.start()
        try:
            yield
        finally:
            finished.set()
            thread.join()
            after = self._energy()
            if before is not None and after is not None:
                log.energy = after - before

    def _sample(self, log: PowerLog) -> None:
        """One reading of each; those that the GPU or its driver lacks are left out."""
        nvml, handle = self.nvml, self.handle
        readings: list[tuple[Callable[[Any], object], Callable[[], Any]]] = [
            (log.power.append, lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
            (log.sm_clock.append, lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
            (log.memory_clock.append,
             lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)),
            (log.temperature.append,
             lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
            (log.add_reasons, lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
        ]  # fmt: skip
        for keep, read in readings:
            with suppress(nvml.NVMLError, AttributeError):  # a pynvml without the call or constant
                keep(read())

    def _energy(self) -> float | None:
        try:
            return float(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1000
        except (self.nvml.NVMLError, AttributeError):
            return None


def power_monitor(device: torch.device) -> PowerMonitor | None:
    """The monitor of a CUDA device; None on a CPU, without nvidia-ml-py, and where NVML fails."""
    if device.type != "cuda":
        return None
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        return PowerMonitor(nvml, nvml.nvmlDeviceGetHandleByUUID(uuid))
    except (nvml.NVMLError, AttributeError):
        return None


def warnings_of(log: PowerLog, others: int, alike: int, *, unseen: bool = False) -> tuple[str, ...]:
    """What a reader of the figure must know. others: further processes on the GPU; alike: GPUs of
    this type in the machine; unseen: nobody watched the GPU."""
    found = []
    if unseen:
        found.append(
            "power, clocks and other users of the GPU were not seen: nvidia-ml-py is missing, or "
            "NVML does not know this GPU (a MIG slice, a container)"
        )
    if log.throttled:
        found.append(f"the GPU was throttled: {', '.join(log.throttled)}")
    if others:
        found.append(f"{others} other processes used this GPU")
    if alike > 1:
        found.append(f"{alike} GPUs of this type are here; one was measured")
    return tuple(found)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def gpu_facts(device: torch.device, monitor: PowerMonitor | None) -> GpuFacts | None:
    """What identifies a GPU in a record: name, capability, memory, count, and NVML's facts; None
    for a CPU."""
    if device.type != "cuda":
        return None
    properties = torch.cuda.get_device_properties(device)
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return GpuFacts(
        name=properties.name,
        capability=f"{properties.major}.{properties.minor}",
        memory_bytes=properties.total_memory,
        processors=properties.multi_processor_count,
        count=len(names),
        alike=names.count(properties.name),
        cudnn=torch.backends.cudnn.version(),
        cublas_workspace=os.environ.get("CUBLAS_WORKSPACE_CONFIG", ""),
        **(monitor.facts() if monitor else {}),
    )
