"""`genbench plot`: each figure of the report as a file, in every format."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import made, speed
from strangers import error_line, genbench

from genbench.records.kinds import Record, SweepFacts, SweptBatch
from genbench.records.store import append_records
from genbench.report.figures import KINDS, figures_of

RECORDS: list[Record] = [
    *(made("a", "fd", 100.0 / steps, card="a-32", nfe=float(steps), options={"steps": steps})
      for steps in (5, 10)),
    *(made("a", metric, 0.01 * steps, samples=count, card="a-32", options={"steps": steps})
      for metric in ("precision", "recall") for steps in (5, 10) for count in (500, 2000)),
    *(made("e", metric, 9.0 + step % 3, samples=900, card="e-32", step=step, seed=seed,
           checkpoint=f"{step}.pt", checkpoint_digest=str(step))
      for metric in ("precision", "kd") for seed in (0, 1) for step in (30, 10, 2000)),
    *(made("b", "fd", 1.0 + 1 / count, samples=count, samples_digest="x") for count in (10, 20)),
    *(made("d", metric, value, samples=700, card="d-32", options={"scale": value})
      for metric in ("precision", "recall") for value in (0.5, 0.6)),
    speed("a", 5.0, card="a-32", options={"steps": 5}, batch=1, sweep=SweepFacts(
        points=(SweptBatch(1, 5.0, 0), SweptBatch(2, 6.0, 0)), ended="", of="whole calls")),
]  # fmt: skip


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "r.jsonl"
    append_records(path, RECORDS)
    return path


def test_every_kind_has_its_figures() -> None:
    assert {kind: len(figures_of(kind, RECORDS)) for kind in KINDS} == {
        "speed": 1, "counts": 1, "sweeps": 2, "evaluations": 1, "batches": 1, "training": 2,
    }  # fmt: skip
    assert not any(figures_of(kind, []) for kind in KINDS)


def test_a_training_is_drawn_by_its_steps_and_the_best_is_told() -> None:
    precision, kernel = figures_of("training", RECORDS)
    assert [row[1:4] for row in precision.rows[:3]] == [
        ["10", "10.pt", "10"], ["30", "30.pt", "9"], ["2,000", "2000.pt", "11"]
    ]  # fmt: skip
    assert [row[-1] for row in precision.rows] == ["no", "no", "yes"] * 2
    assert [row[-1] for row in kernel.rows] == ["no", "yes", "no"] * 2  # lower is better
    drawn = kernel.draw()
    assert "e best at step 30: 9" in drawn
    assert "less is better" in drawn


def test_figures_are_files_that_equal_data_makes_equal(records: Path, tmp_path: Path) -> None:
    run = genbench("plot", "sweeps", "--records", records, "--out", tmp_path / "s.svg")
    assert run.returncode == 0, run.stderr
    assert "Precision against recall: " in run.stderr
    first, second = ((tmp_path / name).read_text() for name in ("s.svg", "s-2.svg"))
    assert "d, scale" in first  # at 700; what compares stands in one file
    assert "a, steps" in second
    for suffix, begins in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        written = []
        for name in ("one", "two"):
            out = tmp_path / f"{name}{suffix}"
            assert genbench("plot", "speed", "--records", records, "--out", out).returncode == 0
            written.append(out.read_bytes())
        assert written[0].startswith(begins)
        assert written[0] == written[1]


def test_what_cannot_be_drawn_is_one_line(records: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    append_records(tmp_path / "quality.jsonl", [made("a", "fd", 1.0, card="a-32")])
    for words, expected in (
        (("sped", "--out", "x.svg"), "did you mean speed"),
        (("speed", "--out", "x.gif"), "end it in .svg, .png, .pdf"),
        (("batches", "--out", "x.svg", "--records", tmp_path / "empty.jsonl"),
         "two batch sizes or more: measure such models first"),
        (("batches", "--out", "x.svg", "--records", tmp_path / "quality.jsonl"),
         "two batch sizes or more; this brings it: genbench throughput"),
    ):  # fmt: skip
        assert expected in error_line(genbench("plot", *words, cwd=tmp_path))
    assert not (tmp_path / "x.svg").exists()
