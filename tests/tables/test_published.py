"""tables/published.csv: the only home of numbers from papers, complete, plain, and guarded."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from genbench.errors import GenbenchError
from genbench.runtime.folders import tables_folder
from genbench.tables.published import (
    PublishedSelector,
    PublishedValue,
    find_published,
    load_published,
)
from genbench.tables.specs import spec_names

# What papers print that is no number, or a number with a suffix or a range.
TEXT = {
    *("attention_resolutions", "augment_policy", "bCR", "block_kind", "channel_multipliers"),
    *("feature_map", "gamma_eps", "gamma_z", "gan_loss", "gradient_penalty", "hardware"),
    *("noise_schedule", "patch_size", "upsample_after", "weighting", "total_compute", "iterations"),
}


def rows() -> list[dict[str, str]]:
    with (tables_folder() / "published.csv").open(newline="") as file:
        return list(csv.DictReader(file))


VALUES = load_published()


def value(table: str, model: str, metric: str, resolution: int = 128) -> PublishedValue | None:
    where = PublishedSelector(table=table, model=model, dataset="ImageNet", resolution=resolution)
    return find_published(VALUES, [where], metric)


def test_every_row_has_every_column() -> None:
    names = [item.name for item in fields(PublishedValue) if item.name != "notes"]
    assert all(list(row) == names for row in rows())
    needed = ("table", "model", "metric", "value", "source", "locator", "confidence")
    assert all(row[name].strip() for row in rows() for name in needed)
    assert len(rows()) == 1850


def test_one_cell_has_one_value() -> None:
    cells: dict[tuple[str, ...], float | str] = {}
    for item in VALUES:
        key = (item.table, item.model, item.dataset, item.resolution, item.metric)
        number = item.value if item.number is None else item.number
        assert cells.setdefault(key, number) == number, key


def test_values_are_numbers_or_known_text() -> None:
    assert not {item.metric for item in VALUES if item.number is None} - TEXT
    assert all(item.samples == "" or item.samples.isdigit() for item in VALUES)


def test_what_nobody_is_sure_of_is_never_shown() -> None:
    unsure = [row for row in rows() if re.search("LOW certainty|do not publish", row["protocol"])]
    assert len(unsure) == 42
    assert {row["confidence"] for row in unsure} == {"low"}
    assert value("EMD Tables 2-3 (unverified)", "EMD-16", "IS") is None
    unverified = value("EMD Tables 2-3 (unverified)", "EMD-16", "FID")
    assert unverified is not None
    assert (unverified.value, unverified.confidence) == ("6.0", "unverified")


def test_a_seen_value_goes_before_an_unverified_one() -> None:
    where = [
        PublishedSelector(table=table, model=model, dataset="ImageNet", resolution=128)
        for table, model in (
            ("HiT Table 1 (unverified)", "HiT"),
            ("HiT abstract", "HiT (unconditional)"),
        )
    ]
    found = find_published(VALUES, where, "FID")
    assert found is not None
    assert (found.value, found.confidence) == ("30.83", "seen")


@pytest.mark.parametrize(
    ("text", "number", "rounding"),
    [
        ("2.97", 2.97, 0.005),
        ("6", 6.0, 0.5),
        ("46.22M", 46.22e6, 5e3),
        ("1.1B", 1.1e9, 0.5e8),
        ("-0.21", -0.21, 0.005),
        ("64-128", None, 0.0),
    ],
)
def test_values_as_printed_are_read(text: str, number: float | None, rounding: float) -> None:
    from dataclasses import replace

    item = replace(VALUES[0], value=text)
    assert item.number == (None if number is None else pytest.approx(number))
    assert item.rounding == pytest.approx(rounding)


def test_slips_in_papers_are_notes_not_corrections() -> None:
    slip = value("ADM Table 10", "ADM-G (540K), ADM-U (500K)", "FID", 256)
    assert slip is not None
    assert slip.value == "3.85"  # as printed
    assert "slip" in slip.notes[0]
    assert "3.94" in slip.notes[0]
    total = value(
        "ADM Table 10",
        "ADM-G (200K), ADM-U (150K), classifier batch 256",
        "total_compute",
        256,
    )
    assert total is not None
    assert total.value == "126"
    assert total.notes


def test_every_note_is_about_a_row() -> None:
    with (tables_folder() / "notes.csv").open(newline="") as file:
        notes = [row["note"] for row in csv.DictReader(file)]
    used = {note for item in VALUES for note in item.notes}
    assert set(notes) == used


def test_stated_evaluations_become_a_column() -> None:
    found = value("sCM Table 1", "EDM (Heun) (NFE 79)", "NFE", 64)
    assert found is not None
    assert found.value == "79"


def test_what_no_paper_prints_and_what_was_read_elsewhere_is_marked() -> None:
    rows = {value.source: value.confidence for value in load_published()}
    for source, confidence in rows.items():
        if "notes" in source.split() and "repository" not in source:
            assert confidence == "secondary", source
        if source.startswith("counted from"):
            assert confidence == "counted", source
    assert set(rows.values()) == {"seen", "counted", "secondary", "unverified", "low"}


def test_sources_can_be_cited() -> None:
    told = {text for row in rows() for text in (row["table"], row["source"], row["locator"])}
    assert not [text for text in told if re.search(r"memory|recalled|https?://|REFERENCE_", text)]


def test_a_line_with_too_many_values_is_one_line(tmp_path: Path) -> None:
    for name in ("published.csv", "notes.csv"):
        text = (tables_folder() / name).read_text()
        (tmp_path / name).write_text(text.replace(",seen\n", ",seen,more\n", 1))
    with pytest.raises(GenbenchError, match="in every line"):
        load_published(tmp_path)


def test_an_empty_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "published.csv").write_text("")
    (tmp_path / "notes.csv").write_text("")
    with pytest.raises(GenbenchError, match="must have the columns"):
        load_published(tmp_path)


@pytest.mark.parametrize(
    "content", [b"table,model\n\xff\xfe\n", "table\n".encode("utf-16"), b"a" * 200_000]
)
def test_what_is_no_csv_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "published.csv").write_bytes(content)
    (tmp_path / "notes.csv").write_bytes(content)
    with pytest.raises(GenbenchError, match="is no CSV file in UTF-8"):
        load_published(tmp_path)


def test_another_confidence_is_refused(tmp_path: Path) -> None:
    for name in ("published.csv", "notes.csv"):
        text = (tables_folder() / name).read_text()
        (tmp_path / name).write_text(text.replace(",seen\n", ",sure\n", 1))
    with pytest.raises(GenbenchError, match="confidence 'sure'"):
        load_published(tmp_path)


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    else:
        yield path, value


@pytest.mark.parametrize("name", spec_names())
def test_specs_hold_no_values(name: str) -> None:
    """Numbers of a spec say which records and how to print them; none of them is a result."""
    spec = tomllib.loads((tables_folder() / f"{name}.toml").read_text())
    for path, leaf in leaves(spec):
        if isinstance(leaf, int | float) and not isinstance(leaf, bool):
            settings = {"resolution", "samples", "digits", "scale", "runs"}
            assert path[-1] in settings or "options" in path, path
        if isinstance(leaf, str) and path[-1] not in {"arguments", "table", "model", "command"}:
            assert not re.search(r"\d\.\d", leaf), (path, leaf)
