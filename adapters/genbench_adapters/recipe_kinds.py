"""Kinds of a recipe's values that a Python type does not say: annotate a key with one of these and
`read_recipe` keeps its files to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Range:
    """From least to most, both included."""

    least: float = 0
    most: float = math.inf

    def holds(self, value: float) -> bool:
        """Whether a value is in it."""
        return self.least <= value <= self.most

    def remedy(self) -> str:
        """What to give instead of a value outside."""
        if self.most == math.inf:
            return f"give {self.least:g} or more"
        return f"give {self.least:g} to {self.most:g}"


Count = Annotated[int, Range(1)]
Whole = Annotated[int, Range()]  # or none
Cost = Annotated[float, Range()]
Rate = Annotated[float, Range()]  # of an optimiser; 0 holds a network fixed
Share = Annotated[float, Range(0, 1)]
