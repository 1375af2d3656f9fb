"""What every family's parity checks share: opening a case and stating a result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parity_weights import made_weights
from torch import Tensor

SINGLE = 1e-5  # of the largest value: one forward pass in float32
TRAJECTORY = 1e-4  # of images in [-1, 1] after many passes


class UnknownCaseError(Exception):
    """A file that is no parity case, or one that nobody checks."""


@dataclass(frozen=True)
class Check:
    """One comparison: the largest error against what is allowed."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance  # False for NaN

    def __str__(self) -> str:
        verdict = "pass" if self.passed else "FAIL"
        return f"{self.name}: error {self.error:.3g}, tolerance {self.tolerance:.3g}: {verdict}"


@dataclass(frozen=True)
class Case:
    """A case: its arrays by name, its meta data, and the state dict among them or from a seed."""

    path: Path
    meta: Mapping[str, Any] = field(default_factory=dict)  # of the file's __meta__, if it has one
    arrays: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def state(self, prefix: str = "sd/") -> dict[str, Tensor]:
        """The tensors under a prefix: of the recipe that the file names, and stored ones."""
        recipe = self.meta.get("weights")  # some files name another here, in words
        made = made_weights(recipe) if isinstance(recipe, Mapping) else {}
        held = {**made, **self.arrays}
        names = [name for name in held if name.startswith(prefix)]
        return {name.removeprefix(prefix): torch.from_numpy(held[name]) for name in names}


def open_case(path: Path) -> Case:
    """The case at a path; a folder is one without arrays."""
    if path.is_dir():
        return Case(path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(arrays.pop("__meta__"))) if "__meta__" in arrays else {}
    return Case(path, meta, arrays)


def largest(ours: Tensor, theirs: Tensor) -> float:
    """Largest absolute difference; infinite for other shapes."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float((ours.double() - theirs.double()).abs().max())


def close(name: str, ours: Tensor, theirs: Tensor) -> Check:
    """One forward pass in float32 against the official one."""
    return Check(name, largest(ours, theirs), SINGLE * float(theirs.abs().max()))


def same_pixels(name: str, ours: Tensor, theirs: Tensor) -> tuple[Check, Check]:
    """Our uint8 [N, 3, H, W] against official [N, H, W, 3]: rounding tips a value here and there
    by a level, in small images a handful."""
    off = (ours.int() - theirs.permute(0, 3, 1, 2).int()).abs()
    share, allowed = float((off > 0).float().mean()), max(1e-3, 4 / off.numel())
    return (
        Check(f"{name}, levels", float(off.max()), 1),
        Check(f"{name}, share of values off", share, allowed),
    )
