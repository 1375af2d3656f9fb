"""Groups of trainings: the spread between them decides, not the samples' chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from made_records import made

from genbench.errors import UsageError
from genbench.verdicts.groups import Group, compare_groups, permutation_chance

FIGURES = {name: made("toy", name, 0.0) for name in ("fd", "recall")}
STANDARD = made("toy", "fd", 0.0, protocol="standard")


def group(name: str, values: Sequence[float], metric: str = "fd", **more: object) -> Group:
    """Trainings whose samples' own chance is far smaller than what lies between them."""
    return Group(name=name, runs=tuple(
        [replace(FIGURES[metric], value=value, run=f"{name}{number}", low=value - 0.0196,
              high=value + 0.0196, **more)]  # type: ignore[arg-type]
        for number, value in enumerate(values)
    ))  # fmt: skip


def test_papers_that_differ_by_less_than_their_spread_are_inconclusive() -> None:
    (found,) = compare_groups(group("a", [10.0, 11.0, 12.0]), group("b", [10.5, 11.5, 12.5]))
    assert found.verdict == "inconclusive"
    assert found.spread == pytest.approx((1.0, 1.0))
    assert found.sampling == pytest.approx((0.01, 0.01), rel=1e-3)
    assert found.trainings_to_tell == 64  # 2 (2.80 / 0.5)^2, and one more for t


def test_welch_and_permutations_are_those_of_scipy() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, 5), rng.normal(2.5, 2, 6)
    (found,) = compare_groups(group("a", one.tolist()), group("b", other.tolist()))
    expected = stats.ttest_ind(other, one, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    low, high = expected.confidence_interval()
    assert (low, high) == pytest.approx(
        (found.difference - found.uncertainty, found.difference + found.uncertainty)
    )
    test = stats.permutation_test(
        (one, other), lambda a, b: abs(a.mean() - b.mean()), permutation_type="independent",
        n_resamples=np.inf, alternative="greater",
    )  # fmt: skip
    assert found.permutation == pytest.approx(test.pvalue)


def test_a_clear_difference_is_told_in_the_metrics_direction() -> None:
    low, high = [1.0, 1.1, 1.2, 1.05], [2.0, 2.1, 2.2, 2.05]
    (found,) = compare_groups(group("a", high), group("b", low))
    assert (found.verdict, found.trainings_to_tell) == ("better", None)
    (found,) = compare_groups(group("a", high, "recall"), group("b", low, "recall"))
    assert found.verdict == "worse"
    assert permutation_chance(np.array(low), np.array(high)) == (2 / 70, 2 / 70)
    # Three a side cannot come below 2 of 20.
    assert permutation_chance(np.array(low[:3]), np.array(high[:3]))[0] == 2 / 20


def test_groups_of_one_recipe_are_called_different_once_in_twenty() -> None:
    rng = np.random.default_rng(1)
    told = [
        compare_groups(group("a", rng.normal(size=4).tolist()),
                       group("b", rng.normal(size=5).tolist()))[0].verdict
        for _ in range(200)
    ]  # fmt: skip
    assert 2 <= sum(verdict != "inconclusive" for verdict in told) <= 20


def test_what_is_no_pair_of_groups_is_refused() -> None:
    a, b = group("a", [1.0, 2.0]), group("b", [1.0, 2.0])
    with pytest.raises(UsageError, match="stands twice"):
        compare_groups(a, a)
    with pytest.raises(UsageError, match="holds one training"):
        compare_groups(a, group("b", [1.0]))
    with pytest.raises(UsageError, match="under one protocol"):
        compare_groups(a, group("b", [1.0, 2.0], protocol_digest=STANDARD.protocol_digest))
    with pytest.raises(UsageError, match="reference mine"):
        compare_groups(group("a", [1.0, 2.0], reference="mine", reference_digest="x"), b)
