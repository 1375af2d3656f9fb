"""Random streams: every number is a function of (seed, sample, step, element) alone.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) is keyed by
the seed and counts (element, step, sample, purpose). Uniforms become normals through the inverse
normal distribution (Wichura, algorithm AS 241, 1988) in float64, by additions, multiplications,
divisions and square roots only: IEEE 754 rounds those the same everywhere, so a CPU and a GPU give
the same bits, and no batch size, rank or world size can change a sample.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, partial
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from genbench.errors import UsageError
from genbench.models.philox import MASK, PURPOSES, inverse_normal, philox
from genbench.runtime.kernels import kernels_of

SCHEME = "philox4x32-10/as241/1"  # recorded with every sample; changes when the numbers do

_MAX_ELEMENTS = 1 << 22  # numbers made at once: bounds the memory of the float64 intermediates


Steps = range | Tensor  # numbers of steps; int64 [1] on the device for one

# Samples and shape on which a kernel is compared with the single operations, and their seed.
_KERNELS = {"cuda": "genbench.models.noise_kernel"}
_TRIED, _TRIED_SEED = (16, 3, 171), 0x9D2C5680_EFC60000


def check_seed(seed: int) -> None:
    """Raise UsageError for a seed beyond 64 bits."""
    if not 0 <= seed < 2**64:
        raise UsageError(f"seed {seed} is outside 0 … 2**64-1: choose another")


class NoiseStream:
    """The random numbers of a batch of samples, on one device.

    indices: int64 [N], the samples' numbers, 0 <= index < 2**48. Row i of what a method returns
    depends on (seed, indices[i], step, position in shape) alone. A step is a number below 2**32, or
    for normals and uniforms int64 [1] on the device, which nobody waits for: the same bits. On a
    CUDA device with Triton these are made by one kernel (`noise_kernel`), the same bits again.
    """

    def __init__(self, seed: int, indices: Tensor, device: torch.device | None = None) -> None:
        check_seed(seed)
        self.seed = seed
        self.device = device or indices.device
        self.indices = indices.to(device=self.device, dtype=torch.int64)

    def __len__(self) -> int:
        return self.indices.shape[0]

    def _words(self, purpose: str, steps: Steps, rows: slice, count: int) -> Tensor:
        """32-bit words int64 [n, steps, count] of some of the samples."""
        index = self.indices[rows, None, None]  # [n, 1, 1]
        if isinstance(steps, range):
            steps = torch.arange(steps.start, steps.stop, device=self.device)
        # Four words make one block of the generator: [ceil(count / 4)], [steps, 1] and two of
        # [n, 1, 1].
        counter = (
            torch.arange((count + 3) // 4, device=self.device),
            steps[:, None],
            index & MASK,
            (index >> 32) | (PURPOSES[purpose] << 16),
        )
        words = philox(counter, (self.seed & MASK, self.seed >> 32))
        # [n, steps, blocks, 4] -> [n, steps, 4 blocks] -> [n, steps, count].
        return torch.stack(words, dim=-1).flatten(2)[:, :, :count]

    def _blocks(self, purpose: str, steps: Steps, shape: Sequence[int]) -> list[Tensor]:
        count = prod(shape)
        rows = max(1, _MAX_ELEMENTS // max(1, count * len(steps)))
        starts = range(0, len(self), rows)
        return [self._words(purpose, steps, slice(start, start + rows), count) for start in starts]

    def normal(self, shape: Sequence[int], *, step: int | Tensor = 0) -> Tensor:
        """Standard normal float32 [N, *shape]; samplers pass their step number (0 for x_T, z)."""
        return self._normals(shape, _alone(step)).squeeze(1)

    def normal_steps(self, shape: Sequence[int], steps: int) -> Tensor:
        """Standard normal float32 [N, steps, *shape]: what `normal` gives for steps 0 … steps - 1,
        in one set of operations."""
        return self._normals(shape, range(steps))

    def _normals(self, shape: Sequence[int], steps: Steps) -> Tensor:
        if kernel := _kernel(self.device, prod(shape)):
            return kernel.normals(self.seed, self.indices, steps, shape)
        return self._plain_normals(shape, steps)

    def _plain_normals(self, shape: Sequence[int], steps: Steps) -> Tensor:
        blocks = [inverse_normal(w).float() for w in self._blocks("normal", steps, shape)]
        return self._joined(blocks, (len(steps), *shape), torch.float32)

    def uniform(self, shape: Sequence[int], *, step: int | Tensor = 0) -> Tensor:
        """Uniform float32 [N, *shape] in [0, 1), multiples of 2**-24."""
        steps = _alone(step)
        if kernel := _kernel(self.device, prod(shape)):
            return kernel.uniforms(self.seed, self.indices, steps, shape).squeeze(1)
        return self._plain_uniforms(shape, steps)

    def _plain_uniforms(self, shape: Sequence[int], steps: Steps) -> Tensor:
        blocks = [(w >> 8).float() * 2.0**-24 for w in self._blocks("uniform", steps, shape)]
        return self._joined(blocks, shape, torch.float32)

    def integers(self, high: int, shape: Sequence[int] = (), *, step: int = 0) -> Tensor:
        """Uniform int64 [N, *shape] in [0, high), high <= 2**31 (bias below high / 2**32)."""
        blocks = [(w * high) >> 32 for w in self._blocks("integers", range(step, step + 1), shape)]
        return self._joined(blocks, shape, torch.int64)

    def labels(self, classes: int) -> Tensor:
        """Uniform class labels int64 [N] in [0, classes)."""
        blocks = [(w * classes) >> 32 for w in self._blocks("labels", range(1), ())]
        return self._joined(blocks, (), torch.int64)

    def _joined(self, blocks: list[Tensor], shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        if not blocks:
            return torch.empty((0, *shape), dtype=dtype, device=self.device)
        return torch.cat(blocks).reshape(len(self), *shape)


def _alone(step: int | Tensor) -> Steps:
    return step if isinstance(step, Tensor) else range(step, step + 1)


class _Kernel(Protocol):
    """`noise_kernel`: normals and uniforms float32 [N, steps, *shape] of samples int64 [N]."""

    MOST: int

    def normals(self, seed: int, indices: Tensor, steps: Steps, shape: Sequence[int]) -> Tensor: ...

    def uniforms(
        self, seed: int, indices: Tensor, steps: Steps, shape: Sequence[int]
    ) -> Tensor: ...


def _kernel(device: torch.device, count: int) -> _Kernel | None:
    """The kernel that makes `count` numbers a sample at once; None: single operations make them."""
    kernel = _kernel_of(device)
    return kernel if kernel is not None and count <= kernel.MOST else None


@cache
def _kernel_of(device: torch.device) -> _Kernel | None:
    """A device's kernel, if it gives the bits of the single operations.

    GENBENCH_NOISE=plain leaves it out.
    """
    if os.environ.get("GENBENCH_NOISE") == "plain":
        return None
    find = partial(_fault, device=device)
    kernel: _Kernel | None = kernels_of(device, _KERNELS, find, "noise")
    return kernel


def _fault(kernel: _Kernel, device: torch.device) -> str | None:
    """Whether a kernel gives other bits than the single operations."""
    indices = torch.arange(_TRIED[0], device=device) * 0xF0F0F0F0F  # both words of the number
    stream, steps, shape = NoiseStream(_TRIED_SEED, indices), range(3), _TRIED[1:]
    pairs = [
        (kernel.normals(_TRIED_SEED, indices, steps, shape), stream._plain_normals(shape, steps))
    ]
    # A step of the device's: as in the middle one of those above.
    held = torch.ones(1, dtype=torch.int64, device=device)
    pairs.append((kernel.normals(_TRIED_SEED, indices, held, shape), pairs[0][1][:, 1:2]))
    drawn = kernel.uniforms(_TRIED_SEED, indices, steps[:1], shape).squeeze(1)
    pairs.append((drawn, stream._plain_uniforms(shape, steps[:1])))
    return None if all(torch.equal(*pair) for pair in pairs) else "it gives other bits"


def scheduled_labels(schedule: str, classes: int, noise: NoiseStream) -> Tensor | None:
    """Labels int64 [N] of the samples of `noise`; None for an unconditional model (classes 0).

    "uniform": drawn from (seed, i), as the ADM scripts do; "balanced": i modulo classes, so that
    every prefix holds each class equally often to within one; "3,17": these classes in turn.
    Raises UsageError for any other schedule and for classes that the model does not have.
    """
    given = _given_classes(schedule, classes)
    if classes == 0:
        return None
    if given:
        return _on_device(given, noise.device)[noise.indices % len(given)]
    if schedule == "balanced":
        return noise.indices % classes
    return noise.labels(classes)


@cache
def _on_device(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    """int64 [len(numbers)]; kept, since a copy to a GPU makes the host wait."""
    return torch.tensor(numbers, device=device)


def _given_classes(schedule: str, classes: int) -> tuple[int, ...]:
    if schedule in ("uniform", "balanced"):
        return ()
    try:
        given = tuple(int(word) for word in schedule.split(","))
    except ValueError as error:
        raise UsageError(
            f"--labels {schedule!r}: use uniform, balanced, or class numbers such as 3,17"
        ) from error
    if classes == 0:
        raise UsageError(f"--labels {schedule}: this model is unconditional, leave the labels out")
    wrong = [number for number in given if not 0 <= number < classes]
    if wrong:
        raise UsageError(f"--labels: class {wrong[0]} is not one of 0 … {classes - 1}")
    return given
