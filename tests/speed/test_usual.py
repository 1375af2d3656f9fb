"""`genbench throughput` with nothing else: every family with weights, at a size that fits."""

from __future__ import annotations

from pathlib import Path

import pytest
from strangers import genbench

from genbench.records.kinds import SpeedRecord
from genbench.records.store import read_records
from genbench.speed import usual
from genbench.speed.instruments import Laboratory
from genbench.speed.usual import usual_models, usual_names

QUICK = ("throughput", "--batch", "2", "--seconds", "0.05", "--device", "cpu")


def test_the_four_families_are_meant() -> None:
    assert set(usual_names()) == {"hit", "biggan-deep", "adm-guided", "emd"}
    models, instead = usual_models({}, 0)
    sizes = {model.request.name: model.card.resolution for model in models}
    assert sizes == {"hit": 128, "biggan-deep": 128, "adm-guided": 128, "emd": 64}
    assert [model.card.resolution for model in instead["adm-guided"]] == [64, 32]


def test_a_family_is_measured_at_128_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usual, "usual_names", lambda: ["toy"])
    run = genbench(*QUICK, "--gpu", "v100", "--records", tmp_path / "r.jsonl")
    assert run.returncode == 0, run.stderr
    assert "toy-128" in run.stdout
    assert "toy-64" not in run.stdout


def test_what_takes_too_long_is_tried_smaller_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usual, "usual_names", lambda: ["biggan-deep"])
    monkeypatch.setattr(Laboratory, "patience", 1e-9)
    run = genbench(*QUICK, "--gpu", "v100", "--records", tmp_path / "r.jsonl")
    assert run.returncode == 0, run.stderr
    for name in ("biggan-deep-128", "biggan-deep-32"):
        assert f"–: {name} is not measured: one image takes about" in run.stdout
    assert "nothing was measured" in run.stdout
    records = read_records(tmp_path / "r.jsonl")
    assert {record.card for record in records} == {"biggan-deep-128", "biggan-deep-32"}
    assert all(isinstance(record, SpeedRecord) for record in records)
    assert {record.metric for record in records} == {"throughput_v100_theoretical"}
