"""One arithmetic at a time: what networks compute in, with torch's switches that decide the bits.

Quality and speed pin the same switches through `pinned`; what a figure was computed with is read
off torch inside it (`switches`), never assumed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from genbench.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """dtype: of weights and images. tf32: whether float32 products may be rounded to TF32.

    name: "float32", "tf32", "float16" or "bfloat16", part of what is measured.
    """

    name: str
    dtype: torch.dtype
    tf32: bool = False


FLOAT32 = Arithmetic(name="float32", dtype=torch.float32)
ARITHMETICS = {
    arithmetic.name: arithmetic
    for arithmetic in (
        FLOAT32,
        Arithmetic(name="tf32", dtype=torch.float32, tf32=True),
        Arithmetic(name="float16", dtype=torch.float16),
        Arithmetic(name="bfloat16", dtype=torch.bfloat16),
    )
}


@dataclass(frozen=True, kw_only=True)
class Switches:
    """How torch's switches stood. tf32: of products and of convolutions; autotuned: whether cuDNN
    tries several algorithms and takes the fastest; deterministic: whether it takes only those that
    give the same bits twice. A CPU has none of the three."""

    tf32: bool
    autotuned: bool
    deterministic: bool


def arithmetic_named(name: str) -> Arithmetic:
    """The arithmetic of a --dtype. Raises UsageError with the known ones."""
    if name not in ARITHMETICS:
        raise UsageError(f"unknown --dtype {name}: one of {', '.join(ARITHMETICS)}")
    return ARITHMETICS[name]


def check_arithmetic(arithmetic: Arithmetic, device: torch.device) -> None:
    """Raise UsageError for one that the device has not."""
    if arithmetic.tf32 and device.type != "cuda":
        raise UsageError("--dtype tf32 is a rounding of NVIDIA GPUs: use float32 on a CPU")
    if _too_old(arithmetic, device):
        name = torch.cuda.get_device_name(device)
        raise UsageError(
            f"{name} has no {arithmetic.name} units: use --dtype float16, whose range is smaller, "
            "or float32"
        )


def usual_arithmetic(arithmetic: Arithmetic, device: torch.device) -> Arithmetic:
    """What a model computes in where nobody asks: as its card says, or float32 on a GPU without
    it."""
    return FLOAT32 if _too_old(arithmetic, device) else arithmetic


def _too_old(arithmetic: Arithmetic, device: torch.device) -> bool:
    """Whether a GPU lacks TF32 or bfloat16, which came with compute capability 8.0; torch computes
    in them all the same, slowly."""
    newer = arithmetic.tf32 or arithmetic.dtype == torch.bfloat16
    return newer and device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0)


@contextmanager
def pinned(arithmetic: Arithmetic, *, fastest: bool = False) -> Iterator[None]:
    """torch's switches as an arithmetic says and no autocast, whatever there was; put back
    afterwards. The switches are the process's: other threads that want them wait.

    fastest: cuDNN searches for its fastest algorithm, as a speed measurement wants; else it takes
    one that gives the same bits every time.
    """
    with (
        _PINNING,
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        before = _stand()
        _set(
            _ROUNDED if arithmetic.tf32 else _EXACT, arithmetic.tf32,
            autotuned=fastest, deterministic=not fastest, on_cpu=["ieee"] * len(_cpu_layers()),
        )  # fmt: skip
        try:
            yield
        finally:
            products, convolutions, autotuned, deterministic, on_cpu = before
            _set(
                products, convolutions, autotuned=autotuned, deterministic=deterministic,
                on_cpu=on_cpu,
            )  # fmt: skip


_PINNING = threading.RLock()
_EXACT, _ROUNDED = "highest", "high"


def _stand() -> tuple[str, bool, bool, bool, list[str]]:
    """Every switch that `_set` sets, in its order."""
    cudnn = torch.backends.cudnn
    on_cpu = [layer.fp32_precision for layer in _cpu_layers()]
    return (_rounded_products(), _rounded_convolutions(), cudnn.benchmark, cudnn.deterministic,
            on_cpu)  # fmt: skip


def _set(
    products: str, convolutions: bool, *, autotuned: bool, deterministic: bool,
    on_cpu: Sequence[str],
) -> None:  # fmt: skip
    cudnn = torch.backends.cudnn
    torch.set_float32_matmul_precision(products)  # a CPU's library listens to it as well
    cudnn.allow_tf32 = convolutions
    for name in ("conv", "rnn"):  # what torch since 2.9 lets stand above the older switch
        if hasattr(cudnn, name):
            getattr(cudnn, name).fp32_precision = "tf32" if convolutions else "ieee"
    for layer, precision in zip(_cpu_layers(), on_cpu, strict=True):
        layer.fp32_precision = precision
    cudnn.benchmark = autotuned
    cudnn.deterministic = deterministic


def _cpu_layers() -> list[Any]:
    """The CPU library's switches beside that of products; none before torch 2.9."""
    mkldnn = torch.backends.mkldnn
    return [getattr(mkldnn, name) for name in ("conv", "rnn") if hasattr(mkldnn, name)]


def _rounded_products() -> str:
    """How float32 products are rounded. torch refuses to say where a program has mixed the older
    and the newer of its two ways to set it; each way's own word is then taken."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return _EXACT if torch.backends.cuda.matmul.fp32_precision == "ieee" else _ROUNDED


def _rounded_convolutions() -> bool:
    """Whether cuDNN may round to TF32; see `_rounded_products`."""
    try:
        return torch.backends.cudnn.allow_tf32
    except RuntimeError:
        convolutions: Any = torch.backends.cudnn
        return bool(convolutions.conv.fp32_precision == "tf32")


def switches(device: torch.device) -> Switches:
    """How the switches stand now, as far as they concern a device."""
    gpu = device.type == "cuda"
    return Switches(
        tf32=gpu and (_rounded_products() != _EXACT or _rounded_convolutions()),
        autotuned=gpu and torch.backends.cudnn.benchmark,
        deterministic=gpu and torch.backends.cudnn.deterministic,
    )
