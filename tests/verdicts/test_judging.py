"""Verdicts of two runs: pairing, many figures at once, and how many samples would tell."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_records import made
from strangers import error_line, genbench

from genbench.errors import UsageError
from genbench.metrics.influence import Influence
from genbench.metrics.parts import kept_in_parts
from genbench.metrics.student import as_normal, two_sided
from genbench.records.influences import influences_in, keep_influences, read_influences
from genbench.records.kinds import QualityRecord
from genbench.records.store import append_records
from genbench.tables.comparison import Comparison, compare_runs
from genbench.verdicts.judging import holm, judged, rounded_up
from genbench.verdicts.margins import Margin, margin_of

FIGURE = made("toy", "fd", 0.0)


def test_holm_is_that_of_the_paper() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_students_t_has_its_tabled_quantiles() -> None:
    assert two_sided(2.776445, 4) == pytest.approx(0.05, abs=1e-6)
    assert two_sided(-1.959964, 0) == pytest.approx(0.05, abs=1e-6)
    assert as_normal(2.776445, 4) == pytest.approx(1.959964, abs=1e-5)
    assert as_normal(-2.776445, 4) == pytest.approx(-1.959964, abs=1e-5)


def test_the_jackknife_of_a_mean_is_its_variance() -> None:
    """Influences and parts of one mean tell one variance, of a mean's difference too."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 500))
    kept = kept_in_parts(500).numpy()

    def parts(values: np.ndarray) -> Influence:
        return Influence(parts=np.array([values[part].mean() for part in kept]).reshape(4, 5))

    ratios = []
    for _ in range(40):
        one, other = rng.normal(size=(2, 500))
        other = 0.8 * one + 0.6 * other
        exact = Influence(rows=one).less(Influence(rows=other), 1.1).variance()
        assert exact == pytest.approx(np.var(one - 1.1 * other, ddof=1) / 500)
        ratios.append(parts(one).less(parts(other), 1.1).variance() / exact)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.15)
    assert Influence(draws=np.array([1.0, 3.0])).variance() == pytest.approx(1.0)


def runs(folder: Path, seed: int, *, alike: float, shift: float, count: int = 400
         ) -> list[list[QualityRecord]]:  # fmt: skip
    """Two runs whose figure is a mean of correlated samples; the second's is higher by `shift`."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, count))
    rows = noise[0], alike * noise[0] + np.sqrt(1 - alike**2) * noise[1] + shift
    found = []
    for name, values in zip("ab", rows, strict=True):
        value, half = float(values.mean()), 1.96 * float(values.std()) / np.sqrt(count)
        keep_influences(folder, f"{name}{seed}", {("fd", count): (value, Influence(rows=values))})
        found.append([replace(FIGURE, value=value, low=value - half, high=value + half,
                              samples=count, run=f"{name}{seed}")])  # fmt: skip
    return found


def test_paired_intervals_are_as_much_narrower_as_samples_are_alike(tmp_path: Path) -> None:
    a, b = runs(tmp_path, 0, alike=0.95, shift=0.05)
    (apart,) = compare_runs(a, b)
    (paired,) = compare_runs(a, b, [tmp_path])
    assert apart.unpaired
    assert not paired.unpaired
    assert paired.independent == apart.uncertainty
    assert paired.uncertainty is not None
    assert apart.uncertainty is not None
    assert paired.uncertainty / apart.uncertainty == pytest.approx((1 - 0.95) ** 0.5, rel=0.1)


def test_paired_verdicts_are_wrong_as_seldom_as_they_say(tmp_path: Path) -> None:
    wrong = missed = 0
    for seed in range(200):
        a, b = runs(tmp_path, seed, alike=0.9, shift=0.0, count=100)
        wrong += bool(compare_runs(a, b, [tmp_path])[0].larger)
    for seed in range(30):
        a, b = runs(tmp_path, seed, alike=0.9, shift=0.2, count=100)  # 4.5 deviations
        missed += not compare_runs(a, b, [tmp_path])[0].larger
    assert 2 <= wrong <= 20  # of 200 at 5%
    assert missed <= 2


def test_samples_that_do_not_belong_together_are_not_paired(tmp_path: Path) -> None:
    a, b = runs(tmp_path, 0, alike=0.9, shift=0.0)
    other = [replace(FIGURE, value=b[0].value, low=b[0].low, high=b[0].high, samples=400, run="b0",
                  seed=1)]  # fmt: skip
    assert compare_runs(a, other, [tmp_path])[0].unpaired.startswith("other seeds")
    moved = [replace(FIGURE, value=b[0].value + 1e-9, low=0, high=1, samples=400, run="b0")]
    assert read_influences([tmp_path], moved[0]) is None  # of another figure than the record's
    influences_in(tmp_path, "b0").write_bytes(b"PK\3\4 cut short")
    found = compare_runs(a, b, [tmp_path])[0]
    assert found.unpaired == "no influences beside the records"
    assert found.uncertainty == found.independent


def compared(difference: float, deviation: float, samples: int = 1000) -> Comparison:
    return Comparison(
        metric="fd", samples=samples, first=10.0, second=10.0 + difference, difference=difference,
        uncertainty=1.96 * deviation, deviation=deviation, larger=None, better="",
    )  # fmt: skip


def test_verdicts_and_the_count_that_would_tell() -> None:
    def verdict(difference: float, margin: Margin | None = None) -> tuple[str, int | None]:
        (found,) = judged([compared(difference, 1.0)], margin)
        return found.verdict, found.samples_to_tell

    assert verdict(3.0) == ("worse", None)
    assert verdict(-3.0) == ("better", None)
    # (1.96 + 0.84)^2 = 7.85 times the samples at one deviation.
    assert verdict(1.0) == ("too few samples to tell", 7900)
    assert verdict(0.1) == ("no difference seen", 790_000)
    assert verdict(0.0) == ("no difference seen", None)
    assert verdict(0.1, Margin(absolute=3.0))[0] == "no difference seen"
    assert verdict(0.1, Margin(share=0.2)) == ("too few samples to tell", 2000)
    assert rounded_up(7849) == 7900
    # One of eight figures at p 0.02 is what chance brings.
    first = judged([compared(2.33, 1.0), *[compared(0.1, 1.0)] * 7])[0]
    assert first.p_value == pytest.approx(0.0198, abs=1e-3)
    assert first.adjusted == pytest.approx(0.158, abs=0.01)
    assert first.larger is False


@pytest.mark.parametrize("text", ["", "x", "-1", "-2%", "nan", "inf%", "2 percent"])
def test_a_margin_is_a_number_or_a_share(text: str) -> None:
    with pytest.raises(UsageError, match="is no margin"):
        margin_of(text)
    assert margin_of("2%").of(-50.0) == 1.0
    assert margin_of("0.5").of(99.0) == 0.5


def test_the_command_pairs_and_says_what_it_corrects_for(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    for run in runs(tmp_path / "runs-samples", 0, alike=0.95, shift=0.05):
        append_records(path, run)
    done = genbench("compare", "a0", "b0", "--records", path)
    assert done.returncode == 0, done.stderr
    assert "paired by sample: 1 of 1 figures, intervals 0.2" in done.stdout
    assert "(Holm)" in done.stdout
    done = genbench("compare", "a0", "b0", "--records", path, "--json", "--margin", "1")
    assert json.loads(done.stdout)["unpaired"] == ""
    for run in runs(tmp_path / "runs-samples", 1, alike=0.95, shift=0.05):
        append_records(path, run)
    groups = ("--group", "old=a0,a1", "--group", "new=b0,b1", "--records", path)
    done = genbench("compare", *groups)
    assert "B: new: 2 trainings" in done.stdout
    assert "cannot bring the permutation test below 0.33" in done.stdout
    assert json.loads(genbench("compare", *groups, "--json").stdout)["verdict"] == "inconclusive"
    for words, said in (
        (("a0",), "name two runs"),
        (("a0", "b0", "--group", "x=a0"), "not both"),
        (("--group", "x=a0"), "two groups"),
        (("--group", "x", "--group", "y=b0"), "NAME=RUN"),
        (("--group", "x=a0", "--group", "y=b0"), "one training"),
        (("a0", "b0", "--margin", "some"), "is no margin"),
    ):
        assert said in error_line(genbench("compare", *words, "--records", path))
