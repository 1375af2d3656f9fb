"""The one kernel of group norm, scale and shift, and SiLU: interpreted here, compiled for an H100
that is not, and used where it may be."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from adm_files import UNET, filled, norm_inputs
from torch import Tensor
from triton_kernels import interpreted_module, kernel_module

from genbench.models.noise import NoiseStream
from genbench.runtime.kernels import faultless, kernels_of
from genbench_adapters.adm import group_norm, network
from genbench_adapters.adm.group_norm import activated_group_norm, excess, kernel_fault
from genbench_adapters.adm.network import GroupNorm32, UNet

CPU = torch.device("cpu")


PATH = Path(group_norm.__file__).with_name("group_norm_kernel.py")


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = interpreted_module(PATH, monkeypatch)
    # The same sum, for which the interpreter has one call.
    monkeypatch.setattr(module, "_added", module.tl.standard._sum_combine)
    return module


@pytest.mark.parametrize(
    ("count", "channels", "groups", "side"),
    # Groups of 2, 3 and 6 channels, of one and of all; sides whose pixels fill no tile.
    [(2, 64, 32, 8), (1, 96, 32, 5), (1, 24, 4, 7), (2, 5, 5, 3), (1, 7, 1, 1)],
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_is_within_its_bound_of_float64(
    interpreted: Any, count: int, channels: int, groups: int, side: int, dtype: torch.dtype
) -> None:
    x, norm, condition = norm_inputs(count, channels, groups, side, dtype)
    for told in (condition, None):
        made = interpreted.activated_group_norm(x, norm, told)
        assert (made.dtype, made.shape) == (dtype, x.shape)
        assert made.is_contiguous(memory_format=torch.channels_last)
        # The interpreter cuts bfloat16 where a GPU rounds: twice as far.
        cut = torch.finfo(dtype).eps / 2 if dtype == torch.bfloat16 else 0.0
        assert excess(made, x, norm, told) <= cut * made.abs().max()


def test_several_tiles_and_any_layout(interpreted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreted, "_AT_ONCE", 32)  # 16 pixels of 2 channels: 6 tiles and a half
    x, norm, condition = norm_inputs(1, 6, 3, 10, torch.float16)
    made = interpreted.activated_group_norm(x.contiguous(), norm, condition)
    assert excess(made, x, norm, condition) <= 0
    assert interpreted.activated_group_norm(x[:0], norm, condition[:0]).shape == (0, 6, 10, 10)


def test_the_bound_is_tight() -> None:
    """The form of a CPU is within it; a result that is rounded twice is not."""
    x, norm, condition = norm_inputs(2, 64, 32, 8, torch.bfloat16)
    made = activated_group_norm(x, norm, condition)
    assert excess(made, x, norm, condition) <= 0
    twice = torch.nn.functional.silu(norm(x.float()).bfloat16())
    assert excess(twice, x, norm, None) > 0


def test_only_a_kernel_within_its_bound_is_used(
    interpreted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_norm, "_TRIED", (1, 32, 4, 4))
    monkeypatch.setattr(interpreted, "DTYPES", (torch.float16,))  # bfloat16 is cut there
    assert kernel_fault(interpreted, CPU) is None

    def off(*words: Any) -> Tensor:
        made: Tensor = interpreted.activated_group_norm(*words)
        return made * 1.02

    wrong = SimpleNamespace(activated_group_norm=off, DTYPES=interpreted.DTYPES)
    with pytest.warns(UserWarning, match="group norms: made by single .* beyond its bound"):
        assert faultless(wrong, lambda it: kernel_fault(it, CPU), "group norms") is None
    modules = {"cuda": "not_there"}
    assert kernels_of(CPU, modules, lambda _: None, "norms") is None
    assert kernels_of(torch.device("cuda", 0), modules, lambda _: None, "norms") is None


def test_a_denoiser_takes_it_without_a_gradient_alone(
    interpreted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_norm, "_kernel", lambda device: interpreted)
    norm, noise = filled(GroupNorm32(64)), NoiseStream(2, torch.arange(2))
    x = noise.normal((64, 32, 32)).half().contiguous(memory_format=torch.channels_last)
    called: list[object] = []

    def counted(device: torch.device, dtype: torch.dtype) -> Any:
        found = group_norm.kernel_for(device, dtype)
        called.append(found)
        return found

    monkeypatch.setattr(network, "kernel_for", counted)
    with torch.no_grad():
        plain = norm.activated(x)
        assert called == []
        norm.fused = True
        fused = norm.activated(x)
        assert called == [interpreted]
        assert norm.activated(x.float()).dtype == torch.float32
        assert called == [interpreted, None]
    assert (fused - plain).abs().max() < 4e-3 * plain.abs().max()
    norm.activated(x)  # with a gradient
    assert len(called) == 2
    unet = UNet(UNET)
    unet.use_fused_norms(True)
    norms = [module for module in unet.modules() if isinstance(module, GroupNorm32)]
    assert norms
    assert all(module.fused for module in norms)


def test_it_compiles_for_an_h100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision is read and written 16 bytes at a time, and summed in float32."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton import compile as compiled
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel = kernel_module(PATH).fused_group_norm
    constants = {"channels": 256, "width": 8, "lanes": 8, "tile": 1024, "conditioned": True}
    places = dict.fromkeys(("x", "out"), "*bf16")
    signature = dict.fromkeys(kernel.arg_names, "*fp32") | places
    signature |= {"pixels": "i32", "epsilon": "fp32", **dict.fromkeys(constants, "constexpr")}
    aligned = {(place,): [["tt.divisibility", 16]] for place in range(5)}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    made = compiled(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 8})
    ptx = made.asm["ptx"]
    assert re.search(r"ld\.global(\.\w+)*\.v4\.b32", ptx)
    assert re.search(r"st\.global(\.\w+)*\.v4\.b32", ptx)
    assert "add.f32" in ptx
    assert "bf16x2" not in ptx.replace("cvt.rn.bf16x2.f32", "")


@pytest.mark.gpu
def test_a_gpu_takes_it() -> None:
    if not torch.cuda.is_available():
        pytest.fail("the gpu mark was asked for but there is no CUDA device")
    for channels, side in ((64, 32), (96, 7), (32, 256)):
        x, norm, condition = norm_inputs(2, channels, 32, side, torch.float16)
        images, norm, condition = x.cuda(), norm.cuda(), condition.cuda()
        kernel = group_norm.kernel_for(images.device, images.dtype)
        assert kernel is not None
        for told in (condition, None):
            made = kernel.activated_group_norm(images, norm, told)
            assert excess(made, images, norm, told) <= 0
            # In another batch, the same bits.
            alone = kernel.activated_group_norm(
                images[1:], norm, None if told is None else told[1:]
            )
            assert torch.equal(alone[0], made[1])
