"""Kinds of a recipe's values that a Python type does not say: annotate a key with one of these and
`read_recipe` keeps its files to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Range:
    """From least to most, both included; `above`: without the least, `below`: without the most."""

    least: float = 0
    most: float = math.inf
    above: bool = False
    below: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value is in it."""
        high_enough = value > self.least if self.above else value >= self.least
        return high_enough and (value < self.most if self.below else value <= self.most)

    def remedy(self) -> str:
        """What to give instead of a value outside."""
        if self.most < math.inf and not self.above and not self.below:
            return f"give {self.least:g} to {self.most:g}"
        least = f"more than {self.least:g}" if self.above else f"{self.least:g} or more"
        most = f" and {'less than' if self.below else 'at most'} {self.most:g}"
        return f"give {least}{most if self.most < math.inf else ''}"


Count = Annotated[int, Range(1)]
Whole = Annotated[int, Range()]  # or none
Cost = Annotated[float, Range()]
Rate = Annotated[float, Range()]  # of an optimiser; 0 holds a network fixed
Share = Annotated[float, Range(0, 1)]
Factor = Annotated[float, Range(above=True)]  # of what may grow or shrink, not vanish
Shrinking = Annotated[float, Range(0, 1, above=True)]
