"""`genbench ls` on terminals of several widths, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from strangers import genbench


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
