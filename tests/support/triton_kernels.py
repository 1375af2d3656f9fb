"""Kernels in Triton where there is no GPU: run by its interpreter, or compiled for one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest


def kernel_module(path: Path) -> Any:
    """A copy of a module of its own: Triton decides at its import how kernels run."""
    # It comes with the builds of torch for CUDA alone. Imported before anything is interpreted:
    # else its own functions would be interpreted ever after.
    pytest.importorskip("triton.language")
    spec = importlib.util.spec_from_file_location(f"{path.stem}_here", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def interpreted_module(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same, its kernels interpreted."""
    pytest.importorskip("triton.language")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    return kernel_module(path)
