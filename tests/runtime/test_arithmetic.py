"""The precision context: what it pins, that it puts everything back, and what a record says."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from genbench.errors import UsageError
from genbench.runtime.arithmetic import (
    ARITHMETICS,
    FLOAT32,
    Switches,
    arithmetic_named,
    check_arithmetic,
    pinned,
    switches,
    usual_arithmetic,
)

GPU, CPU = torch.device("cuda"), torch.device("cpu")


def test_the_quality_path_rounds_nothing_and_repeats_itself() -> None:
    with pinned(FLOAT32):
        assert switches(GPU) == Switches(tf32=False, autotuned=False, deterministic=True)


def test_speed_may_take_the_fastest_algorithm_in_the_same_arithmetic() -> None:
    with pinned(ARITHMETICS["tf32"], fastest=True):
        assert switches(GPU) == Switches(tf32=True, autotuned=True, deterministic=False)
    with pinned(ARITHMETICS["bfloat16"], fastest=True):
        assert not switches(GPU).tf32


def test_contexts_nest_and_put_back_what_was() -> None:
    outside = switches(GPU)
    with pinned(ARITHMETICS["tf32"], fastest=True):
        with pytest.raises(RuntimeError), pinned(FLOAT32):
            raise RuntimeError
        assert switches(GPU).tf32
    assert switches(GPU) == outside


def test_a_cpu_has_no_switches_to_record() -> None:
    nothing = Switches(tf32=False, autotuned=False, deterministic=False)
    assert switches(CPU) == nothing
    with pinned(ARITHMETICS["tf32"], fastest=True):
        assert switches(CPU) == nothing


def test_tf32_is_refused_on_a_cpu_and_an_unknown_name_everywhere() -> None:
    with pytest.raises(UsageError, match="use float32 on a CPU"):
        check_arithmetic(ARITHMETICS["tf32"], CPU)
    with pytest.raises(UsageError, match="one of float32, tf32, float16, bfloat16"):
        arithmetic_named("float64")


def test_what_a_gpu_has_no_units_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    for capability, newer in (((7, 0), False), ((8, 0), True), ((9, 0), True)):
        monkeypatch.setattr(
            torch.cuda, "get_device_capability", lambda device, found=capability: found
        )
        for name in ("float32", "float16"):
            check_arithmetic(ARITHMETICS[name], GPU)
            assert usual_arithmetic(ARITHMETICS[name], GPU) == ARITHMETICS[name]
        for name in ("tf32", "bfloat16"):
            wanted = ARITHMETICS[name] if newer else FLOAT32
            assert usual_arithmetic(ARITHMETICS[name], GPU) == wanted
            if newer:
                check_arithmetic(ARITHMETICS[name], GPU)
            else:
                with pytest.raises(UsageError, match=f"V100 has no {name} units: use --dtype"):
                    check_arithmetic(ARITHMETICS[name], GPU)
    assert usual_arithmetic(ARITHMETICS["bfloat16"], CPU) == ARITHMETICS["bfloat16"]


@pytest.mark.parametrize(
    "before",
    [
        "torch.set_float32_matmul_precision('medium')",
        "torch.set_float32_matmul_precision('high'); torch.backends.cuda.matmul.allow_tf32 = False",
        "torch.backends.fp32_precision = 'tf32'",
        "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
        "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    ],
)
def test_whatever_a_notebook_has_set(before: str) -> None:
    # torch refuses to read its switches where a program has mixed the two ways to set them.
    if "fp32_precision" in before and not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        before = "torch.backends.cuda.matmul.allow_tf32 = True"  # of a torch with one way only
    code = f"""
import torch
{before}
from genbench.runtime.arithmetic import FLOAT32, pinned, switches
gpu, left = torch.device("cuda"), torch.randn(256, 256)
with pinned(FLOAT32):
    assert not switches(gpu).tf32
    inside = left @ left
switches(gpu)
torch.set_float32_matmul_precision("highest")
assert torch.equal(inside, left @ left)
"""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
