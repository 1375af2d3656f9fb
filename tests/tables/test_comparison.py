"""`genbench compare`: differences beside their uncertainty, and only between what compares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_records import made
from strangers import error_line, genbench

from genbench.errors import UsageError
from genbench.records.kinds import QualityRecord
from genbench.records.store import append_records
from genbench.tables.compared_runs import named_run
from genbench.tables.comparison import compare_runs


def figure(run: str, value: float, reach: float | None, metric: str = "fd", **more: object
           ) -> QualityRecord:  # fmt: skip
    bounds = {} if reach is None else {"low": value - reach, "high": value + reach}
    return made("toy", metric, value, run=run, **bounds, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("difference", "larger", "better"),
    [(4.9, False, ""), (5.1, True, "first"), (-4.9, False, ""), (-5.1, True, "second")],
)
def test_half_widths_add_in_squares(difference: float, larger: bool, better: str) -> None:
    (found,) = compare_runs([figure("a", 30.0, 3.0)], [figure("b", 30.0 + difference, 4.0)])
    assert found.uncertainty == pytest.approx(5.0)
    assert (found.larger, found.better) == (larger, better)


def test_more_is_better_where_the_metric_says_so() -> None:
    (found,) = compare_runs(
        [figure("a", 0.5, 0.01, "precision")], [figure("b", 0.6, 0.01, "precision")]
    )
    assert found.better == "second"


def test_lopsided_intervals_count_on_the_side_of_the_other() -> None:
    low = made("toy", "recall", 0.0, low=0.0, high=0.04)
    high = made("toy", "recall", 0.1, low=0.07, high=0.2)
    (found,) = compare_runs([low], [high])
    assert found.uncertainty == pytest.approx(0.05)


def test_without_an_interval_nothing_is_claimed() -> None:
    (found,) = compare_runs([figure("a", 30.0, None)], [figure("b", 90.0, 1.0)])
    assert (found.uncertainty, found.larger, found.better) == (None, None, "")


def test_other_protocols_references_and_counts_do_not_compare() -> None:
    one = [figure("a", 1.0, 0.1)]
    with pytest.raises(UsageError, match=r"protocol bundled \[.*\] against bundled \[0000"):
        compare_runs(one, [figure("b", 1.0, 0.1, protocol_digest="0000")])
    with pytest.raises(UsageError, match="share no metric at one sample count"):
        compare_runs(one, [figure("b", 1.0, 0.1, samples=2000)])
    mine = [figure("a", 1.0, 0.1, reference_digest="y", reference="mine")]
    with pytest.raises(UsageError, match=r"reference mine \[y\] against other \[x\]"):
        compare_runs(mine, [figure("b", 1.0, 0.1, reference_digest="x", reference="other")])


def test_other_detector_weights_do_not_compare_and_another_device_is_told() -> None:
    def of(run: str, **identity: str) -> list[QualityRecord]:
        whole = {"detector": "d", "weights_sha256": "a" * 64, "device": "cpu"} | identity
        return [figure(run, 1.0, 0.1, detector_identity=whole)]

    with pytest.raises(UsageError, match="another efficientnet-lite0: weights_sha256 aaa"):
        compare_runs(of("a"), of("b", weights_sha256="b" * 64))
    with pytest.raises(UsageError, match="only one of the records says of which weights"):
        compare_runs(of("a"), [figure("b", 1.0, 0.1)])
    (found,) = compare_runs(of("a"), of("b", device="cuda"))
    assert found.caveats == ("the detectors' device differ: so may last digits",)
    assert not compare_runs(of("a"), of("b"))[0].caveats


@pytest.mark.parametrize(("difference", "larger"), [(0.03, False), (0.05, True)])
def test_narrow_intervals_are_widened_with_a_caveat(difference: float, larger: bool) -> None:
    held = "95% Wilson over the reference, samples and all balls fixed"
    sides = [
        [figure(run, value, 0.01, "recall", interval=held)]
        for run, value in (("a", 0.5), ("b", 0.5 + difference))
    ]
    (found,) = compare_runs(sides[0], sides[1])
    assert found.larger is larger
    assert "up to 3 times too narrow" in found.caveats[0]
    assert found.as_row()["verdict"].endswith(" *")


def test_a_run_is_named_by_its_first_letters() -> None:
    known = [figure("abcd", 1.0, 0.1), figure("abce", 2.0, 0.1), figure("ab", 3.0, 0.1)]
    assert [record.value for record in named_run("abcd", known)] == [1.0]
    assert [record.value for record in named_run("ab", known)] == [3.0]  # a whole name first
    with pytest.raises(UsageError, match=r"the runs abcd \(toy, .*, abce \(toy, .*: write"):
        named_run("abc", known)
    for wrong in ("x", ""):
        with pytest.raises(UsageError, match="genbench ls runs"):
            named_run(wrong, known if wrong else [])


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    append_records(
        path,
        [
            figure("aaa", 30.0, 1.0), figure("aaa", 0.5, 0.1, "recall"),
            figure("bbb", 20.0, 1.0), figure("bbb", 0.55, 0.1, "recall"),
            figure("ccc", 20.0, 1.0, protocol="standard", metric="fid"),
        ],
    )  # fmt: skip
    return path


def test_the_command_names_runs_or_files(records: Path, tmp_path: Path) -> None:
    run = genbench("compare", "aaa", "bbb", "--records", records)
    assert run.returncode == 0, run.stderr
    assert "-10" in run.stdout
    run = genbench("compare", "aaa", "bbb", "--records", records, "--json")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    verdicts = {line["metric"]: (line["larger"], line["better"]) for line in lines}
    assert verdicts == {"fd": (True, "second"), "recall": (False, "")}
    append_records(tmp_path / "other.jsonl", [figure("x", 30.5, 1.0)])
    run = genbench("compare", tmp_path / "other.jsonl", "aaa", "--records", records, "--json")
    assert [json.loads(line)["larger"] for line in run.stdout.splitlines()] == [False]


def test_the_command_refuses_in_one_line(records: Path, tmp_path: Path) -> None:
    across = error_line(genbench("compare", "aaa", "ccc", "--records", records))
    assert "do not compare" in across
    assert "standard" in across
    unknown = error_line(genbench("compare", "aaa", "bbbb", "--records", records))
    assert "did you mean bbb?" in unknown
    (tmp_path / "empty.jsonl").write_text("")
    assert "no records" in error_line(genbench("compare", tmp_path / "empty.jsonl", "aaa"))
