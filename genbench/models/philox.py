"""32-bit words of a counter, and the normal numbers they stand for, in operations on tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
PURPOSES = {"labels": 1, "uniform": 2, "normal": 3, "integers": 4}  # a part of the counter

# AS 241, PPND16: numerator and denominator, constant term first.
CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
     1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
     3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
     5.2264952788528545610e3),
)  # fmt: skip
TAIL = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
     3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
     2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
     1.05075007164441684324e-9),
)  # fmt: skip
SERIES = tuple(1.0 / (2 * k + 1) for k in range(12))  # of atanh


def philox(counter: Sequence[Tensor], key: tuple[int, int]) -> list[Tensor]:
    """Philox4x32-10: four int64 tensors of 32-bit words, any shape that broadcasts -> four words
    of the broadcast shape, 0 … 2**32-1. key: two such words."""
    words = list(counter)
    low_key, high_key = key
    for _ in range(10):
        # int64 products wrap modulo 2**64, which leaves the bits of the unsigned product.
        left, right = words[0] * MULTIPLIERS[0], words[2] * MULTIPLIERS[1]
        words = [
            ((right >> 32) & MASK) ^ words[1] ^ low_key,
            right & MASK,
            ((left >> 32) & MASK) ^ words[3] ^ high_key,
            left & MASK,
        ]
        low_key, high_key = (low_key + WEYL[0]) & MASK, (high_key + WEYL[1]) & MASK
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
    series = _polynomial(SERIES, s * s)
    return (s * 2.0) * series + power * 0.6931471805599453


def inverse_normal(words: Tensor) -> Tensor:
    """Standard normal float64 of 32-bit words int64, of any shape, each the quantile at
    (word + 1/2) / 2**32."""
    u = (words.to(torch.float64) + 0.5) * 2.0**-32
    q = u - 0.5
    # Not 1 - u on one side: both tails must be exact mirror images.
    tail = torch.minimum(u, (MASK - words).to(torch.float64) * 2.0**-32 + 2.0**-33)
    r = 0.180625 - q * q
    centre = q * (_polynomial(CENTRE[0], r) / _polynomial(CENTRE[1], r))
    # The smallest u is 2**-33, so sqrt(-log u) < 4.8 and AS 241's far tail (above 5) is never met.
    r = torch.sqrt(-_log(tail)) - 1.6
    outer = _polynomial(TAIL[0], r) / _polynomial(TAIL[1], r)
    return torch.where(q.abs() <= 0.425, centre, torch.where(q < 0, -outer, outer))
