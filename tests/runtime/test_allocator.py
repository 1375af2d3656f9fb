"""Freed memory is kept for the next tensors."""

from __future__ import annotations

import platform
import sys

import pytest
import torch

from genbench.runtime.allocator import keep_freed_memory

_PIECE = 40 << 20  # bytes, more than glibc ever keeps of its own accord


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own way with memory")
def test_freed_memory_is_not_asked_for_again() -> None:
    import resource

    def faults() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def used() -> None:
        torch.empty(_PIECE, dtype=torch.uint8).fill_(1)

    keep_freed_memory()
    for _ in range(20):  # until a free piece of that size is there
        used()
    before = faults()
    used()
    assert faults() - before < _PIECE // resource.getpagesize() // 10


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("ctypes.CDLL", None)  # calling it would raise
    keep_freed_memory()
