"""The smallest difference that matters: a share of a figure, or a number in its unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from genbench.errors import UsageError


@dataclass(frozen=True)
class Margin:
    """`share` of the figure it is of, or `absolute`; one of them is 0."""

    share: float = 0.0
    absolute: float = 0.0

    def of(self, value: float) -> float:
        """In the unit of a figure of that value."""
        return self.share * abs(value) + self.absolute

    def __str__(self) -> str:
        return f"{self.share * 100:g}%" if self.share else f"{self.absolute:g}"


def margin_of(text: str) -> Margin:
    """The margin of "2%" or "0.5". Raises UsageError for anything else and below 0."""
    given, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise UsageError(f"--margin {text} is no margin: 2% of the figure, or 0.5 in its unit")
    return Margin(share=number / 100) if percent else Margin(absolute=number)
