"""A figure and its interval, which every metric returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

NORMAL_95 = 1.959963984540054  # 97.5% quantile of the normal distribution


@dataclass(frozen=True)
class Estimate:
    """A figure, and where asked for its 95% interval [low, high].

    singular: whether the samples were too few for a covariance of full rank. exact: the figure by
    exact distances, where `value` imitates those of another evaluator. reference_bias: what the
    finite reference adds to the value, about. note: what a reader must know of the figure.
    """

    value: float
    low: float | None = None
    high: float | None = None
    interval: str = ""  # the method and what it holds fixed; or why there is no interval
    singular: bool = False
    exact: float | None = None
    reference_bias: float | None = None
    note: str = ""


def normal_interval(value: float, variance: float, held: str) -> Estimate:
    """`value` with the 95% interval of a normal distribution of that variance. held: what the
    interval holds fixed, in words."""
    half_width = NORMAL_95 * math.sqrt(variance)
    return Estimate(value, value - half_width, value + half_width, f"95% delta method {held}")
