"""Tensors on their way to the host, while the device computes on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class HostCopy:
    """A copy that was begun. pending: reached on the device once it is there; None where it is."""

    values: Tensor  # on the CPU
    pending: torch.cuda.Event | None = None

    def wait(self) -> Tensor:
        """The values, of any shape, which nothing writes to any more."""
        if self.pending is not None:
            self.pending.synchronize()
        return self.values


def copied_to_host(values: Tensor) -> HostCopy:
    """Begin to copy a tensor of any shape to the host. A GPU copies to pinned memory, behind what
    that GPU's current stream was given before; what is on the CPU is not copied."""
    if values.device.type != "cuda":
        return HostCopy(values.cpu())
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(values.device))
    return HostCopy(host, arrived)
