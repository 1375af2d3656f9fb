"""The kernel of a CPU for group norm, scale and shift, and SiLU: against float64, whatever shares
the work, and used where a compiler is."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from adm_files import norm_inputs
from torch import Tensor, nn

from genbench.models.opening import ModelRequest, open_model, resolve
from genbench.models.source import ModelSource
from genbench.runtime import native
from genbench.runtime.native import compiled, has_compiler
from genbench_adapters.adm import group_norm
from genbench_adapters.adm.group_norm import excess

CPU = torch.device("cpu")
NATIVE = "genbench_adapters.adm.group_norm_native"

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="there is no C++ compiler")


@pytest.fixture
def forgotten() -> Iterator[None]:
    """A process that has not looked for the kernel yet; whatever it finds is forgotten."""
    before = sys.modules.pop(NATIVE, None)
    group_norm._kernel.cache_clear()
    yield
    group_norm._kernel.cache_clear()
    sys.modules.pop(NATIVE, None)
    if before is not None:
        sys.modules[NATIVE] = before


def kernel() -> Any:
    found = group_norm.kernel_for(CPU, torch.bfloat16)
    assert found is not None
    return found


def given(count: int, channels: int, groups: int, side: int) -> tuple[Tensor, nn.GroupNorm, Tensor]:
    return norm_inputs(count, channels, groups, side, torch.bfloat16)


def compiler_script(folder: Path, text: str) -> Path:
    """A program of the shell's in the compiler's place."""
    path = folder / "cxx"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@needs_compiler
@pytest.mark.parametrize(
    ("count", "channels", "groups", "side"),
    # Groups of 1, 2, 3 and of all channels; one pixel alone, whose norm is 0.
    [(2, 32, 32, 8), (3, 64, 32, 16), (1, 96, 32, 5), (2, 64, 1, 7), (2, 64, 32, 1)],
)
def test_it_is_within_its_bound_of_float64(
    count: int, channels: int, groups: int, side: int
) -> None:
    x, norm, condition = given(count, channels, groups, side)
    for told in (condition, None):
        made = kernel().activated_group_norm(x, norm, told)
        assert (made.dtype, made.shape) == (x.dtype, x.shape)
        assert made.is_contiguous(memory_format=torch.channels_last)
        assert excess(made, x, norm, told) <= 0


@needs_compiler
def test_however_large_or_small_what_is_activated_is() -> None:
    x, norm, condition = given(1, 32, 32, 16)
    for scale in (1e-6, 30.0, 100.0, 1e4, 1e30, 1e37):
        norm.weight.fill_(scale)
        made = kernel().activated_group_norm(x, norm, condition * 0)
        assert excess(made, x, norm, condition * 0) <= 0
    outlier = x.clone()
    outlier[0, :, 0, 0] = 1000.0  # the pixel from which the others are counted
    norm.weight.fill_(1.0)
    # Squares of differences from there lose digits of the deviations: a few of float32's 10^-7.
    made = kernel().activated_group_norm(outlier, norm, None)
    assert excess(made, outlier, norm, None) <= 1e-4 * made.abs().max()


@needs_compiler
@pytest.mark.parametrize(
    "words",
    ["-ffp-contract=fast -ffast-math", "-fsanitize=address", "-O0 -mprefer-vector-width=128"],
)
def test_the_same_bits_whatever_else_the_compiler_is_told(
    words: str, forgotten: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, norm, condition = given(2, 64, 32, 9)
    whole = kernel().activated_group_norm(x, norm, condition)
    sys.modules.pop(NATIVE)
    group_norm._kernel.cache_clear()
    monkeypatch.setenv("CXX", f"g++ {words}")
    again = kernel()
    assert again is not None
    assert torch.equal(again.activated_group_norm(x, norm, condition), whole)


@needs_compiler
def test_a_fork_has_threads_of_its_own() -> None:
    x, norm, condition = given(4, 32, 32, 4)
    torch.set_num_threads(2)
    try:
        whole = kernel().activated_group_norm(x, norm, condition)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 3.12: that there are threads is the point
            child = os.fork()
        if child == 0:
            signal.alarm(20)  # what waits for threads that are not there is killed
            again = kernel().activated_group_norm(x, norm, condition)
            os._exit(0 if torch.equal(again, whole) else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(1)


@needs_compiler
def test_the_same_bits_whatever_shares_the_work() -> None:
    x, norm, condition = given(5, 64, 32, 9)
    whole = kernel().activated_group_norm(x, norm, condition)
    torch.set_num_threads(3)
    try:
        shared = kernel().activated_group_norm(x, norm, condition)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(shared, whole)
    alone = kernel().activated_group_norm(x[3:4], norm, condition[3:4])
    assert torch.equal(alone, whole[3:4])
    assert torch.equal(kernel().activated_group_norm(x.contiguous(), norm, condition), whole)
    assert kernel().activated_group_norm(x[:0], norm, condition[:0]).shape == (0, 64, 9, 9)


@needs_compiler
def test_nothing_that_is_no_number_is_hidden() -> None:
    x, norm, _ = given(2, 64, 32, 4)
    for value in (float("nan"), float("inf")):
        broken = x.clone()
        broken[0, 5, 1, 2] = value
        made = kernel().activated_group_norm(broken, norm, None)
        assert made[0, 4:6].isnan().all()  # its group
        assert made[0, 6:].isfinite().all()
        assert made[1].isfinite().all()
    huge = x * 1e19  # whose squares leave float32
    assert kernel().activated_group_norm(huge, norm, None).isnan().all()
    norm.bias[7] = torch.tensor(0x7FFFFFFF, dtype=torch.int32).view(torch.float32)  # a NaN
    norm.bias[9] = torch.inf
    made = kernel().activated_group_norm(x, norm, None)
    assert made[:, 7].isnan().all()
    assert (made[:, 9] == torch.inf).all()
    assert made[:, 8].isfinite().all()


@needs_compiler
def test_what_does_not_fit_together_is_refused() -> None:
    x, norm, condition = given(2, 64, 32, 4)
    for wrong in (condition[:1], condition[:, :64], condition[..., 0]):
        with pytest.raises(ValueError, match="are not of images"):
            kernel().activated_group_norm(x, norm, wrong)
    with pytest.raises(ValueError, match="are not of images"):
        kernel().activated_group_norm(x, nn.GroupNorm(32, 32), None)
    for count, height in ((0, 4), (2, 0)):
        empty = torch.zeros(count, 64, height, 4).bfloat16()
        assert kernel().activated_group_norm(empty, norm, None).shape == empty.shape
    with pytest.raises(ValueError, match="48 channels are no multiple of 32"):
        kernel().activated_group_norm(torch.zeros(1, 48, 4, 4).bfloat16(), norm, None)


def opened(**options: str) -> ModelSource:
    return open_model(resolve(ModelRequest(name="adm-guided", options=options)), CPU)


@needs_compiler
def test_it_is_in_the_identity_and_draws_the_images_of_single_operations() -> None:
    """Trajectories part by roundings: the furthest pixel of 25 images by a few grey levels."""
    fused, plain = opened(steps="5"), opened(steps="5", norms="plain")
    assert fused.identity()["kernels"] == fused.subject().kernels == "group norms"
    assert "kernels" not in plain.identity()
    images, others = (next(source.images(0, 25)).int() for source in (fused, plain))
    apart = (images - others).abs()
    assert 0 < int(apart.max()) <= 8
    assert float(apart.float().mean()) < 0.2
    assert group_norm.kernel_for(CPU, torch.float32) is None
    assert group_norm.kernel_for(CPU, torch.float16) is None


@pytest.mark.parametrize("words", ["no-such-compiler", 'g++ "'])
def test_without_a_compiler_single_operations_draw(
    words: str, forgotten: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", words)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is no fault
        source = opened()
    assert "kernels" not in source.identity()
    assert source.subject().kernels is None


def test_a_compiler_that_fails_is_told(
    forgotten: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "echo 'In file x:' >&2\necho 'error: cannot find -lc' >&2\nexit 1"
    failing = compiler_script(tmp_path, said)
    monkeypatch.setenv("CXX", f"{failing} --some-option")
    with pytest.warns(UserWarning, match="group norms on cpu: made by single.*cannot find -lc"):
        assert group_norm.kernel_for(CPU, torch.bfloat16) is None


def test_a_compiler_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(compiler_script(tmp_path, "sleep 60")))
    monkeypatch.setattr(native, "_SECONDS", 0.2)
    with pytest.raises(RuntimeError, match=r"cxx took more than 0\.2 s"):
        native.compiled(tmp_path / "any.cpp")


@needs_compiler
def test_a_helper_of_the_compilers_that_stays_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'cat >/dev/null\nsleep 20 &\nprintf "\\377" >&2\nexec g++ "$@"'
    staying = compiler_script(tmp_path, text)
    (tmp_path / "one.cpp").write_text('extern "C" int one() { return 1; }\n')
    monkeypatch.setenv("CXX", str(staying))
    begun = time.monotonic()
    assert native.compiled(tmp_path / "one.cpp").one() == 1
    assert time.monotonic() - begun < 15


@needs_compiler
def test_what_is_compiled_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "double it.cpp"
    source.write_text('extern "C" int doubled(int n) { return 2 * n; }\n')
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "made"))
    os.mkdir(tmp_path / "made")
    assert compiled(source).doubled(21) == 42
    assert not list((tmp_path / "made").iterdir())
    source.write_text("int f( {\n")
    with pytest.raises(RuntimeError, match="error"):
        compiled(source)
