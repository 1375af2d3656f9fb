"""A difference shared out among the steps that make it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import factorial, fsum

Value = Callable[[frozenset[str]], float]


def averaged(steps: Sequence[str], value: Value) -> dict[str, float]:
    """What each step adds on average over all orders in which the steps can be taken (Shapley
    1953): sum over the sets S of other steps of |S|! (n - |S| - 1)! / n! (v(S + step) - v(S)).

    value: the figure once the steps of a set were taken; it is asked for all 2^n sets, each as
    often as it is needed, so let it remember. The shares sum to v(all) - v(none), but for rounding.
    """
    count = len(steps)
    shares = {}
    for step in steps:
        others = [other for other in steps if other != step]
        terms = []
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for chosen in combinations(others, size):
                before = frozenset(chosen)
                terms.append(weight * (value(before | {step}) - value(before)))
        shares[step] = fsum(terms)
    return shares


def in_order(steps: Sequence[str], value: Value) -> dict[str, float]:
    """What each step adds when they are taken in the order given: n + 1 figures instead of 2^n,
    and shares that another order would change. They sum to v(all) - v(none), but for rounding."""
    taken: frozenset[str] = frozenset()
    shares = {}
    for step in steps:
        following = taken | {step}
        shares[step] = value(following) - value(taken)
        taken = following
    return shares
