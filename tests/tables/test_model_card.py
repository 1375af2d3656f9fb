"""Records as a model card, read back as the Hub reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from made_records import made, speed
from strangers import error_line, genbench

from genbench.errors import UsageError
from genbench.records.store import append_records
from genbench.tables.model_card import model_card
from genbench.tables.yaml_text import to_yaml

yaml: Any = pytest.importorskip("yaml")

FD = made(
    "hit", "fd", 96.55080664948969, card="hit-32", low=94.3, high=98.8, interval="95%", run="r1",
    reference="bundled", reference_digest="0ea3", reference_samples=10_000, samples_digest="5a",
    options={"plain": False, "sigma": 1e-7}, checkpoint_digest="b6", labels="uniform",
)  # fmt: skip
SCORE = replace(FD, metric="cs", value=18.25, reference="", reference_digest="")


def test_the_hub_reads_the_same_values() -> None:
    data: Any = ModelCard(model_card([FD, SCORE], {})).data
    fd, score = data.eval_results
    assert data.model_name == "hit"
    assert (fd.metric_type, fd.metric_value) == ("fd", FD.value)
    assert (fd.dataset_name, fd.dataset_args["digest"]) == ("bundled", "0ea3")
    assert fd.verified is False
    args = fd.metric_args
    assert args["protocol_digest"] == FD.protocol_digest
    assert (args["samples"], args["interval_95"]) == (10_000, [94.3, 98.8])
    assert args["options"] == {"plain": False, "sigma": 1e-7}
    assert (score.dataset_name, score.task_name) == (
        "no reference", "Class-conditional image generation",
    )  # fmt: skip


def test_yaml_comes_back_whatever_it_holds() -> None:
    value: Any = {
        "texts": ["yes", "1e5", "a: b # c", 'q"\\', "ü\x00\x7f\u2028\U0001f600", ""],
        "numbers": [1, -0.0, 1e-07, 1.5e300, 0.1],
        "a: key": {"truth": True, "deep": [{"x": 1, "y": ["z"]}, {"x": 2}]},
    }
    assert yaml.safe_load(to_yaml(value)) == value


def test_the_page_tells_measured_figures_alone_and_how_to_check_them() -> None:
    text = model_card([replace(FD, reference="a|b")], {FD.protocol_digest: ["Bundled: images"]})
    assert "| hit | FD (efficientnet-lite0) | 96.5508 | 94.3 … 98.8 | 10,000 | a\\|b [0ea3] |" in (
        text.splitlines()
    )
    assert "no figure here is copied from a paper" in text
    assert "- Bundled: images" in text
    assert "genbench reproduce r1 --run" in text
    with pytest.raises(UsageError, match="no quality"):
        model_card([speed("hit", 1.0)], {})


def test_the_command_explains_protocols_and_replaces_no_page_of_yours(tmp_path: Path) -> None:
    append_records(tmp_path / "r.jsonl", [FD])
    words = ("card", "r1", "--records", tmp_path / "r.jsonl", "--out", tmp_path / "README.md")
    assert genbench(*words).returncode == 0
    text = (tmp_path / "README.md").read_text()
    assert "neighbours: k = 3 for precision and recall" in text
    assert genbench(*words).returncode == 0  # its own
    (tmp_path / "README.md").write_text("# mine\n")
    assert "is there and no card of genbench" in error_line(genbench(*words))
    assert (tmp_path / "README.md").read_text() == "# mine\n"
