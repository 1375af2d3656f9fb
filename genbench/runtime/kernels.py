"""Kernels of this project's own, each taken only where it gives what the plain operations give."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch


def kernels_of(
    device: torch.device, modules: Mapping[str, str], fault: Callable[[Any], str | None], what: str
) -> Any:
    """The module of kernels for a device, of those by type of device, or None: where there is none
    for it, where what it is made with (Triton, a compiler) is not there, and where `fault` finds
    one. Ask once a process and device: it computes."""
    if device.type not in modules:
        return None
    try:
        kernels = import_module(modules[device.type])
    except ImportError:
        return None
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
