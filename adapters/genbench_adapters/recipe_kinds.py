"""Kinds of a recipe's values that a Python type does not say: annotate a key with one of these and
`read_recipe` keeps its files to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Range:
    """From least to most, both included; `above`: without the least."""

    least: float = 0
    most: float = math.inf
    above: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value is in it."""
        return self.least <= value <= self.most and not (self.above and value == self.least)

    def remedy(self) -> str:
        """What to give instead of a value outside."""
        if self.above:
            limit = "" if self.most == math.inf else f" and at most {self.most:g}"
            return f"give more than {self.least:g}{limit}"
        if self.most == math.inf:
            return f"give {self.least:g} or more"
        return f"give {self.least:g} to {self.most:g}"


Count = Annotated[int, Range(1)]
Whole = Annotated[int, Range()]  # or none
Cost = Annotated[float, Range()]
Rate = Annotated[float, Range()]  # of an optimiser; 0 holds a network fixed
Share = Annotated[float, Range(0, 1)]
Factor = Annotated[float, Range(above=True)]  # of what may grow or shrink, not vanish
Shrinking = Annotated[float, Range(0, 1, above=True)]
