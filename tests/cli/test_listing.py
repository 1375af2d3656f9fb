"""`genbench ls` on terminals of several widths, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_records import made
from strangers import genbench

from genbench.cli.listing import texts
from genbench.records.store import append_records


@pytest.mark.parametrize("model", ["adm-guided", "edm", "protocols"])
def test_80_columns_break_no_word(tmp_path: Path, model: str) -> None:
    shown = genbench("ls", model, path=tmp_path, COLUMNS="80")  # in a process of its own
    assert shown.returncode == 0, shown.stderr
    lines = [line for line in shown.stdout.splitlines() if "://" not in line]  # which stay whole
    assert max(map(len, lines)) <= 80
    words = {word for row in texts(listed(model)) for text in row.values() for word in text.split()}
    assert len(words) > 20
    assert words <= set(shown.stdout.replace("│", " ").split())


def test_a_row_is_one_line_with_what_did_not_fit_below(tmp_path: Path) -> None:
    empty = str(tmp_path / "cache")  # whatever was fetched here
    shown = genbench("ls", "adm-guided", path=tmp_path, COLUMNS="80", GENBENCH_CACHE=empty)
    lines = shown.stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("adm-128 "))
    assert lines[place].split() == ["adm-128", "128", "1000", "421,529,606", "250", "float32",
                                    "MIT"]  # fmt: skip
    assert lines[place + 1 : place + 3] == ["    status: needs weights", "    weights: official"]
    assert lines[place + 3].startswith("    note: ImageNet; 250 steps, guided by")
    assert lines[place + 5].endswith("/128x128_diffusion.pt")


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


def listed(*words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in genbench("ls", *words, "--json").stdout.splitlines()]


def test_ready_is_what_has_its_weights() -> None:
    rows = {row["model"]: row for row in listed()}
    assert (rows["toy"]["status"], rows["toy"]["needs weights at"]) == ("ready", [])
    assert (rows["hit"]["ready at"], rows["hit"]["needs weights at"]) == ([32], [128, 256, 1024])
    assert (rows["edm"]["status"], rows["edm"]["ready at"]) == ("needs weights", [])
    cards = {row["variant"]: row for row in listed("hit") if "variant" in row}
    assert (cards["hit-32"]["status"], cards["hit-32"]["weights"]) == ("ready", "trained-here")
    assert cards["hit-128"]["status"] == "needs weights"
    assert cards["hit-128"]["weights"] == "bring your own"  # nobody has published any


def test_json_has_numbers_as_numbers_and_null_for_the_unknown() -> None:
    rows = {row["variant"]: row for row in listed("edm") if "variant" in row}
    assert rows["edm-64"]["parameters"] == 295_899_267
    assert rows["edm-32"]["parameters"] is None
    assert (rows["edm-32"]["resolution"], rows["edm-32"]["classes"]) == (32, 10)
    options = {row["option"]: row for row in listed("edm") if "option" in row}
    assert (options["--steps"]["default"], options["--s-max"]["default"]) == (18, "inf")
    options = {row["option"]: row for row in listed("adm-guided") if "option" in row}
    assert options["--attention"]["choices"] == ["auto", "plain", "fused"]
    gpus = {row["gpu"]: row for row in listed("gpus") if "CUDA" in row}
    assert gpus["v100-sxm2"]["float16 TFLOP/s"] == 125
    assert gpus["v100-sxm2"]["bfloat16 TFLOP/s"] is None
    detectors = {row["detector"]: row for row in listed("detectors")}
    assert detectors["inception"]["layers"]["pool"] == 2048
    assert (detectors["inception"]["MB"], detectors["efficientnet-lite0"]["MB"]) == (96, None)
    inputs = {row["preprocessing"]: row for row in listed("preprocessings")}
    assert inputs["cmmd_google"]["pixels"] == 336
    assert inputs["cmmd_google"]["crop"] == "before"
    assert inputs["edm2_dinov2_torch"]["resize"] == "torch bicubic, antialias, not clipped"
    assert listed("protocols")[0]["samples"] == [10_000]
    assert {"rows": 4, "of them genbench measures": 4}.items() <= listed("tables")[4].items()
