"""benchmarks/on_a_gpu.py has all its parts, and no part stops the others."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import on_a_gpu
import pytest
import torch
from gpu_parts import PARTS
from gpu_timing import Place


def test_every_part_is_there() -> None:
    assert list(PARTS) == [
        "doctor", "architectures", "nvml", "tests", "kernels", "ceilings", "profiles", "adm-unet",
        "gradient", "batches", "graphs", "peak", "detector", "neighbours", "throughput",
    ]  # fmt: skip
    assert all(part.__doc__ for part in PARTS.values())


def test_a_part_that_fails_or_lasts_leaves_the_others(tmp_path: Path) -> None:
    def failing(at: Place) -> dict[str, Any]:
        raise RuntimeError("CUDA error: no kernel image\nand a page more")

    def warning(at: Place) -> dict[str, Any]:
        warnings.warn("made by single operations", stacklevel=1)
        return {"tiny": at.size(100, 1)}

    def lasting(at: Place) -> dict[str, Any]:
        time.sleep(5)
        return {}

    parts = {"a": failing, "b": warning, "c": lambda at: {"exit": 3}, "d": lasting, "e": warning}
    place = Place(torch.device("cpu"), tmp_path, tiny=True)
    first, second, third, fourth, last = on_a_gpu.lines(parts, place, budget=0.2)
    assert first["failed"] == "RuntimeError: CUDA error: no kernel image"
    assert (second["found"], second["warnings"]) == ({"tiny": 1}, ["made by single operations"])
    assert third["failed"] == "exit status 3"
    assert fourth["failed"].startswith("TimeoutError: the budget ended")
    assert fourth["seconds"] < 2
    assert last == {"part": "e", "left out": "no time left in the budget"}


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def called(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["on_a_gpu.py", *words])
        return on_a_gpu.main()

    out = tmp_path / "out"
    told = ("--output", str(out), "--device", "cpu", "--tiny", "--only", "architectures", "graphs")
    assert called(*told) == 0
    assert (out / "results.jsonl").read_text().count("\n") == 2
    assert "a CPU has no graphs" in capsys.readouterr().out
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert called("--output", str(out)) == 2
    assert "pass --device cpu --tiny" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        called("--help")
    assert "--budget" in capsys.readouterr().out
