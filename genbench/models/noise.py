"""Random streams: every number is a function of (seed, sample, step, element) alone.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) is keyed by
the seed and counts (element, step, sample, purpose). Uniforms become normals through the inverse
normal distribution (Wichura, algorithm AS 241, 1988) in float64, by additions, multiplications,
divisions and square roots only: IEEE 754 rounds those the same everywhere, so a CPU and a GPU give
the same bits, and no batch size, rank or world size can change a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from genbench.errors import UsageError

SCHEME = "philox4x32-10/as241/1"  # recorded with every sample; changes when the numbers do

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_PURPOSES = {"labels": 1, "uniform": 2, "normal": 3, "integers": 4}
_MAX_ELEMENTS = 1 << 22  # numbers made at once: bounds the memory of the float64 intermediates

# AS 241, PPND16: numerator and denominator, constant term first.
_CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
     1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
     3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
     5.2264952788528545610e3),
)  # fmt: skip
_TAIL = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
     3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
     2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
     1.05075007164441684324e-9),
)  # fmt: skip


def philox(counter: Sequence[Tensor], key: tuple[int, int]) -> list[Tensor]:
    """Philox4x32-10: four int64 tensors of 32-bit words, any shape that broadcasts -> four words
    of the broadcast shape, 0 … 2**32-1. key: two such words."""
    words = list(counter)
    low_key, high_key = key
    for _ in range(10):
        # int64 products wrap modulo 2**64, which leaves the bits of the unsigned product.
        left, right = words[0] * _MULTIPLIERS[0], words[2] * _MULTIPLIERS[1]
        words = [
            ((right >> 32) & _MASK) ^ words[1] ^ low_key,
            right & _MASK,
            ((left >> 32) & _MASK) ^ words[3] ^ high_key,
            left & _MASK,
        ]
        low_key, high_key = (low_key + _WEYL[0]) & _MASK, (high_key + _WEYL[1]) & _MASK
    return words


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    total = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x
        total = total + coefficient  # two operations: a fused one would round differently
    return total


def _log(x: Tensor) -> Tensor:
    """Natural logarithm of positive float64, by 2 atanh((m - 1) / (m + 1)) of the mantissa m."""
    mantissa, exponent = torch.frexp(x)  # mantissa in [0.5, 1)
    small = mantissa < 0.7071067811865476
    mantissa = torch.where(small, mantissa * 2.0, mantissa)
    power = exponent.to(torch.float64) - small.to(torch.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    series = _polynomial([1.0 / (2 * k + 1) for k in range(12)], s * s)
    return (s * 2.0) * series + power * 0.6931471805599453


def _inverse_normal(words: Tensor) -> Tensor:
    """Standard normal float64 of 32-bit words, each the quantile at (word + 1/2) / 2**32."""
    u = (words.to(torch.float64) + 0.5) * 2.0**-32
    q = u - 0.5
    # Not 1 - u on one side: both tails must be exact mirror images.
    tail = torch.minimum(u, (_MASK - words).to(torch.float64) * 2.0**-32 + 2.0**-33)
    r = 0.180625 - q * q
    centre = q * (_polynomial(_CENTRE[0], r) / _polynomial(_CENTRE[1], r))
    # The smallest u is 2**-33, so sqrt(-log u) < 4.8 and AS 241's far tail (above 5) is never met.
    r = torch.sqrt(-_log(tail)) - 1.6
    outer = _polynomial(_TAIL[0], r) / _polynomial(_TAIL[1], r)
    return torch.where(q.abs() <= 0.425, centre, torch.where(q < 0, -outer, outer))


def check_seed(seed: int) -> None:
    """Raise UsageError for a seed beyond 64 bits."""
    if not 0 <= seed < 2**64:
        raise UsageError(f"seed {seed} is outside 0 … 2**64-1: choose another")


class NoiseStream:
    """The random numbers of a batch of samples, on one device.

    indices: int64 [N], the samples' numbers, 0 <= index < 2**48. Every method returns [N, *shape];
    row i depends on (seed, indices[i], step, position in shape) alone.
    """

    def __init__(self, seed: int, indices: Tensor, device: torch.device | None = None) -> None:
        check_seed(seed)
        self.seed = seed
        self.device = device or indices.device
        self.indices = indices.to(device=self.device, dtype=torch.int64)

    def __len__(self) -> int:
        return self.indices.shape[0]

    def _words(self, purpose: str, step: int, rows: slice, count: int) -> Tensor:
        """32-bit words int64 [n, count] of some of the samples."""
        index = self.indices[rows, None]  # [n, 1]
        # Four words make one block of the generator: [1, ceil(count / 4)] and three of [n, 1].
        counter = (
            torch.arange((count + 3) // 4, device=self.device)[None, :],
            torch.full_like(index, step),
            index & _MASK,
            (index >> 32) | (_PURPOSES[purpose] << 16),
        )
        words = philox(counter, (self.seed & _MASK, self.seed >> 32))
        # [n, blocks, 4] -> [n, 4 blocks] -> [n, count].
        return torch.stack(words, dim=-1).reshape(index.shape[0], -1)[:, :count]

    def _blocks(self, purpose: str, step: int, shape: Sequence[int]) -> list[Tensor]:
        count = prod(shape)
        rows = max(1, _MAX_ELEMENTS // max(1, count))
        starts = range(0, len(self), rows)
        return [self._words(purpose, step, slice(start, start + rows), count) for start in starts]

    def normal(self, shape: Sequence[int], *, step: int = 0) -> Tensor:
        """Standard normal float32 [N, *shape]; samplers pass their step number (0 for x_T, z)."""
        blocks = [_inverse_normal(w).float() for w in self._blocks("normal", step, shape)]
        return self._joined(blocks, shape, torch.float32)

    def uniform(self, shape: Sequence[int], *, step: int = 0) -> Tensor:
        """Uniform float32 [N, *shape] in [0, 1), multiples of 2**-24."""
        blocks = [(w >> 8).float() * 2.0**-24 for w in self._blocks("uniform", step, shape)]
        return self._joined(blocks, shape, torch.float32)

    def integers(self, high: int, shape: Sequence[int] = (), *, step: int = 0) -> Tensor:
        """Uniform int64 [N, *shape] in [0, high), high <= 2**31 (bias below high / 2**32)."""
        blocks = [(w * high) >> 32 for w in self._blocks("integers", step, shape)]
        return self._joined(blocks, shape, torch.int64)

    def labels(self, classes: int) -> Tensor:
        """Uniform class labels int64 [N] in [0, classes)."""
        blocks = [(w * classes) >> 32 for w in self._blocks("labels", 0, ())]
        return self._joined(blocks, (), torch.int64)

    def _joined(self, blocks: list[Tensor], shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        if not blocks:
            return torch.empty((0, *shape), dtype=dtype, device=self.device)
        return torch.cat(blocks).reshape(len(self), *shape)


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
        cycle = torch.tensor(given, device=noise.device)
        return cycle[noise.indices % len(given)]
    if schedule == "balanced":
        return noise.indices % classes
    return noise.labels(classes)


def _given_classes(schedule: str, classes: int) -> list[int]:
    if schedule in ("uniform", "balanced"):
        return []
    try:
        given = [int(word) for word in schedule.split(",")]
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
