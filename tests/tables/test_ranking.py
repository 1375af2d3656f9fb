"""Bold is for what chance cannot explain; what it can is a tied group."""

from __future__ import annotations

from typing import Any

from made_records import made, speed

from genbench.records.kinds import Record
from genbench.records.protocols import load_protocols
from genbench.tables.build import build_table
from genbench.tables.html import table_to_html
from genbench.tables.published import load_published
from genbench.tables.ranking import standings
from genbench.tables.specs import load_spec
from genbench.tables.text_formats import table_to_markdown


def fd(value: float, half: float | None = 1.0, **more: Any) -> Record:
    ends: dict[str, Any] = {} if half is None else {"low": value - half, "high": value + half}
    return made("a", "fd", value, **ends, **more)


def test_the_best_by_more_than_chance_stands_alone() -> None:
    assert standings([fd(10), fd(13), None], higher=False) == ["best", "", ""]
    assert standings([fd(10), fd(13)], higher=True) == ["", "best"]
    rates = [speed("a", 5.0, low=4.9, high=5.1), speed("b", 9.0, low=8.0, high=10.0)]
    assert standings(rates, higher=True) == ["", "best"]


def test_what_chance_may_explain_is_a_tied_group() -> None:
    assert standings([fd(10), fd(11), fd(13)], higher=False) == ["tied", "tied", ""]
    assert standings([fd(10), fd(10)], higher=False) == ["tied", "tied"]


def test_nobody_leads_where_an_interval_or_a_rival_is_missing() -> None:
    assert standings([fd(10), fd(90, None)], higher=False) == ["", ""]
    assert standings([fd(10), fd(11), fd(90, None)], higher=False) == ["tied", "tied", ""]
    assert standings([fd(10), None], higher=False) == ["", ""]
    assert standings([fd(10), fd(90, samples=500)], higher=False) == ["", ""]
    assert standings([fd(10), fd(90, reference_digest="other")], higher=False) == ["", ""]


def test_every_format_marks_the_tied() -> None:
    records = [
        made("hit", "fd", 31.0, low=30.0, high=32.0, card="hit-32"),
        made("biggan-deep", "fd", 31.5, low=30.5, high=32.5, options={"truncation": 1.0}),
    ]
    built = build_table(load_spec("bundled"), load_published(), records, load_protocols())
    text = table_to_markdown(built)
    assert "| HiT | 31.0 ± 1.0 <sup>=</sup> |" in text
    assert "| BigGAN-deep | 31.5 ± 1.0 <sup>=</sup> |" in text
    assert "<sup>=</sup> the best, or no further from it" in text
    assert "<td>31.0<sup>=</sup> <small>± 1.0</small></td>" in table_to_html(built)
