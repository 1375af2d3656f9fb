"""Published and measured figures of two protocols stand beside each other only with a mark."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from made_records import made

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import metric_named, short_title
from genbench.records.kinds import Record
from genbench.records.protocols import load_protocols
from genbench.tables.build import build_table
from genbench.tables.cells import Cell, Table
from genbench.tables.data_formats import table_to_csv, table_to_json
from genbench.tables.html import table_to_html
from genbench.tables.layout import lay_out
from genbench.tables.published import PublishedValue, load_published
from genbench.tables.specs import load_spec, read_spec, spec_names
from genbench.tables.terminal import table_to_terminal
from genbench.tables.text_formats import table_to_latex, table_to_markdown

PUBLISHED = load_published()
PROTOCOLS = load_protocols()
EDM, ADM = "edm-imagenet64", "adm-imagenet64"
HEAD = """
title = "Mine"
[published]
table = "T"
dataset = "D"
resolution = 64
[measured]
resolution = 64
samples = 50000
[[column]]
metric = "fid"
published = "FID"
"""


def value(model: str, figure: str, metric: str = "FID") -> PublishedValue:
    return PublishedValue(
        table="T", model=model, dataset="D", resolution="64", metric=metric, value=figure, unit="",
        samples="50000", protocol="", source="a paper", locator="", confidence="seen",
    )  # fmt: skip


def row(label: str, stated: str, keys: str = "", more: str = "") -> str:
    measured = f'measured = {{ model = "{label}", {keys} }}\n' if keys else ""
    return (
        f'[[row]]\nlabel = "{label}"\npublished = {{ model = "{label}" }}\n'
        f"published_protocol = {stated}\n{measured}{more}"
    )


def table(
    folder: Path, rows: str, published: Sequence[PublishedValue], *records: Record, head: str = HEAD
) -> Table:
    path = folder / "mine.toml"
    path.write_text(head + rows)
    return build_table(read_spec(path), published, records, PROTOCOLS)


def fid(model: str, figure: float, protocol: str = ADM, **more: Any) -> Record:
    return made(model, "fid", figure, protocol=protocol, resolution=64, samples=50_000, **more)


def first(built: Table, label: str) -> Cell:
    return next(row.cells[0] for row in built.rows if row.label == label)


@pytest.mark.parametrize("name", spec_names())
def test_every_published_figure_of_quality_says_its_protocol(name: str) -> None:
    built = build_table(load_spec(name), PUBLISHED, [], PROTOCOLS)
    for line in built.rows:
        for column, cell in zip(built.columns, line.cells, strict=True):
            if cell.published and column.quality and column.value == "value":
                assert cell.published_under, (line.label, column)
                assert cell.published_under.key, (line.label, column)


def test_imagenet64_rests_on_three_references() -> None:
    built = build_table(load_spec("emd-imagenet64"), PUBLISHED, [], PROTOCOLS)
    under = {
        line.label: [cell.published_under and cell.published_under.name for cell in line.cells[1:]]
        for line in built.rows
    }
    assert under["DMD2"][0] == under["SiD"][0] == under["EDM, stochastic"][0] == EDM
    assert under["CTM"] == under["ADM, dropout"] == [ADM, ADM]
    assert under["EDM2, Heun"][0] == "edm2-imagenet64"
    assert "unknown" in str(under["sCT"][0])
    (dropout,) = (line for line in built.rows if line.label == "ADM, dropout")
    assert f"--protocol {ADM} " in dropout.cells[1].command
    (edm,) = (line for line in built.rows if line.label == "EDM, stochastic")
    assert f"--protocol {EDM} " in edm.cells[1].command
    assert "--seeds 3" in edm.cells[1].command
    assert f"--protocol {ADM} " in edm.cells[2].command  # EDM's statistics hold no pictures


def test_two_protocols_in_one_cell_are_marked_in_every_format(tmp_path: Path) -> None:
    built = table(
        tmp_path, row("a", f'"{EDM}"', f'protocol = "{ADM}"'), [value("a", "2.0")], fid("a", 2.5)
    )
    both = f"measured under {ADM}, published under {EDM}: the two do not compare"
    assert "| 2.0 | 2.50 <sup>≠</sup> | +0.50 <sup>≠</sup> |" in table_to_markdown(built)
    for text in (table_to_markdown(built), table_to_terminal(built), table_to_html(built)):
        assert "≠" in text
        assert both in text
    assert "2.50\\textsuperscript{$\\neq$}" in table_to_latex(built)
    assert both in table_to_latex(built)
    (line,) = csv.DictReader(io.StringIO(table_to_csv(built)))
    assert line["comparison"].startswith("another protocol")
    assert (line["protocol"], EDM in line["published_protocol"]) == (ADM, True)
    assert json.loads(table_to_json(built))["cells"][0]["comparison"] == line["comparison"]
    assert not built.faults()  # 0.5 apart, which proves nothing


@pytest.mark.parametrize(
    ("stated", "relation", "mark"),
    [
        (f'"{ADM}"', "same", ""), (f'"{EDM}"', "other", "≠"), ('"own: their code"', "other", "≠"),
        ('"unknown: no code"', "unknown", "≟"), ('""', "unknown", "≟"),
        (f'{{ FID = "{ADM}" }}', "same", ""),
    ],
)  # fmt: skip
def test_what_a_row_states_decides_the_mark(
    tmp_path: Path, stated: str, relation: str, mark: str
) -> None:
    built = table(
        tmp_path, row("a", stated, f'protocol = "{ADM}"'), [value("a", "2.0")], fid("a", 2.5)
    )
    assert first(built, "a").relation == relation
    assert "".join(lay_out(built).lines[0].entries[1].marks) == mark
    assert any(line.startswith("differs") for line in built.faults()) == (relation != "other")


def test_rows_of_one_reference_bear_one_number_and_nothing_is_ranked_across(tmp_path: Path) -> None:
    stated = {"a": EDM, "b": EDM, "c": ADM, "d": ADM, "e": "unknown: no code"}
    figures = {"a": "1.5", "b": "1.4", "c": "1.3", "d": "1.2", "e": "0.1"}
    rows = "".join(row(label, f'"{text}"') for label, text in stated.items())
    built = table(tmp_path, rows, [value(*item) for item in figures.items()])
    entries = [line.entries[0] for line in lay_out(built).lines]
    assert [entry.marks for entry in entries] == [("①",), ("①",), ("②",), ("②",), ("?",)]
    assert [entry.text for entry in entries if entry.best] == ["1.4", "1.2"]
    legend = dict(lay_out(built).footnotes)
    assert EDM in legend["①"]
    assert ADM in legend["②"]
    assert "no code" in legend["?"]


def test_measured_rows_of_two_protocols_are_ranked_apart(tmp_path: Path) -> None:
    under = {"a": EDM, "b": EDM, "c": ADM, "d": ADM}
    rows = "".join(row(label, '""', f'protocol = "{name}"') for label, name in under.items())
    records = [
        fid(label, figure, under[label], low=figure - 0.1, high=figure + 0.1)
        for label, figure in zip("abcd", (9.0, 8.0, 3.0, 2.0), strict=True)
    ]
    built = table(tmp_path, rows, [], *records)
    assert [first(built, label).standing for label in "abcd"] == ["", "best", "", "best"]
    assert [line.entries[0].marks for line in lay_out(built).lines] == [
        ("①",), ("①",), ("②",), ("②",)
    ]  # fmt: skip


def test_a_record_of_another_protocol_does_not_fill_a_row(tmp_path: Path) -> None:
    rows = row("a", '""', f'protocol = {{ fid = "{EDM}" }}')
    assert first(table(tmp_path, rows, [], fid("a", 1.0, ADM)), "a").measured is None
    assert first(table(tmp_path, rows, [], fid("a", 1.0, EDM)), "a").value == 1.0


def test_one_row_has_columns_of_several_detectors_and_protocols(tmp_path: Path) -> None:
    head = HEAD + (
        '[[column]]\nmetric = "fd"\n[[column]]\nmetric = "fid"\ntitle = "EDM\'s"\n'
        '[[column]]\nmetric = "recall"\n'
    )
    names = f'fid = "{ADM}", fd = "bundled", "EDM\'s" = "{EDM}"'
    records = [
        fid("a", 1.0), fid("a", 2.0, EDM),
        made("a", "fd", 3.0, resolution=64, samples=50_000),
        made("a", "recall", 4.0, protocol=ADM, resolution=64, samples=50_000),
    ]  # fmt: skip
    rows = row("a", '""', f"protocol = {{ {names} }}")
    built = table(tmp_path, rows, [], *records, head=head)
    assert [column.title for column in built.columns] == ["FID", "FD", "EDM's", "Recall"]
    assert [cell.value for cell in built.rows[0].cells] == [1.0, 3.0, 2.0, None]
    assert not built.rows[0].cells[3].command  # left out by the row's protocols


def test_a_column_that_is_published_alone_has_the_title_of_its_protocol() -> None:
    built = build_table(load_spec("edm2"), PUBLISHED, [], PROTOCOLS)
    detector = PROTOCOLS["edm2-imagenet512-dinov2"].detector
    titles = ["FID", short_title(metric_named("fd"), detector)]
    assert [column.title for column in built.columns] == titles
    assert titles[0] != titles[1]
    assert all(cell.statistic for line in built.rows for cell in line.cells if cell.published)


RUNS = 'runs = 3\nreported = "minimum"\n'


def test_several_runs_are_their_mean_with_the_minimum_beside(tmp_path: Path) -> None:
    rows = row("a", f'"{EDM}"', f'protocol = "{EDM}"', RUNS)
    runs = [
        fid("a", 3.0 + seed / 10, EDM, seed=seed, low=2.5 + seed / 10, high=3.5 + seed / 10)
        for seed in (2, 0, 1, 9)
    ]
    other = fid("a", 1.0, EDM, seed=3, options={"steps": 5})
    built = table(tmp_path, rows, [value("a", "2.95")], other, *runs)
    cell = first(built, "a")
    assert cell.value == pytest.approx(3.1)
    assert (cell.minimum, cell.runs) == (3.0, 3)
    assert cell.difference == pytest.approx(0.05)  # minimum minus minimum
    assert not cell.command
    grid = lay_out(built)
    assert grid.lines[0].entries[1].text == "3.10 ± 0.29 (min of 3: 3.00)"  # 0.5 / sqrt 3
    told = [text for _, text in grid.footnotes]
    assert "the minimum of 3 runs" in told
    assert "mean of 3 runs, seeds 0, 1, 2; deviation 0.1" in told
    (line,) = csv.DictReader(io.StringIO(table_to_csv(built)))
    assert (line["runs"], line["minimum"], line["published_statistic"]) == (
        "3", "3.0", "the minimum of 3 runs",
    )  # fmt: skip


def test_a_minimum_differs_by_more_than_one_run_may(tmp_path: Path) -> None:
    rows = row("a", f'"{EDM}"', f'protocol = "{EDM}"', RUNS)
    runs = [fid("a", 3.0, EDM, seed=seed, low=2.7, high=3.3) for seed in range(3)]
    for figure, expected in (("2.75", False), ("2.65", True)):  # 0.3 of one run, 0.17 of the mean
        built = table(tmp_path, rows, [value("a", figure)], *runs)
        assert first(built, "a").differs is expected


def test_runs_that_are_missing_are_told(tmp_path: Path) -> None:
    rows = row("a", f'"{EDM}"', f'protocol = "{EDM}"', RUNS)
    one = table(tmp_path, rows, [], fid("a", 3.0, EDM))
    assert first(one, "a").command.endswith("--seeds 3 --ci")
    assert lay_out(one).lines[0].entries[0].text == "3.00"
    assert any("1 of the 3 runs" in text for _, text in lay_out(one).footnotes)
    two = table(tmp_path, rows, [], fid("a", 3.0, EDM), fid("a", 4.0, EDM, seed=1))
    assert lay_out(two).lines[0].entries[0].text == "3.50 (min of 2: 3.00)"


def test_of_a_metric_where_higher_is_better_there_is_no_minimum(tmp_path: Path) -> None:
    head = HEAD.replace('"fid"', '"recall"').replace('"FID"', '"recall"')
    rows = row("a", f'"{ADM}"', f'protocol = "{ADM}"', RUNS)
    runs = [
        made("a", "recall", 0.5 + seed, protocol=ADM, resolution=64, samples=50_000, seed=seed)
        for seed in range(3)
    ]
    cell = first(table(tmp_path, rows, [value("a", "1", "recall")], *runs, head=head), "a")
    assert (cell.value, cell.minimum, cell.statistic) == (1.5, None, "")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (row("a", '"edm-imagnet64"'), "name a protocol (did you mean edm-imagenet64"),
        (row("a", '"unknown"'), 'or "unknown: WHY"'),
        (row("a", '"own: "'), 'say "own: WHAT THE PAPER DID"'),
        (row("a", f'{{ fid = "{ADM}" }}'), "no column prints fid; known: FID"),
        (row("a", '""', 'protocol = { fid = "nope" }'), "protocol nope: name one of"),
        (row("a", '""', f'protocol = {{ kid = "{ADM}" }}'), "protocol.kid is of no column"),
        (row("a", '""', "protocol = 3"), "measured.protocol 3 is neither a text nor a table"),
        (row("a", '""', "protocol = {}"), "measured.protocol is missing"),
        (row("a", '["x"]'), "row[0].published_protocol ['x'] is neither a text"),
        (row("a", "{ FID = 3 }"), "row[0].published_protocol {'FID': 3} is neither a text"),
        (row("a", '""', f'protocol = "{ADM}"', 'reported = "minimum"\n'), "add runs = 3"),
        (row("a", '""', f'protocol = "{ADM}"', "runs = 0\n"), "1 or more"),
        (row("a", '""', f'protocol = "{ADM}"', 'runs = 2\nreported = "best"\n'), "is not one"),
    ],
)  # fmt: skip
def test_what_a_row_cannot_say(tmp_path: Path, rows: str, expected: str) -> None:
    with pytest.raises(GenbenchError) as refused:
        table(tmp_path, rows, [])
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)
