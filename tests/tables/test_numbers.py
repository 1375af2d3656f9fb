"""Numbers and titles as they are printed: no exponents, and no title broken by a narrow table."""

from __future__ import annotations

import io

import pytest
from made_records import made
from rich.console import Console

from genbench.tables.from_records import RecordsTable, table_of_records
from genbench.tables.numbers import in_full, shown_flops
from genbench.tables.terminal import print_table


@pytest.mark.parametrize(
    ("value", "text"),
    [(12770.4, "12,770"), (1277499.0, "1,277,499"), (3.14159, "3.142"), (0.031249, "0.03125"),
     (50.0, "50"), (1000.0, "1,000"), (0.0, "0"), (float("inf"), "inf")],
)  # fmt: skip
def test_a_rate_has_no_exponent(value: float, text: str) -> None:
    assert in_full(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(98304, "98.304 kFLOP"), (2.5e9, "2.5 GFLOP"), (633.9e12, "633.9 TFLOP"), (12, "12 FLOP")],
)
def test_operations_have_the_prefix_that_fits(count: float, text: str) -> None:
    assert shown_flops(count) == text


def test_a_title_is_not_broken_at_the_width_of_its_table() -> None:
    out = io.StringIO()
    built = table_of_records([made("a", "fd", 1.0, samples=100)], RecordsTable())
    print_table(Console(file=out, width=80), built)
    assert out.getvalue().startswith("On record: protocol bundled, 100 samples\n")
