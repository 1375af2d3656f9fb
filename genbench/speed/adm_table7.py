"""ADM's Table 7 as printed, with what it derives its theoretical column from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from genbench.runtime.folders import tables_folder
from genbench.runtime.validated import read_toml, validated

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class PublishedStep:
    """One implementation in a row of the table: images a V100-second, per cent of the peak."""

    throughput: float
    utilisation: int


@dataclass(frozen=True, kw_only=True)
class ThroughputRow:
    """One row of the table."""

    name: str
    network: str
    resolution: int
    theoretical: float
    naive: PublishedStep
    optimised: PublishedStep


@dataclass(frozen=True, kw_only=True)
class PrintedTable:
    """A table of a paper, and what is to be known of it."""

    title: str
    source: str
    note: str


@dataclass(frozen=True, kw_only=True)
class ThroughputTable(PrintedTable):
    """The table. passes: forward passes that a training step counts for."""

    model: str
    peak_tflops: float
    passes: int
    rows: tuple[ThroughputRow, ...]


def audited(name: str, kind: type[T]) -> T:
    """One table of tables/audits.toml. Raises GenbenchError naming what is wrong in it."""
    return validated(_tables()[name], kind, name=f"{tables_folder() / 'audits.toml'}: {name}")


@cache
def _tables() -> Mapping[str, Any]:
    return read_toml(tables_folder() / "audits.toml")


@cache
def adm_table7() -> ThroughputTable:
    """The table."""
    return audited("adm-table7", ThroughputTable)
