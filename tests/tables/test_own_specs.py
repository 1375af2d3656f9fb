"""Specs of a user's own: found beside the records, rows of single checkpoints, every key told."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from made_records import made, speed
from strangers import error_line, genbench

from genbench.records.kinds import Record
from genbench.records.protocols import load_protocols
from genbench.records.store import append_records
from genbench.tables.build import build_table
from genbench.tables.cells import Cell
from genbench.tables.collection import all_tables
from genbench.tables.columns import Column
from genbench.tables.measured import MeasuredSelector
from genbench.tables.published import PublishedSelector
from genbench.tables.specs import Row, SpecFile, read_spec

PAGE = Path(__file__).parents[2] / "docs" / "table-specs.md"
HEAD = """
title = "Mine"
[measured]
model = "mine"
resolution = 32
protocol = "bundled"
samples = 10000
[[column]]
metric = "fid"
"""


def cells(folder: Path, rows: str, *records: Record) -> dict[str, Cell]:
    """The cell of each row of a spec with one column."""
    path = folder / "mine.toml"
    path.write_text(HEAD + rows)
    built = build_table(read_spec(path), [], records, load_protocols())
    return {row.label: row.cells[0] for row in built.rows}


def row(label: str, keys: str) -> str:
    return f'[[row]]\nlabel = "{label}"\nmeasured = {{ {keys} }}\n'


def of(value: float, weights: bytes = b"", **more: Any) -> Record:
    return made("mine", "fd", value, checkpoint_digest=hashlib.sha256(weights).hexdigest(), **more)


def test_two_checkpoints_are_two_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("early", "late"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(name.encode())
    late = hashlib.sha256(b"late").hexdigest()
    found = cells(
        tmp_path,
        row("by path", 'checkpoint = "early/model.safetensors"')
        + row("by folder", 'checkpoint = "./early"')
        + row("by digest", f'checkpoint = "{late[:6].upper()}"')
        + row("by pattern", 'checkpoint = "model.*"')
        + row("not here", 'checkpoint = "gone/model.safetensors"'),
        of(1.0, b"early"), of(2.0, b"late"),
    )  # fmt: skip
    assert {label: cell.value for label, cell in found.items()} == {
        "by path": 1.0, "by folder": 1.0, "by digest": 2.0, "by pattern": 2.0, "not here": None,
    }  # fmt: skip
    assert "--checkpoint gone/model.safetensors --protocol" in found["not here"].command


def test_a_row_names_a_run(tmp_path: Path) -> None:
    found = cells(
        tmp_path,
        row("named", 'name = "long *"') + row("by id", 'run = "bb"') + row("any", "")
        + row("missing", 'name = "not yet"'),
        of(1.0, name="long run", run="aaa"), of(2.0, run="bbb"), of(3.0, run="ccc"),
    )  # fmt: skip
    assert [cell.value for cell in found.values()] == [1.0, 2.0, 3.0, None]
    assert "--name 'not yet'" in found["missing"].command


def test_a_speed_is_one_for_all_weights(tmp_path: Path) -> None:
    column = '[[column]]\nmetric = "throughput"\nwhere = { mode = "sample" }\n'
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + column + row("a", 'checkpoint = "x.pt", name = "x"'))
    rate = speed("mine", 5.0)
    built = build_table(read_spec(path), [], [rate], load_protocols())
    assert built.rows[0].cells[1].value == 5.0


def test_specs_beside_the_records_and_in_tables_are_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "tables").mkdir()
    records = tmp_path / "kept" / "r.jsonl"
    append_records(records, [of(1.5)])
    for folder, name in (("kept", "mine"), ("tables", "mine"), ("tables", "bundled")):
        text = HEAD.replace("Mine", f"in {folder}") + row("a", "")
        (tmp_path / folder / f"{name}.toml").write_text(text)
    (tmp_path / "kept" / "other.toml").write_text("[tool]\n")
    (tmp_path / "kept" / "broken.toml").write_text('[[column]]\nmetric = "fidd"\n')
    shown = genbench("table", "mine", "--records", records, cwd=tmp_path).stdout
    assert "in kept" in shown
    assert "1.50" in shown
    assert "in tables" in genbench("table", "bundled", "--records", records,
                                           cwd=tmp_path).stdout  # fmt: skip
    lines = genbench("ls", "tables", "--records", records, "--json", cwd=tmp_path).stdout
    listed = {item["table"]: item for item in map(json.loads, lines.splitlines())}
    assert listed["mine"]["from"] == str(tmp_path / "kept" / "mine.toml")
    assert listed["bundled"]["from"] == "tables/bundled.toml"
    assert listed["adm-quality"]["from"] == "genbench"
    assert "did you mean fid" in listed["broken"]["title"]
    assert "other" not in listed
    assert "known: " in error_line(genbench("table", "other", "--records", records, cwd=tmp_path))


def test_in_a_report_a_users_tables_lead_genbenchs_and_the_papers(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(HEAD + row("a", ""))
    names = [table.name for table in all_tables([made("hit", "fd", 1.0)], [tmp_path])]
    assert names[:2] == ["mine", "bundled"]
    assert "adm-quality" in names[2:]


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("The file", SpecFile), ("`[[column]]`", Column), ("`[[row]]`", Row),
        ("`measured`", MeasuredSelector), ("`published`", PublishedSelector),
    ],
)  # fmt: skip
def test_the_page_has_every_key_and_no_other(heading: str, kind: Any) -> None:
    section = PAGE.read_text().split(f"\n### {heading}\n")[1].split("\n### ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", section, re.M))
    fields = {item.name: item for item in dataclasses.fields(kind)}
    assert set(told) == set(fields)
    for name, default in told.items():
        needed = fields[name].default is dataclasses.MISSING
        needed = needed and fields[name].default_factory is dataclasses.MISSING
        assert default.startswith("required") == needed or name in ("protocol", "samples"), name


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("digits = -3", "give 0 to 9"), ("digits = 5000", "give 0 to 9"),
        ("scale = 0", "1 or more"),
        ('command = "genbench {nope}"', "braces hold one of model"),
        ('command = "genbench {"', "braces hold one of model"),
        ('value = "model"', "is no number in a record"),
        ('value = "environment.packages"', "is no number in a record"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be(tmp_path: Path, line: str, expected: str) -> None:
    (tmp_path / "mine.toml").write_text(HEAD.rstrip() + f"\n{line}\n" + row("a", ""))
    append_records(tmp_path / "r.jsonl", [of(1.0, b"a")])
    run = genbench("table", tmp_path / "mine.toml", "--records", tmp_path / "r.jsonl")
    assert expected in error_line(run)


def test_a_spec_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    assert "is a device or a pipe" in error_line(genbench("table", tmp_path / "pipe.toml"))


def test_no_page_takes_the_place_of_the_records(tmp_path: Path) -> None:
    kept = tmp_path / "kept.md"
    append_records(kept, [of(1.0, b"a")])
    before = kept.read_bytes()
    for words in (("table", "--from-records"), ("report",)):
        run = genbench(*words, "--out", kept, GENBENCH_RECORDS=str(kept))
        assert "is read by this command" in error_line(run)
    assert kept.read_bytes() == before


def test_a_row_that_leaves_a_setting_open_says_so(tmp_path: Path) -> None:
    records = [of(value, options={"truncation": value, "plain": False}) for value in (0.5, 1.0)]
    rows = row("any", "") + row("named", "options = { truncation = 0.5 }")
    found = cells(tmp_path, rows, *records)
    for label, value in (("any", 1.0), ("named", 0.5)):
        assert found[label].value == value
    (note,) = found["any"].measured.notes if found["any"].measured else ()
    assert note.startswith("the latest of several settings on record (truncation 0.5, 1.0)")
    assert found["named"].measured == records[0]
