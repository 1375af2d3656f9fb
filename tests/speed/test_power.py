"""NVML through a fake that answers like pynvml: what is logged, what is warned of."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest
import torch

from genbench.speed.power import PowerLog, PowerMonitor, gpu_facts, power_monitor, warnings_of


class FakeNVMLError(Exception):
    pass


class FakeNvml:
    """One GPU at 300 W; its energy counter runs at that; `missing` calls are not supported."""

    NVMLError = FakeNVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, *, reasons: int = 0, missing: tuple[str, ...] = ()) -> None:
        self.reasons, self.missing = reasons, missing
        self.others, self.absent = [4711], False

    def __getattribute__(self, name: str) -> object:
        if name in object.__getattribute__(self, "missing"):
            if object.__getattribute__(self, "absent"):
                raise AttributeError(name)

            def unsupported(*arguments: object) -> None:
                raise FakeNVMLError("Not Supported")

            return unsupported
        return object.__getattribute__(self, name)

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return b"535.183.01"

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: object) -> int:  # noqa: N802
        return 700_000

    def nvmlDeviceGetMaxClockInfo(self, handle: object, kind: int) -> int:  # noqa: N802
        return 1980

    def nvmlDeviceGetPersistenceMode(self, handle: object) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetMigMode(self, handle: object) -> list[int]:  # noqa: N802
        return [0, 0]

    def nvmlDeviceGetEccMode(self, handle: object) -> list[int]:  # noqa: N802
        return [1, 1]

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:  # noqa: N802
        return 300_000

    def nvmlDeviceGetClockInfo(self, handle: object, kind: int) -> int:  # noqa: N802
        return 1755 if kind == self.NVML_CLOCK_SM else 2619

    def nvmlDeviceGetTemperature(self, handle: object, kind: int) -> int:  # noqa: N802
        return 61

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: object) -> int:  # noqa: N802
        return self.reasons

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> float:  # noqa: N802
        return time.monotonic() * 300 * 1000

    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> list[SimpleNamespace]:  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in (os.getpid(), *self.others)]


def watched(nvml: FakeNvml, seconds: float = 0.25) -> PowerLog:
    log = PowerLog()
    with PowerMonitor(nvml, object()).watching(log):
        time.sleep(seconds)
    return log


def test_power_clocks_and_energy_of_a_window() -> None:
    log = watched(FakeNvml())
    assert len(log.power) >= 2
    assert log.mean_watts == 300.0
    assert set(log.sm_clock) == {1755}
    assert set(log.memory_clock) == {2619}
    assert log.energy is not None
    assert 60 < log.energy < 300  # the counter's difference: 0.25 s at 300 W or more
    assert not log.capped
    assert warnings_of(log, others=0, alike=1) == ()


def test_a_power_cap_is_told_and_a_slowdown_is_warned_of() -> None:
    capped = watched(FakeNvml(reasons=0x04), 0.0)
    assert capped.capped
    assert warnings_of(capped, 0, 1) == ()  # normal at full load
    hot = watched(FakeNvml(reasons=0x40 | 0x04), 0.0)
    assert "hardware thermal slowdown" in warnings_of(hot, 0, 1)[0]


def test_a_busy_gpu_and_its_twins_are_warned_of() -> None:
    monitor = PowerMonitor(FakeNvml(), object())
    assert monitor.other_processes() == 1  # not this process
    found = warnings_of(PowerLog(), monitor.other_processes(), alike=2)
    assert found == (
        "1 other processes used this GPU",
        "2 GPUs of this type are here; one was measured",
    )


def test_what_the_gpu_does_not_tell_is_left_out() -> None:
    full = PowerMonitor(FakeNvml(), object()).facts()
    assert full["driver"] == "535.183.01"
    assert full["power_limit_watts"] == 700.0
    assert full["ecc"] is True
    assert full["mig"] is False
    nvml = FakeNvml(
        missing=("nvmlDeviceGetMigMode", "nvmlDeviceGetTotalEnergyConsumption",
                 "nvmlDeviceGetComputeRunningProcesses")
    )  # fmt: skip
    monitor = PowerMonitor(nvml, object())
    assert "mig" not in monitor.facts()
    assert monitor.other_processes() == 0
    log = watched(nvml, 0.0)
    assert log.power
    assert log.energy is None


@pytest.mark.parametrize(
    ("missing", "field"),
    [
        ("nvmlDeviceGetPowerUsage", "power"),
        ("nvmlDeviceGetTemperature", "temperature"),
        ("nvmlDeviceGetCurrentClocksThrottleReasons", "reasons"),
        ("NVML_CLOCK_MEM", "memory_clock"),
    ],
)
def test_what_one_reading_lacks_the_others_keep(missing: str, field: str) -> None:
    nvml = FakeNvml(reasons=0x04)
    if missing.startswith("NVML_"):
        nvml.missing = (missing,)
        nvml.absent = True
    else:
        nvml.missing = (missing,)
    log = watched(nvml, 0.0)
    seen = {
        name: bool(getattr(log, name))
        for name in ("power", "sm_clock", "memory_clock", "temperature", "reasons")
    }
    assert seen.pop(field) is False
    assert all(seen.values())


def test_a_container_knows_its_own_process_by_another_number() -> None:
    class Container(FakeNvml):
        def nvmlDeviceGetComputeRunningProcesses(  # noqa: N802
            self, handle: object
        ) -> list[SimpleNamespace]:
            return [SimpleNamespace(pid=987_654)]  # the host's number of this process

    assert PowerMonitor(Container(), object()).other_processes() == 0


def test_a_gpu_that_nobody_watched_is_told() -> None:
    (told,) = warnings_of(PowerLog(), 0, 1, unseen=True)
    assert "MIG slice" in told


def test_a_cpu_has_no_monitor_and_no_facts() -> None:
    assert power_monitor(torch.device("cpu")) is None
    assert gpu_facts(torch.device("cpu"), None) is None


@pytest.mark.gpu
def test_a_real_gpu_tells_its_facts() -> None:
    pytest.importorskip("pynvml")
    device = torch.device("cuda:0")
    monitor = power_monitor(device)
    assert monitor is not None
    facts = gpu_facts(device, monitor)
    assert facts is not None
    assert facts.name
    assert facts.driver
