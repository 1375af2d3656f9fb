"""A table of what is on record: rows told apart by what differs, columns of what compares."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from made_records import made, speed
from strangers import error_line, genbench

from genbench.cli.app import app
from genbench.errors import UsageError
from genbench.records.kinds import Record
from genbench.records.measurement import Environment
from genbench.records.store import append_records
from genbench.tables.cells import Table
from genbench.tables.columns import Column
from genbench.tables.from_records import RecordsTable, table_of_records
from genbench.tables.layout import lay_out
from genbench.tables.record_commands import command_for
from genbench.tables.views import Results


def table(*records: Record, **wanted: Any) -> Table:
    return table_of_records(records, RecordsTable(**wanted))


def shown(built: Table) -> dict[str, list[float | None]]:
    return {row.label: [cell.value for cell in row.cells] for row in built.rows}


def titles(built: Table) -> list[str]:
    return [column.title for column in built.columns]


def test_rows_are_what_differs_and_columns_in_the_catalogues_order() -> None:
    built = table(
        made("gan", "recall", 0.5, options={"truncation": 0.5, "plain": False}),
        made("gan", "fd", 10.0, options={"truncation": 0.5, "plain": False}),
        made("gan", "fd", 20.0, options={"truncation": 1.0, "plain": False}, run="b"),
        made("flow", "fd", 30.0, checkpoint="a.pt", checkpoint_digest="aa" * 32, run="c"),
        made("flow", "fd", 40.0, checkpoint="b.pt", checkpoint_digest="bb" * 32, run="d"),
        made("flow", "fd", 50.0, checkpoint_digest="bb" * 32, name="mine", run="e"),
        speed("gan", 7.0, options={"truncation": 0.5, "plain": False}),
    )
    assert titles(built) == ["FD", "Recall", "images/s"]
    assert shown(built) == {
        "gan (truncation 0.5)": [10.0, 0.5, 7.0],
        "gan (truncation 1.0)": [20.0, None, None],
        "flow (a.pt)": [30.0, None, None],
        "flow (b.pt)": [40.0, None, None],
        "mine": [50.0, None, None],
    }


def ends(value: float, width: float | None) -> dict[str, Any]:
    """An interval of that half width; None: without one."""
    return {} if width is None else {"low": value - width, "high": value + width}


def test_the_best_is_marked_where_chance_cannot_explain_it() -> None:
    for width, expected in ((0.5, "best"), (50.0, "tied"), (None, "")):
        built = table(
            *(
                made(model, "fd", value, run=model, **ends(value, width))
                for model, value in (("a", 10.0), ("b", 20.0))
            )
        )
        assert built.rows[0].cells[0].standing == expected


def test_files_of_one_name_are_told_by_their_digests() -> None:
    one, other = (
        made("flow", "fd", 1.0, checkpoint="m.pt", checkpoint_digest=digit * 64, run=digit)
        for digit in "ab"
    )
    assert list(shown(table(one, other))) == ["flow (m.pt aaaaaaaa)", "flow (m.pt bbbbbbbb)"]


def test_of_one_row_the_latest_counts() -> None:
    assert shown(table(made("a", "fd", 1.0), made("a", "fd", 2.0, run="b"))) == {"a": [2.0]}


def test_only_figures_that_compare_stand_together_and_the_others_are_named() -> None:
    records = [
        *(made(model, "fd", 1.0, samples=1000) for model in "ab"),
        *(made(model, "fd", 2.0, samples=5000) for model in "ab"),
        made("a", "fd", 3.0, samples=50_000),
        made("c", "fid", 4.0, protocol="standard"),
        made("b", "fd", 5.0, samples=5000, reference="other", reference_digest="x"),
        *(made(model, "fd", 6.0, samples=5000, reference="mine", reference_digest="y")
          for model in "ab"),
    ]  # fmt: skip
    built = table(*records)
    assert shown(built) == {"a": [6.0], "b": [6.0]}  # 5,000: most models, of these most samples
    notes = " ".join(built.notes)
    assert "reference mine" in notes
    assert "left out, since it does not compare: reference mine [y] against other [x]" in notes
    assert "--protocol bundled -n 1000, --protocol bundled -n 50000" in notes
    assert "--protocol standard -n 10000" in notes
    assert shown(table(*records, samples=50_000)) == {"a": [3.0]}
    assert titles(table(*records, protocol="standard")) == ["FID"]
    with pytest.raises(UsageError, match=r"standard at 7 samples; there is: bundled at 1,000, "):
        table(*records, protocol="standard", samples=7)


def test_several_protocols_stand_in_columns_of_their_own() -> None:
    records: list[Record] = [
        made("a", "fd", 1.0), made("b", "fd", 2.0), made("a", "recall", 0.5),
        made("a", "fid", 3.0, protocol="standard"),
        made("a", "fid", 4.0, protocol="torch-fidelity", samples=500),
        made("a", "fid", 5.0, protocol="torch-fidelity", samples=900),
        speed("a", 7.0),
    ]  # fmt: skip
    built = table(*records, protocol="bundled,standard")
    assert titles(built) == ["FD (bundled)", "FID (standard)", "Recall (bundled)", "images/s"]
    assert shown(built) == {"a": [1.0, 3.0, 0.5, 7.0], "b": [2.0, None, None, None]}
    assert "--protocol standard -n 10000 --metric fid" in built.rows[1].cells[1].command
    assert "--protocol bundled -n 10000 --metric recall" in built.rows[1].cells[2].command
    assert built.title == ("On record: protocol bundled, 10,000 samples; standard, 10,000 samples")
    whole = table(*records, protocol="all", columns=("fid",))
    assert titles(whole) == ["FD (bundled)", "FID (standard)", "FID (torch-fidelity)"]
    assert shown(whole)["a"] == [1.0, 3.0, 5.0]
    assert any("--protocol torch-fidelity -n 500" in note for note in whole.notes)
    large = made("c", "fid", 6.0, protocol="standard", resolution=64)
    assert not table(*records, large, protocol="bundled,standard").rows[2].cells[0].command
    with pytest.raises(UsageError, match="nothing is on record of nope; there is: bundled at"):
        table(*records, protocol="bundled,nope")


def test_rows_and_columns_are_chosen() -> None:
    records: list[Record] = [
        made("a", "fd", 1.0, options={"steps": 5, "eta": 0}, nfe=5.0),
        made("a", "fd", 2.0, options={"steps": 9, "eta": 0}, run="b", nfe=9.0),
        made("a", "recall", 3.0, options={"steps": 9, "eta": 1}, run="c"),
        speed("a", 0.25, options={"steps": 9, "eta": 1}, metric="latency", unit="s"),
    ]
    by_steps = table(*records, rows=("steps",), columns=("nfe", "recall", "latency"))
    assert shown(by_steps) == {"a (steps 5)": [5.0, None, None], "a (steps 9)": [9.0, 3.0, 0.25]}
    assert titles(by_steps) == ["NFE", "Recall", "latency (s)"]
    assert list(shown(table(*records, rows=("model",)))) == ["a"]
    assert len(table(*records, rows=("options",)).rows) == 3
    with pytest.raises(UsageError, match="--rows step: no record tells that; did you mean steps"):
        table(*records, rows=("step",))
    with pytest.raises(UsageError, match="no fdd is on record for these rows; did you mean"):
        table(*records, columns=("fdd",))


def test_what_is_missing_says_which_command_measures_it() -> None:
    command = ("genbench", "fid", "--model", "a", "--checkpoint", "runs/x/w.pt")
    made_so: dict[str, Any] = {
        "card": "a-32", "checkpoint": "w.pt", "options": {"steps": 5, "eta": None, "clip": True},
        "name": "my run", "seed": 3, "environment": Environment(command=command),
    }  # fmt: skip
    built = table(made("a", "fd", 1.0, **made_so), made("b", "recall", 1.0))
    (line,) = (cell.command for row in built.rows for cell in row.cells if row.label == "my run"
               and cell.command)  # fmt: skip
    assert line == (
        "genbench fid --model a --res 32 --variant a-32 --checkpoint runs/x/w.pt --steps 5 --clip "
        "true --name 'my run' --seed 3 --protocol bundled -n 10000 --metric recall"
    )


@pytest.mark.parametrize(
    ("of", "command", "words"),
    [
        ({"model": "diffusers:my/dit", "card": "dit", "checkpoint": "my/dit",
          "options": {"steps": 5, "prompts": f"a b.txt {64 * 'f'}"}},
         "--model diffusers:my/dit --prompts 'in/a b.txt'",
         "--model diffusers:my/dit --res 32 --steps 5 --prompts 'in/a b.txt'"),
        ({"model": "out/gan.onnx", "card": "gan.onnx", "checkpoint": "gan.onnx",
          "options": {"input": "z=normal y=label", "range": "-1,1"}},
         "--model out/gan.onnx",
         "--model out/gan.onnx --res 32 --input 'z=normal y=label' --range=-1,1"),
        ({"model": "gen.py:Net", "card": "gen.py:Net", "checkpoint": "w.pt", "options": {}},
         "--model gen.py:Net --checkpoint runs/w.pt",
         "--model gen.py:Net --res 32 --checkpoint runs/w.pt"),
        ({"model": "latents.npz decoded by vae d1de"},
         "--samples 'my latents.npz' --decode vae:dit/vae --ref bundled",
         "--samples 'my latents.npz' --decode vae:dit/vae"),
        ({"model": "samples"}, "runs/samples bundled --ci", "--samples runs/samples"),
    ],
)  # fmt: skip
def test_a_printed_command_can_be_given(of: dict[str, Any], command: str, words: str) -> None:
    given = tuple(shlex.split(f"genbench fid {command}"))
    kind = "given" if of.get("card") else "none"
    record = made(**{"metric": "fd", "value": 1.0, "weight_kind": kind, **of,
                     "environment": Environment(command=given)})  # fmt: skip
    line = command_for(record, Column(metric="recall", title=""), record)
    rest = "--protocol bundled -n 10000 --metric recall"
    assert line == f"genbench fid {words} {rest}"
    fid = typer.main.get_command(app).commands["fid"]  # type: ignore[attr-defined]
    unknown = fid.make_context("fid", shlex.split(line)[2:]).args
    known = {option for parameter in fid.params for option in parameter.opts}
    own = {f"--{name}" for name in of.get("options", {})} - known
    assert {word.split("=")[0] for word in unknown if word.startswith("-")} == own


def test_what_has_no_command_is_given_none() -> None:
    """A set of images has no speed; where features or decoded latents lay, nobody told."""
    metric = Column(metric="recall", title="")
    rate = Column(metric="throughput", title="", where={"tier": "measured"})
    for record, column in (
        (made("samples", "fd", 1.0), rate),
        (made("latents.npz decoded by vae d1de", "fd", 1.0), metric),
        (made("f.npz", "fd", 1.0,
              environment=Environment(command=("genbench", "fid", "--features", "f.npz"))), metric),
    ):  # fmt: skip
        assert command_for(record, column, record if column is metric else None) == ""


def test_one_command_measures_all_that_a_row_lacks() -> None:
    three = [made("b", metric, 1.0) for metric in ("fd", "precision", "recall")]
    told = lay_out(table(made("a", "fd", 1.0), *three, made("c", "recall", 1.0))).commands
    assert [line.split(" -n 10000 ")[1] for line in told] == [
        "--metric precision --metric recall", "--metric fid --metric precision"
    ]  # fmt: skip


def test_speeds_alone_make_a_table_too() -> None:
    built = table(speed("a", 5.0), speed("b", 6.0), speed("b", 9.0, tier="projected"))
    assert shown(built) == {"a": [5.0], "b": [6.0]}
    assert built.columns[0].higher_is_better


def test_the_command_writes_every_format_and_refuses_in_one_line(tmp_path: Path) -> None:
    records = tmp_path / "r.jsonl"
    append_records(records, [made("a", "fd", 1.0), made("a", "fd", 2.0, name="mine", run="b")])
    outs = [tmp_path / f"t{suffix}" for suffix in (".md", ".tex", ".csv", ".html", ".txt")]
    words = [word for path in outs for word in ("--out", path)]
    run = genbench("table", "--from-records", "--records", records, *words)
    assert run.returncode == 0, run.stderr
    assert all("mine" in path.read_text() for path in outs)
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [(row["row"], row["measured"]) for row in rows] == [("a", "1.0"), ("mine", "2.0")]
    empty = tmp_path / "none.jsonl"
    empty.write_text("")
    for given, expected in (
        ([], "name a table"),
        (["bundled", "--from-records"], "name a table"),
        (["bundled", "--rows", "model"], "go with --from-records"),
        (["--from-records", "--records", empty], "there are no records yet"),
        (["--from-records", "--records", records, "-n", "5"], "at 5 samples; there is: bundled"),
    ):
        assert expected in error_line(genbench("table", *given))


def test_results_make_the_same_table_in_python() -> None:
    view = Results([made("a", "fd", 1.0), made("b", "fd", 2.0)]).table(columns=["fid"])
    assert "| b | 2.00 |" in view.to_markdown()
