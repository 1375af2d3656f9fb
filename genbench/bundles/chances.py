"""With what probability a forger is caught by looking at some of the samples again."""

from __future__ import annotations

import math


def caught(units: int, changed: int, looked_at: int) -> float:
    """The chance that `looked_at` of `units`, drawn without replacement, hold one of the `changed`:
    1 - C(units - changed, looked_at) / C(units, looked_at), of the hypergeometric distribution."""
    if not 0 <= changed <= units or not 0 <= looked_at <= units:
        raise ValueError(f"{changed} changed and {looked_at} looked at, of {units}")
    if looked_at > units - changed:
        return 1.0
    logarithm = sum(
        math.log1p(-changed / (units - place)) for place in range(looked_at)
    )  # fmt: skip
    return -math.expm1(logarithm)


def largest_missed(units: int, looked_at: int, confidence: float = 0.95) -> float:
    """The largest share of units that a forger could have changed without being caught with that
    confidence: every larger share would have been."""
    low, high = 0, units
    while low < high:
        middle = (low + high) // 2
        if caught(units, middle, looked_at) >= confidence:
            high = middle
        else:
            low = middle + 1
    return max(low - 1, 0) / units if units else 0.0
