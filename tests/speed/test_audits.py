"""The papers' derived columns from first principles: golden numbers."""

from __future__ import annotations

import json

import pytest
from strangers import error_line, genbench

from genbench.errors import UsageError
from genbench.models.optional import CountableNetworks
from genbench.models.registry import with_defaults
from genbench.speed.adm_table7 import adm_table7
from genbench.speed.audits import AuditRow, audit
from genbench.speed.datasheets import known_gpus
from genbench.speed.flops import network_flops


@pytest.fixture(scope="module")
def table7() -> dict[tuple[str, str], AuditRow]:
    return {(row.row, row.quantity): row for row in audit("adm-table7").rows}


# Counted with the official code (genbench's networks are its own): GFLOP of one forward pass.
@pytest.mark.parametrize(
    ("network", "gigaflops"),
    [
        ("adm-64", 219.356),
        ("adm-128", 613.856),
        ("adm-256", 2239.666),
        ("adm-64-256", 1263.285),
        ("adm-128-512", 5009.570),
    ],
)
def test_flops_of_the_published_networks(network: str, gigaflops: float) -> None:
    family = with_defaults("adm-guided")
    assert isinstance(family, CountableNetworks)
    assert network_flops(family, network) / 1e9 == pytest.approx(gigaflops, abs=5e-4)


def test_published_v100_seconds_are_counted_against_the_papers_peak() -> None:
    conventions = [gpu.convention for gpu in known_gpus().values() if gpu.is_v100]
    assert len(conventions) == 3
    for convention in conventions:
        assert convention is not None
        assert convention.value == adm_table7().peak_tflops


@pytest.mark.parametrize(
    ("row", "theoretical"),
    [("64", 182.35), ("128", 65.16), ("256", 17.86), ("64 -> 256", 31.66), ("128 -> 512", 7.98)],
)
def test_table_7_theoretical(
    table7: dict[tuple[str, str], AuditRow], row: str, theoretical: float
) -> None:
    found = table7[row, "theoretical images/V100-s"]
    assert found.recomputed == pytest.approx(theoretical, abs=0.005)
    assert found.agrees


def test_table_7_utilisations_all_agree(table7: dict[tuple[str, str], AuditRow]) -> None:
    shares = [row for (_, quantity), row in table7.items() if "utilisation" in quantity]
    assert len(shares) == 10
    assert all(row.agrees for row in shares)
    assert [round(row.recomputed) for row in shares] == [20, 41, 18, 38, 25, 36, 20, 30, 24, 29]


def test_table_7_with_another_peak_would_not_agree(
    table7: dict[tuple[str, str], AuditRow],
) -> None:
    """The paper's V100 does 120 TFLOP/s; 125, the datasheet's, gives other numbers."""
    for row in adm_table7().rows:
        found = table7[row.name, "theoretical images/V100-s"]
        assert abs(found.recomputed * 125 / 120 - row.theoretical) > found.tolerance


@pytest.mark.parametrize(
    ("row", "days"),
    [
        ("128, ADM-G (4360K)", 520.91),
        ("256, ADM-G (1980K)", 916.67),
        ("256, ADM-G (540K), ADM-U (500K)", 328.68),
    ],
)
def test_table_10_generator_compute(row: str, days: float) -> None:
    found = {item.row: item for item in audit("adm-table10").rows}[row]
    assert found.recomputed == pytest.approx(days, abs=0.005)
    assert found.agrees


def test_table_10_all_rows_agree_and_conversions_are_labelled() -> None:
    found = audit("adm-table10")
    assert found.agrees
    tpu = [row for row in found.rows if "TPU" in row.how]
    assert [row.published for row in tpu] == [64, 128, 128, 256, 256, 512]


def test_a_published_value_outside_the_rounding_does_not_agree() -> None:
    row = AuditRow(
        row="", quantity="", recomputed=100.0, least=99.0, most=101.0, published=101.6,
        tolerance=0.5, how="",
    )  # fmt: skip
    assert not row.agrees


def test_the_command_prints_recomputed_beside_published() -> None:
    run = genbench("audit", "adm-table10")
    assert run.returncode == 0
    assert "520.91" in run.stdout
    assert "521" in run.stdout
    lines = genbench("audit", "adm-table10", "--json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[0]["published"] == 521
    assert rows[0]["recomputed"] == pytest.approx(520.908, abs=1e-3)


def test_unknown_names() -> None:
    assert "did you mean adm-table7?" in error_line(genbench("audit", "adm-table"))
    family = with_defaults("adm-guided")
    assert isinstance(family, CountableNetworks)
    with pytest.raises(UsageError, match="no network adm-124; did you mean"):
        network_flops(family, "adm-124")


def test_without_a_name_the_audits_are_listed() -> None:
    run = genbench("audit")
    assert run.returncode == 0, run.stderr
    assert [line.split(":")[0] for line in run.stdout.splitlines()] == ["adm-table7", "adm-table10"]
