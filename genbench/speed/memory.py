"""Peak memory of a stretch of work, and what running out of it looks like."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch

from genbench.errors import GenbenchError
from genbench.runtime.out_of_memory import is_out_of_memory

_SAFE = 0.8  # of the host's free memory: beyond, Linux kills instead of refusing


_SAFE_GPU = 0.95  # of a GPU's, whose allocator leaves pieces that fit nothing


class MemoryMeter(Protocol):
    """Peak memory of one device."""

    def reset(self) -> None:
        """Give back what is cached, and begin a new peak."""
        ...

    def peak(self) -> int:
        """Bytes at the peak since `reset`; 0 where the system does not tell."""
        ...

    def room(self) -> float:
        """Bytes that a peak may reach without harm to the machine."""
        ...


class CudaMeter:
    """torch's allocator on one GPU: what tensors take, without the cache around them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def reset(self) -> None:
        """Empty the cache and begin a new peak."""
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> int:
        """Bytes allocated at the peak."""
        return torch.cuda.max_memory_allocated(self.device)

    def room(self) -> float:
        """What torch holds here and what the GPU has free."""
        free, _ = torch.cuda.mem_get_info(self.device)
        return _SAFE_GPU * (torch.cuda.memory_reserved(self.device) + free)


class HostMeter:
    """Resident memory of this process, by Linux's /proc."""

    def __init__(self, folder: Path = Path("/proc")) -> None:
        self.folder = folder

    def reset(self) -> None:
        """Begin a new peak, where the kernel allows it."""
        gc.collect()
        try:
            (self.folder / "self" / "clear_refs").write_text("5")
        except OSError:
            return  # the peak is then the process's own, which is said to be at most that

    def peak(self) -> int:
        """Bytes resident at the peak."""
        return self._bytes(self.folder / "self" / "status", "VmHWM")

    def room(self) -> float:
        """What is resident now and most of what the machine has free."""
        free = self._bytes(self.folder / "meminfo", "MemAvailable")
        resident = self._bytes(self.folder / "self" / "status", "VmRSS")
        return resident + _SAFE * free if free else float("inf")

    @staticmethod
    def _bytes(path: Path, key: str) -> int:
        try:
            lines = path.read_text().splitlines()
        except OSError:
            return 0
        found = [line.split() for line in lines if line.startswith(key + ":")]
        return int(found[0][1]) * 1024 if found else 0


def meter_for(device: torch.device) -> MemoryMeter:
    """The meter of a device."""
    return CudaMeter(device) if device.type == "cuda" else HostMeter()


@contextmanager
def noticing_memory() -> Iterator[None]:
    """Turn the ways in which torch runs out of memory into OutOfMemoryAt."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemoryAt from error
        raise


@contextmanager
def refusing_memory(what: str, remedy: str) -> Iterator[None]:
    """Turn running out of memory into a refusal: `what` ran out of it, and `remedy` helps."""
    try:
        with noticing_memory():
            yield
    except OutOfMemoryAt as error:
        raise GenbenchError(f"{what}: {remedy}") from error


class OutOfMemoryAt(Exception):  # noqa: N818 (a size at which it happened, not a failure)
    """The device has no memory for this batch size."""
