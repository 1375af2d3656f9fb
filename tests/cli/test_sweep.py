"""`genbench sweep` and `--name`: every setting measured once, recorded when it is finished."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from made_records import made
from strangers import error_line, genbench

from genbench.metrics.catalogue import METRICS
from genbench.models.grid import grid, listed_values
from genbench.models.opening import ModelRequest, ResolvedModel
from genbench.quality.reuse import figures_on_record
from genbench.records.kinds import QualityRecord
from genbench.records.measurement import Environment
from genbench.records.protocols import load_protocols
from genbench.records.provenance import package_versions
from genbench.records.store import read_records
from genbench.tables.views import Results
from genbench.version import __version__


def test_a_grid_is_every_combination() -> None:
    base = ModelRequest(name="toy", resolution=32)
    found = grid(base, {"steps": ["5", "9"], "eta": ["0"]}, ["a.pt", "b.pt"], [1])
    assert [item.label for item in found] == [
        "checkpoint a.pt, steps 5", "checkpoint a.pt, steps 9",
        "checkpoint b.pt, steps 5", "checkpoint b.pt, steps 9",
    ]  # fmt: skip
    last = found[-1].request
    assert (last.checkpoint, last.seed, last.options) == ("b.pt", 1, {"steps": "9", "eta": "0"})
    assert [item.label for item in grid(base, {})] == [""]


def test_lists_are_split_unless_the_option_takes_any_text() -> None:
    given = [("classifier-scale", "1, 2"), ("respacing", "10,10"), ("respacing", "25")]
    assert listed_values("adm-guided", given) == {
        "classifier-scale": ["1", "2"], "respacing": ["10,10", "25"],
    }  # fmt: skip


def test_settings_are_measured_one_by_one_and_shown_as_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def evaluate(model: ResolvedModel, **given: Any) -> Results[QualityRecord]:
        asked.append(given)
        contrast = dataclasses.asdict(cast(Any, model.adapter))["contrast"]
        if contrast > 0.5:
            raise KeyboardInterrupt
        return Results([made("toy", "recall", contrast, options={"contrast": contrast},
                             name=given["run_name"])])  # fmt: skip

    monkeypatch.setattr("genbench.api.evaluate", evaluate)
    words = ("sweep", "--model", "toy", "-n", "8", "--name", "clouds", "--records", tmp_path / "r",
             "--contrast")  # fmt: skip
    run = genbench(*words, "0.2,0.4")
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines() == [
        "1 of 2: toy, contrast 0.2: recall 0.2", "2 of 2: toy, contrast 0.4: recall 0.4",
    ]  # fmt: skip
    assert "clouds (contrast 0.4)" in run.stdout
    # What is on record is returned by `evaluate`, which records each setting when it is finished.
    assert {(item["reuse"], item["records"], item["counts"]) for item in asked} == {
        (True, tmp_path / "r", (8,))
    }
    stopped = genbench(*words, "0.4,0.6")
    assert stopped.returncode == 130
    assert "1 of 2: toy, contrast 0.4: recall 0.4" in stopped.stderr
    assert "what was finished is kept" in error_line(stopped)


def test_a_name_is_kept_and_a_new_one_is_a_run_of_its_own(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    np.savez(tmp_path / "f.npz", features=generator.normal(size=(20, 4)))
    run = genbench("fid", "--features", tmp_path / "f.npz", "--ref-features", tmp_path / "f.npz",
                   "-n", "20", "--metric", "precision", "--name", " my \n run ",
                   "--records", tmp_path / "r.jsonl")  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "my run: f.npz, measured here" in run.stdout
    (record,) = read_records(tmp_path / "r.jsonl")
    assert record.name == "my run"
    known = made("toy", "precision", 1.0, name="a", samples_digest="s", samples=20, environment=(
        Environment(genbench=__version__, packages=package_versions())))  # fmt: skip
    detector: Any = SimpleNamespace(identity={})
    for name, found in (("", [known]), ("a", [known]), ("b", [])):
        assert figures_on_record(
            [known], samples_digest="s", reference_digest="", detector=detector,
            protocol=load_protocols()["bundled"], figures=[(METRICS["precision"], 20)],
            interval=False, name=name,
        ) == found  # fmt: skip


def test_a_bad_value_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    records = tmp_path / "r.jsonl"
    words = ("sweep", "--model", "toy", "-n", "8", "--records", records)
    assert "must be of type float" in error_line(genbench(*words, "--contrast", "0.2,x"))
    assert "did you mean --contrast" in error_line(genbench(*words, "--contrst", "0.2,0.4"))
    assert "--seeds takes numbers" in error_line(genbench(*words, "--seeds", "0,one"))
    assert not records.exists()
