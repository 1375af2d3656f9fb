"""`genbench ls` on terminals of several widths, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_records import made
from strangers import genbench

from genbench.records.store import append_records


@pytest.mark.parametrize("model", ["adm-guided", "edm", "protocols"])
def test_80_columns_break_no_word(tmp_path: Path, model: str) -> None:
    shown = genbench("ls", model, path=tmp_path, COLUMNS="80")  # in a process of its own
    assert shown.returncode == 0, shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 80
    listed = [json.loads(line) for line in genbench("ls", model, "--json").stdout.splitlines()]
    words = {word for row in listed for text in row.values() for word in text.split()}
    assert len(words) > 20
    assert words <= set(shown.stdout.replace("│", " ").split())


def test_a_row_is_one_line_with_what_did_not_fit_below(tmp_path: Path) -> None:
    lines = genbench("ls", "adm-guided", path=tmp_path, COLUMNS="80").stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("adm-128 "))
    assert lines[place].split() == ["adm-128", "128", "1000", "421,529,606", "250", "float32",
                                    "MIT"]  # fmt: skip
    assert lines[place + 1] == "    weights: official"
    assert lines[place + 2].startswith("    note: ImageNet; 250 steps, guided by")


def test_a_wide_terminal_gets_one_table_and_a_tiny_one_still_all_words(tmp_path: Path) -> None:
    wide = genbench("ls", "hit", path=tmp_path, COLUMNS="200").stdout
    assert "note: " not in wide
    assert "│ Apache-2.0 (official code) │ ImageNet; no public weights" in wide
    tiny = genbench("ls", "hit", path=tmp_path, COLUMNS="20").stdout
    assert "    parameters:\n      32,866,627\n" in tiny


def test_runs_are_listed_with_what_tells_them_apart(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    append_records(path, [
        made("hit", "fd", 1.0, run="aaa", samples=100, created="2026-11-28T22:01:02+00:00"),
        made("hit", "recall", 0.5, run="aaa", samples=100),
        made("biggan-deep", "fd", 2.0, run="bbb", options={"truncation": 0.5}),
    ])  # fmt: skip
    run = genbench("ls", "runs", "--records", path, "--json")
    first, second = (json.loads(line) for line in run.stdout.splitlines())
    assert (first["run"], first["metrics"], first["samples"]) == ("aaa", "fd, recall", "100")
    assert first["created"] == "2026-11-28 22:01"
    assert second["settings"] == "truncation 0.5"


def test_ready_is_what_has_its_weights() -> None:
    rows = map(json.loads, genbench("ls", "--json").stdout.splitlines())
    status = {row["model"]: row["status"] for row in rows}
    assert status["toy"] == "ready"
    assert status["hit"] == "ready at 32"
    assert status["edm"] == "needs weights"
    cards = list(map(json.loads, genbench("ls", "hit", "--json").stdout.splitlines()))
    weights = {card["variant"]: card["weights"] for card in cards if "variant" in card}
    assert weights["hit-32"] == "trained-here"
    assert weights["hit-128"] == "bring your own"  # nobody has published any
