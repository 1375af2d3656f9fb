"""A figure and its interval, which every metric returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from genbench.metrics.influence import Influence

if TYPE_CHECKING:
    from torch import Tensor

NORMAL_95 = 1.959963984540054  # 97.5% quantile of the normal distribution


@dataclass(frozen=True)
class Estimate:
    """A figure, and where asked for its 95% interval [low, high].

    singular: whether the samples were too few for a covariance of full rank. exact: the figure by
    exact distances, where `value` imitates those of another evaluator. reference_bias: what the
    finite reference adds to the value, about. note: what a reader must know of the figure.
    influence: what the interval rests on, for differences; None where there is none to keep.
    """

    value: float
    low: float | None = None
    high: float | None = None
    interval: str = ""  # the method and what it holds fixed; or why there is no interval
    singular: bool = False
    exact: float | None = None
    reference_bias: float | None = None
    note: str = ""
    influence: Influence | None = field(default=None, repr=False, compare=False)


def normal_interval(
    value: float, variance: float, held: str, influence: Influence | None = None
) -> Estimate:
    """`value` with the 95% interval of a normal distribution of that variance. held: what the
    interval holds fixed, in words. influence: what the variance rests on."""
    half_width = NORMAL_95 * math.sqrt(variance)
    text = f"95% delta method {held}"
    return Estimate(value, value - half_width, value + half_width, text, influence=influence)


def normal_mean(values: Tensor, held: str) -> Estimate:
    """The mean of float64 [N], N above 1, with the 95% interval of its standard error. held: what
    the interval holds fixed, in words."""
    value = float(values.mean())
    half_width = NORMAL_95 * float(values.std()) / math.sqrt(len(values))
    return Estimate(
        value, value - half_width, value + half_width, f"95% normal {held}",
        influence=Influence(rows=values.numpy()),
    )  # fmt: skip


def fraction(hits: Tensor, held: str) -> Estimate:
    """Share of True in bool [N] with Wilson's 95% score interval (Wilson 1927) where `held` is
    said."""
    count = len(hits)
    share = int(hits.sum()) / count
    if not held:
        return Estimate(share)
    z = NORMAL_95
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half_width = math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    half_width *= z / (1 + z * z / count)
    # At the ends the formula's own end is 0 or 1 but for rounding.
    low = max(middle - half_width, 0.0) if share > 0 else 0.0
    high = min(middle + half_width, 1.0) if share < 1 else 1.0
    influence = Influence(rows=hits.double().numpy())
    return Estimate(share, low, high, f"95% Wilson {held}", influence=influence)
