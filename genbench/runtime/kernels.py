"""Kernels written for GPUs, each taken only where it gives what the plain operations give."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch


def kernels_of(
    device: torch.device, module: str, fault: Callable[[Any], str | None], what: str
) -> Any:
    """A module of kernels where it may be used on a device, else None: not on a CPU, not without
    Triton, and not where `fault` finds one. Ask once a process and device: it computes."""
    if device.type != "cuda":
        return None
    try:
        kernels = import_module(module)
    except ImportError:
        return None  # Triton is not installed
    return faultless(kernels, fault, f"{what} on {device}")


def faultless(kernels: Any, fault: Callable[[Any], str | None], what: str) -> Any:
    """`kernels` where `fault` of them is None; where it says or raises something, None and a
    warning."""
    try:
        reason = fault(kernels)
    except Exception as error:  # of a compiler: of any kind
        reason = f"{type(error).__name__}: {error}"
    if reason is None:
        return kernels
    warnings.warn(f"{what}: made by single operations, not by one kernel ({reason})", stacklevel=2)
    return None
