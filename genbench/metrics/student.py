"""Student's t, and the normal distribution as its limit."""

from __future__ import annotations


def two_sided(statistic: float, freedom: float) -> float:
    """The chance of a value as far from 0. freedom: degrees of it; 0: normal."""
    from scipy.special import ndtr, stdtr

    far = -abs(statistic)
    return 2 * float(stdtr(freedom, far) if freedom else ndtr(far))


def student_quantile(probability: float, freedom: float) -> float:
    """The value that is exceeded with chance 1 - `probability`; freedom: as of `two_sided`."""
    from scipy.special import ndtri, stdtrit

    return float(stdtrit(freedom, probability) if freedom else ndtri(probability))


def as_normal(statistic: float, freedom: float) -> float:
    """The normal deviate that is exceeded as seldom as `statistic` is."""
    from scipy.special import ndtri, stdtr

    if not freedom:
        return statistic
    tail = float(stdtr(freedom, -abs(statistic)))
    deviate = -float(ndtri(max(tail, 1e-300)))
    return deviate if statistic > 0 else -deviate
