"""Weights that need no storage: parity cases name a seed, keys and shapes, and the rest is made.

The recipe `genbench-parity-1` makes every tensor on its own, from the seed and the tensor's name:

1. NumPy's PCG64, seeded with [seed, *name in UTF-8], gives one raw 64-bit word an element.
2. The four 16-bit parts of a word are added, their mean is taken off, and the whole number is
   divided by its deviation in float32: n, near to a standard normal, at most 3.46 from zero.
3. The first rule of `_made` that fits the name and the shape makes the tensor of n.

Raw words never change between versions of NumPy (its normal numbers may), and one sum, product or
quotient of float32 is rounded alike everywhere: the weights are bit-equal on every machine. No
tensor stays at what a constructor leaves, such as zero; no activation dies or runs away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECIPE = "genbench-parity-1"
Floats = NDArray[np.float32]

_MEAN = 2 * 65535  # of four numbers, each even over 0 to 65535
_DEVIATION = np.float32(65536 / math.sqrt(3))
_KERAS = "/.ATTRIBUTES/VARIABLE_VALUE"  # ends every name in a TensorFlow checkpoint
_TABLES = ("label_emb.weight", "positional_embedding", "embedding_weight")  # nothing is summed


def made_weights(entry: Mapping[str, Any]) -> dict[str, Floats]:
    """The tensors of a `weights` entry: {"recipe", "seed", "keys": {name: [dtype, shape]}}."""
    if entry["recipe"] != RECIPE:
        raise ValueError(f"weights of the recipe {entry['recipe']!r}; only {RECIPE} is known")
    other = {name: dtype for name, (dtype, _) in entry["keys"].items() if dtype != "float32"}
    if other:
        raise ValueError(f"{RECIPE} makes float32 alone, not {other}")
    shapes = {name: tuple(shape) for name, (_, shape) in entry["keys"].items()}
    return {name: _made(entry["seed"], name, shapes) for name in shapes}


def numbers(seed: int, name: str, shape: Sequence[int]) -> Floats:
    """The n of the recipe: whole numbers over one divisor, like normal ones."""
    words = np.random.PCG64([seed, *name.encode()]).random_raw(math.prod(shape))
    parts = sum((words >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48))
    centred = np.asarray(parts).astype(np.int64) - _MEAN
    made: Floats = centred.astype(np.float32).reshape(tuple(shape)) / _DEVIATION
    return made


def _made(seed: int, name: str, shapes: Mapping[str, tuple[int, ...]]) -> Floats:
    shape = shapes[name]
    n, short = numbers(seed, name, shape), name.removesuffix(_KERAS)
    if short.endswith("running_vars"):
        return np.float32(0.5) + np.float32(0.5) * n * n
    if short.endswith("moving_variance"):
        return np.float32(4) + np.float32(4) * n * n  # residual branches add up: keep each small
    if short.endswith(("running_means", "moving_mean")):
        return np.float32(0.3) * n
    if short.endswith(("weight_u", "weight_v")):
        return n / _root(shape[0])  # near to unit vectors, as power iteration leaves them
    if short.endswith(_TABLES):
        return np.float32(0.5) * n
    if short.endswith("freqs"):
        return np.float32(16) * n
    if short.endswith("gamma") or (len(shape) == 1 and short.endswith("weight")):
        return np.float32(1) + np.float32(0.2) * n
    if len(shape) == 1 or short.endswith("bias"):
        return np.float32(0.2) * n
    outputs = shape[-1] if short.endswith("kernel") else shape[0]  # Keras has inputs first
    plain = n / _root(math.prod(shape) // outputs)
    if not short.endswith("weight_orig"):
        return plain
    # Spectral norm divides by u W v, which is near to 2 with this and would be near to 0 without.
    left, right = (
        _made(seed, name.replace("weight_orig", end), shapes) for end in ("weight_u", "weight_v")
    )
    pair: Floats = np.outer(left, right).reshape(shape)
    return plain + np.float32(2) * pair


def _root(count: int) -> np.float32:
    return np.float32(math.sqrt(count))
