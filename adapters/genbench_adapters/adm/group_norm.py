"""Group norm, scale and shift, and SiLU in few passes over images in half precision."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from genbench.runtime.kernels import kernels_of

# The kernel is compared with float64: its result may differ by the rounding of what is stored, half
# a unit in the last place, and by this part of the largest result, what float32 loses on the way.
BOUND = 1e-5
_KERNELS = {
    "cuda": "genbench_adapters.adm.group_norm_kernel",
    "cpu": "genbench_adapters.adm.group_norm_native",
}
_TRIED = (2, 96, 32, 32)  # images, of 32 groups of 3 channels


class _Kernel(Protocol):
    """`group_norm_kernel` and `group_norm_native`. DTYPES: of the images that it takes."""

    DTYPES: Sequence[torch.dtype]

    def activated_group_norm(
        self, x: Tensor, norm: nn.GroupNorm, condition: Tensor | None
    ) -> Tensor: ...


def kernel_for(device: torch.device, dtype: torch.dtype) -> _Kernel | None:
    """The kernel for images of a dtype on a device; None for float32, where Triton or a compiler is
    missing or its numbers are other ones, and within torch.compile, which makes a kernel of its
    own."""
    if torch.compiler.is_compiling() or dtype == torch.float32:
        return None
    kernel = _kernel(device)
    return kernel if kernel is not None and dtype in kernel.DTYPES else None


@cache
def _kernel(device: torch.device) -> _Kernel | None:
    fault = partial(kernel_fault, device=device)
    kernel: _Kernel | None = kernels_of(device, _KERNELS, fault, "group norms")
    return kernel


def kernel_fault(kernel: _Kernel, device: torch.device) -> str | None:
    """Whether a kernel is further from float64 than `BOUND` allows, in a dtype that it takes."""
    count, channels, _, _ = _TRIED
    # Not random, and no multiples of one another; a mean of several deviations.
    x = (torch.arange(torch.Size(_TRIED).numel(), device=device) * 0.7).sin().view(_TRIED) + 2
    norm = nn.GroupNorm(32, channels, device=device).requires_grad_(False)
    norm.weight.copy_(1 + x[0, :, 0, 0])
    condition = (torch.arange(2 * count * channels, device=device) * 0.3).cos()
    condition = condition.view(count, -1, 1, 1)
    for dtype in kernel.DTYPES:
        made = kernel.activated_group_norm(x.to(dtype), norm, condition)
        off = excess(made, x.to(dtype), norm, condition)
        if not off <= 0:
            return f"its {dtype} is {off:.1e} beyond its bound"
    return None


def excess(made: Tensor, x: Tensor, norm: nn.GroupNorm, condition: Tensor | None) -> float:
    """How far beyond `BOUND` the furthest of `made` is, the norm of x [N, C, H, W]; 0 or less where
    all are within it."""
    weight, bias = norm.weight.double(), norm.bias.double()
    exact = functional.group_norm(x.double(), norm.num_groups, weight, bias, norm.eps)
    if condition is not None:
        scale, shift = condition.double().chunk(2, dim=1)
        exact = exact * (1 + scale) + shift
    exact = functional.silu(exact)
    rounding = torch.finfo(made.dtype).eps / 2 * exact.abs()
    return float(((made - exact).abs() - rounding).max() - BOUND * exact.abs().max())


def activated_group_norm(x: Tensor, norm: nn.GroupNorm, condition: Tensor | None) -> Tensor:
    """silu(norm(x) * (1 + scale) + shift) of [N, C, H, W] -> the same shape and dtype.

    The form for small images on a CPU, all in float32 and rounded once, in channels last: a norm,
    its weights and the condition are one factor and one summand for each sample and channel.
    Outside autocast alone.
    condition: float32 [N, 2 C, 1, 1], or none.
    """
    count, channels, height, width = x.shape
    pixels, groups = height * width, norm.num_groups
    flat = x.permute(0, 2, 3, 1).reshape(count, pixels, channels).float()  # [N, HW, C]
    # Products with ones: the library's sums over pixels, several times as fast as torch's.
    ones = flat.new_ones(1, pixels)
    sums = torch.matmul(ones, flat).view(count, groups, -1)  # [N, groups, C / groups]
    squares = torch.matmul(ones, flat * flat).view(count, groups, -1)
    size = pixels * channels // groups
    mean = sums.sum(2, keepdim=True) / size  # [N, groups, 1]
    variance = (squares.sum(2, keepdim=True) / size - mean * mean).clamp_(min=0)
    factor = (variance + norm.eps).rsqrt() * norm.weight.view(groups, -1)
    summand = norm.bias.view(groups, -1) - mean * factor
    factor, summand = factor.view(count, 1, channels), summand.view(count, 1, channels)
    if condition is not None:
        scale, shift = condition.view(count, 1, -1).chunk(2, dim=2)  # [N, 1, C] each
        factor, summand = factor * (1 + scale), summand * (1 + scale) + shift
    made = functional.silu(torch.addcmul(summand, flat, factor), inplace=True).to(x.dtype)
    return made.view(count, height, width, channels).permute(0, 3, 1, 2)
