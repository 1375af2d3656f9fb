"""What the page begins with: a row a run, ranked where figures compare; names, colours, digits."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from made_records import made, speed

from genbench.records.kinds import Record
from genbench.report.curves import batch_curves, evaluation_plots, speed_plots
from genbench.report.headline import Headline, headlines
from genbench.report.hints import missing_commands
from genbench.report.labels import _spread
from genbench.report.looks import Looks
from genbench.report.numbers import rounded
from genbench.report.plots import draw_batches, draw_evaluations, draw_speed


def fd(model: str, value: float, **more: Any) -> Record:
    interval: dict[str, Any] = {"low": value - 1, "high": value + 1}
    origin = {"reference": "bundled", "card": f"{model}-32"}
    return made(model, "fd", value, **interval | origin | more)


def tables(records: list[Record]) -> list[Headline]:
    return headlines(records, Looks(records), lambda record: f"run-{record.run}")


def titles(table: Headline) -> list[str]:
    return [head.title for head, _ in table.lines]


def test_every_run_has_its_row_and_its_figures_their_ranks() -> None:
    many = [
        fd("a", 30.0, run="r1", checkpoint="one.pt", checkpoint_digest="1", samples_digest="a1"),
        fd("a", 20.0, checkpoint="two.pt", checkpoint_digest="2", samples_digest="a2"),
        fd("b", 20.5, options={"truncation": 0.5}),
        fd("b", 40.0, options={"truncation": 1.0}),
        made("folder", "fd", 50.0, low=49, high=51, reference="bundled", samples_digest="f"),
        made("folder", "cs", 5.0, low=4, high=6, samples_digest="f"),  # needs no reference
        speed("b", 7.0, low=6.9, high=7.1, card="b-32", options={"truncation": 1.0}),
        fd("a", 99.0, samples=500, checkpoint="one.pt", checkpoint_digest="1"),
        fd("c", 9.0, samples=500),
        speed("d", 3.0),
    ]
    full, few, speeds = tables(many)
    assert titles(full) == ["a (two.pt)", "b (truncation 0.5)", "a (one.pt)", "b (truncation 1.0)",
                            "folder"]  # fmt: skip
    assert [head.title for head in full.top] == ["FD\u00a0↓", "CS\u00a0↑", "images/s\u00a0↑"]
    first = [cells[0] for _, cells in full.lines]
    assert [cell and cell.standing for cell in first] == ["tied", "tied", "", "", ""]
    assert first[2] is not None
    assert (first[2].value, first[2].interval, first[2].card) == ("30.0", "± 1.0", "run-r1")
    assert [cells[2] and cells[2].value for _, cells in full.lines] == [None] * 3 + ["7.00", None]
    assert titles(few) == ["c", "a (one.pt)"]
    assert titles(speeds) == ["d"]


def test_what_does_not_compare_stands_in_tables_apart() -> None:
    found = tables([
        fd("a", 30.0), fd("b", 20.0, reference_digest="other"),
        fd("c", 5.0, protocol_digest="other"), fd("d", 7.0, detector_identity={"weights": "own"}),
    ])  # fmt: skip
    assert sorted(name for table in found for name in titles(table)) == ["a", "b", "c", "d"]
    assert len(found) == 4


def test_the_latest_of_one_subject_counts() -> None:
    (table,) = tables([fd("a", 30.0), fd("b", 1.0), fd("a", 31.0, code_digest="newer")])
    assert [cells[0] and cells[0].value for _, cells in table.lines] == ["1.0", "31.0"]


def test_few_runs_of_many_metrics_are_columns() -> None:
    metrics = ("fd", "sfd", "cs", "precision", "recall", "density")
    found = [made("a", name, 1.0, reference="bundled", card="a-32") for name in metrics]
    (table,) = tables(list(found))
    assert [head.title for head in table.top] == ["a"]
    assert len(table.lines) == len(metrics)


@pytest.mark.parametrize(
    ("value", "low", "high", "told"),
    [
        (96.5508, 94.3316, 98.77, ("96.6", "± 2.2")),
        (0.1077, 0.1014, 0.114, ("0.1077", "± 0.0063")),
        (2157.92, 2097.3, 2218.5, ("2,158", "± 61")),
        (0.0, 0.0, 0.037, ("0.000", "0.000 – 0.037")),  # reaches one way alone
        (-0.001, -0.003, 0.001, ("−0.0010", "± 0.0020")),
        (12.3456, None, None, ("12.35", "")),
    ],
)
def test_digits_end_where_the_interval_begins(
    value: float, low: float | None, high: float | None, told: tuple[str, str]
) -> None:
    assert rounded(made("a", "fd", value, low=low, high=high)) == told


def test_one_colour_and_one_name_a_model_in_every_figure() -> None:
    many: list[Record] = [
        fd("x", 5.0, nfe=1.0),
        fd("y", 7.0, nfe=9.0, options={"steps": 9}),
        fd("y", 9.0, nfe=4.0, options={"steps": 4}),
        *(speed("y", 1.0 + batch, batch=batch, card="y-32") for batch in (1, 2)),
        made("folder", "fd", 9.0, samples_digest="1"),
        made("folder", "fd", 9.0, samples_digest="2"),
    ]
    looks = Looks(many)
    assert len({looks.look(record) for record in many[:2]}) == 2
    assert looks.look(many[1]) == looks.look(many[2]) == looks.look(many[3])
    assert looks.name(many[1]) == "y (steps 9)"
    assert len({looks.name(record) for record in many[5:]}) == 2
    colour = looks.look(many[1]).colour
    assert colour in draw_batches(batch_curves(many, looks))
    assert colour in draw_evaluations(evaluation_plots(many, looks)[0])


def test_names_at_the_side_never_meet() -> None:
    heights = [14.0] * 5
    for wanted in ([50.0, 50.0, 50.0, 50.0, 50.0], [100.0, 99.0, 3.0, 2.0, 1.0], [9.0] * 5):
        places = _spread(wanted, heights, 100.0)
        assert max(places) <= 100.0 - 7.0
        gaps = [one - other for one, other in itertools.pairwise(places)]
        assert min(gaps) >= 14.0 - 1e-9


def test_names_that_would_meet_stand_at_the_side() -> None:
    def drawn(*names: str) -> str:
        many: list[Record] = []
        for number, name in enumerate(names):
            many += [fd(name, 50.0 + number), speed(name, 9.0 + number, card=f"{name}-32")]
        return draw_speed(speed_plots(many)[0])

    apart = drawn("one", "two")
    assert ">one<" in apart
    assert ">1<" not in apart
    crowd = drawn(*(f"a-model-that-has-quite-a-long-name-{number}" for number in range(9)))
    for number in range(1, 10):
        assert f">{number}<" in crowd  # beside the point, and before the name at the side
        assert f">{number} a-model-that-" in crowd


def recorded(*words: str, **more: Any) -> Record:
    from dataclasses import replace

    record = fd("a", 5.0, **more)
    return replace(record, environment=replace(record.environment, command=("genbench", *words)))


def test_hints_say_what_the_recorded_run_said() -> None:
    record = recorded(
        "fid", "--model", "a", "--res=32", "--checkpoint", "my weights.pt", "--plain",
        "--truncation", "0.5", "-n", "200", "-n300", "--ci", "--metric", "fd", "--ref", "x[:9]",
        "--records", "r.jsonl", nfe=20.0, samples=200, options={"truncation": 0.5, "steps": 20},
    )  # fmt: skip
    subject = "--model a --res 32 --checkpoint 'my weights.pt' --plain"
    assert missing_commands("counts", [record]) == [
        f"genbench fid {subject} --truncation 0.5 --ref 'x[:9]' -n 2500 -n 5000 -n 7500 -n 10000 "
        "--metric fd --ci"
    ]
    assert missing_commands("speed", [record]) == [
        f"genbench throughput {subject} --truncation 0.5"
    ]
    assert missing_commands("batches", [record])[0].endswith("--truncation 0.5 --batch auto")
    one, other = missing_commands("sweeps", [record])
    assert f"{subject} --ref 'x[:9]' --truncation 0.5 -n 200" in one
    assert f"{subject} --ref 'x[:9]' --truncation 0.25 -n 200" in other
    steps = [line.split("--steps ")[1][:2] for line in missing_commands("evaluations", [record])]
    assert steps == ["20", "10"]


def test_hints_of_runs_from_python_are_made_of_the_record() -> None:
    record = fd(
        "a", 5.0, checkpoint="w.pt", weight_kind="given", options={"plain": True, "x": None}
    )
    assert missing_commands("speed", [record]) == [
        "genbench throughput --model a --res 32 --variant a-32 --checkpoint w.pt --plain true"
    ]
