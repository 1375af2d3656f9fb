"""One note on what few samples do to figures, on the figures it is about."""

from __future__ import annotations

from genbench.metrics.catalogue import METRICS
from genbench.metrics.estimate import Estimate
from genbench.metrics.settings import FrechetSettings
from genbench.quality.few_samples import MetricValue, with_count_note


def value(key: str, count: int, *, singular: bool = False) -> MetricValue:
    estimate, settings = Estimate(0.5, singular=singular), FrechetSettings(layer="pool")
    return MetricValue(METRICS[key], count, estimate, settings)


def test_small_counts_are_told_once_with_their_direction() -> None:
    values = [
        value("fid", 500, singular=True), value("recall", 500), value("coverage", 500),
        value("precision", 500), value("fid", 4000), value("recall", 4000),
        value("recall", 5000),
    ]  # fmt: skip
    noted = with_count_note(values, "efficientnet-lite0", 10_000)
    (note,) = {note for item in noted for note in item.notes}
    assert note == (
        "500 and 4,000 samples are few: fd and recall are too high, coverage is too low, the "
        "covariance is singular at 500; compare only with figures at the same count"
    )
    assert [bool(item.notes) for item in noted] == [True, True, True, False, False, True, False]


def test_enough_samples_need_no_note() -> None:
    values = [value("fid", 10_000), value("recall", 10_000), value("coverage", 10_000)]
    assert with_count_note(values, "inception", 10_000) == values


def test_a_figure_without_a_reference_is_not_judged_by_one() -> None:
    assert with_count_note([value("is", 10)], "inception", 0)[0].notes == ()
