"""The one kernel of normals and uniforms: interpreted here, and compiled for GPUs that are not."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from triton_kernels import interpreted_module, kernel_module

from genbench.models import noise
from genbench.models.noise import NoiseStream
from genbench.runtime.kernels import faultless

CPU = torch.device("cpu")
INDICES = torch.tensor([5, 2**32 + 1])


PATH = Path(noise.__file__).with_name("noise_kernel.py")


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Any:
    return interpreted_module(PATH, monkeypatch)


@pytest.mark.parametrize("seed", [1, 2**64 - 2**31])
def test_interpreted_it_gives_the_bits_of_the_single_operations(
    interpreted: Any, seed: int
) -> None:
    stream = NoiseStream(seed, INDICES)
    normals = interpreted.normals(seed, INDICES, range(3, 5), (3, 7, 9))
    assert torch.equal(normals[:, 1], stream.normal((3, 7, 9), step=4))
    assert torch.equal(normals[:, 0], stream.normal((3, 7, 9), step=3))
    held = torch.tensor([2**31 + 5])  # as the device holds it
    assert torch.equal(
        interpreted.normals(seed, INDICES, held, (7,)).squeeze(1),
        stream.normal((7,), step=2**31 + 5),
    )
    uniforms = interpreted.uniforms(seed, INDICES, range(1), (70,))
    assert torch.equal(uniforms.squeeze(1), stream.uniform((70,)))


def test_every_part_of_the_distribution(interpreted: Any) -> None:
    """Enough numbers for both tails and the centre of the quantile function."""
    normals = interpreted.normals(0, INDICES, range(1), (1500,)).squeeze(1)
    assert torch.equal(normals, NoiseStream(0, INDICES).normal((1500,)))
    assert (normals > 3).any()
    assert (normals < -3).any()


def test_none_and_one(interpreted: Any) -> None:
    assert interpreted.normals(0, INDICES[:0], range(2), (4,)).shape == (0, 2, 4)
    assert torch.equal(
        interpreted.normals(0, INDICES, range(1), ()).squeeze(1), NoiseStream(0, INDICES).normal(())
    )


@pytest.mark.parametrize("capability", [70, 90])
def test_compiled_it_contracts_nothing(
    capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fused multiply-add rounds once where the single operations round twice."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    module = kernel_module(PATH)
    assert set(arithmetic(module, capability, module.EXACT)) == {
        "add.rn.f64", "sub.rn.f64", "mul.rn.f64", "div.rn.f64", "sqrt.rn.f64",
    }  # fmt: skip
    if capability == 90:  # as the compiler would have it
        assert "fma.rn.f64" in arithmetic(module, capability, {})


def arithmetic(module: ModuleType, capability: int, options: dict[str, Any]) -> list[str]:
    """The rounding operations on float64 of the kernel compiled for a capability."""
    from triton import compile as compiled
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    words = {"low_key": "i64", "high_key": "i32"}
    numbers = dict.fromkeys(("first", "steps", "purpose", "count"), "i32")
    held = capability == 90  # the step in both its forms
    constants = {"held": held, "normal": True, "blocks": 64}
    signature = {"out": "*fp32", "indices": "*i64", **words, **numbers,
                 **dict.fromkeys(constants, "constexpr")}  # fmt: skip
    if held:
        signature["first"] = "*i64"
    source = ASTSource(fn=module.drawn, signature=signature, constexprs=constants)
    made = compiled(source, target=GPUTarget("cuda", capability, 32), options=dict(options))
    return re.findall(r"\b(?:add|sub|mul|div|sqrt|fma)\.\w+\.f64\b", made.asm["ptx"])


def test_no_argument_becomes_a_constant() -> None:
    """A seed or a step of 1 would, and constants have other methods than numbers."""
    special = [item.name for item in kernel_module(PATH).drawn.params if not item.do_not_specialize]
    assert special == ["out", "indices", "held", "normal", "blocks"]


def test_a_stream_uses_the_kernel_of_its_device(
    interpreted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    class Counting:
        MOST = 100

        def normals(self, *words: Any) -> Tensor:
            calls.append("normals")
            return cast(Tensor, interpreted.normals(*words))

        def uniforms(self, *words: Any) -> Tensor:
            calls.append("uniforms")
            return cast(Tensor, interpreted.uniforms(*words))

    stream = NoiseStream(4, INDICES)

    def drawn() -> list[Tensor]:
        return [stream.normal((2, 3), step=1), stream.normal_steps((5,), 2), stream.uniform((4,))]

    plain = drawn()
    monkeypatch.setattr(noise, "_kernel_of", lambda device: Counting())
    assert all(torch.equal(*pair) for pair in zip(drawn(), plain, strict=True))
    assert calls == ["normals", "normals", "uniforms"]


def test_only_a_kernel_with_the_right_bits_is_used(
    interpreted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "_TRIED", (2, 1, 35))
    fault = partial(noise._fault, device=CPU)
    assert faultless(interpreted, fault, "noise") is interpreted

    class Other:
        uniforms = staticmethod(interpreted.uniforms)

        def normals(self, *words: Any) -> Tensor:
            numbers: Tensor = interpreted.normals(*words)
            numbers.view(torch.int32)[-1, -1, -1, -1] += 1  # a last bit
            return numbers

    with pytest.warns(UserWarning, match="noise: made by single operations, .* .it gives other"):
        assert faultless(Other(), fault, "noise") is None

    class Broken(Other):
        def normals(self, *words: Any) -> Tensor:
            raise RuntimeError("no C compiler")

    with pytest.warns(UserWarning, match="RuntimeError: no C compiler"):
        assert faultless(Broken(), fault, "noise") is None


def test_where_no_kernel_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    look = noise._kernel_of.__wrapped__
    assert look(CPU) is None
    monkeypatch.setenv("GENBENCH_NOISE", "plain")
    assert look(torch.device("cuda", 0)) is None


def test_more_numbers_than_a_grid_has_places_for_are_made_singly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Kernel:
        MOST = 6

    monkeypatch.setattr(noise, "_kernel_of", lambda device: Kernel)
    assert [noise._kernel(CPU, count) is None for count in (6, 7)] == [False, True]
