"""What papers' tables derive, recomputed from first principles beside what they print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from genbench.errors import UsageError, suggestion
from genbench.models.optional import CountableNetworks
from genbench.models.registry import with_defaults
from genbench.speed.adm_table7 import PrintedTable, ThroughputTable, adm_table7, audited
from genbench.speed.flops import network_flops, theoretical_throughput

_DAY = 86_400  # seconds
_UNIT = 0.1  # of the theoretical column; two counters of FLOPs differ by less
_ROUNDED = 0.05  # Table 7 prints one decimal: the true value is within this


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    """One derived value. least, most: what it can be, given how its inputs were rounded."""

    row: str
    quantity: str
    recomputed: float
    least: float
    most: float
    published: float
    tolerance: float  # of the published value: half a unit of its last digit, or as said
    how: str

    @property
    def agrees(self) -> bool:
        """Whether the printed value can be what the inputs give."""
        return self.least - self.tolerance <= self.published <= self.most + self.tolerance


@dataclass(frozen=True, kw_only=True)
class Audit(PrintedTable):
    """A recomputed table."""

    rows: tuple[AuditRow, ...]

    @property
    def agrees(self) -> bool:
        """Whether every printed value follows from its inputs."""
        return all(row.agrees for row in self.rows)


class Stage(NamedTuple):
    """Thousands of iterations at a batch size, at the rate of a row of Table 7."""

    thousands: float
    batch: int
    rate: str


@dataclass(frozen=True, kw_only=True)
class ComputeRow:
    """One row of ADM's Table 10: the generator's V100-days, and the stages of its training."""

    name: str
    published: int
    stages: tuple[Stage, ...]


@dataclass(frozen=True, kw_only=True)
class ConvertedRow:
    """What another paper says its training took, and what Table 10 makes of it: from … to."""

    name: str
    published: tuple[float, float]
    amount: tuple[float, float]
    how: str


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """V100-days for each unit of an amount."""

    title: str
    factor: float
    source: str
    note: str
    rows: tuple[ConvertedRow, ...]


@dataclass(frozen=True, kw_only=True)
class ComputeTable(PrintedTable):
    """ADM's Table 10."""

    rows: tuple[ComputeRow, ...]
    conversions: Mapping[str, Conversion]


def audit(name: str) -> Audit:
    """The audit of that name. Raises UsageError with the nearest for an unknown one."""
    if name not in AUDITS:
        raise UsageError(f"no audit is named {name}; {suggestion(name, AUDITS)}")
    return AUDITS[name]()


def _table7() -> Audit:
    table = adm_table7()
    return _audit(table, _table7_rows(table))


def _table10() -> Audit:
    table = audited("adm-table10", ComputeTable)
    return _audit(table, _table10_rows(table))


def _audit(table: PrintedTable, rows: Iterator[AuditRow]) -> Audit:
    return Audit(title=table.title, source=table.source, note=table.note, rows=tuple(rows))


def _table7_rows(table: ThroughputTable) -> Iterator[AuditRow]:
    family = with_defaults(table.model)
    if not isinstance(family, CountableNetworks):
        raise UsageError(f"model {table.model} does not say how its networks are counted")
    for row in table.rows:
        flops = network_flops(family, row.network)
        ideal = theoretical_throughput(flops, peak=table.peak_tflops * 1e12, passes=table.passes)
        yield AuditRow(
            row=row.name, quantity="theoretical images/V100-s", recomputed=ideal,
            least=ideal, most=ideal, published=row.theoretical, tolerance=_UNIT,
            how=f"{table.peak_tflops:g}e12 / ({table.passes} x {flops / 1e9:.3f} GFLOP)",
        )  # fmt: skip
        for form, step in (("naive", row.naive), ("optimised", row.optimised)):
            share = 100 / ideal
            yield AuditRow(
                row=row.name, quantity=f"{form} utilisation, %",
                recomputed=step.throughput * share,
                least=(step.throughput - _ROUNDED) * share,
                most=(step.throughput + _ROUNDED) * share,
                published=step.utilisation, tolerance=0.5,
                how=f"{step.throughput} / {ideal:.2f}",
            )  # fmt: skip


def _table10_rows(table: ComputeTable) -> Iterator[AuditRow]:
    rates = {row.name: row.optimised.throughput for row in adm_table7().rows}
    for row in table.rows:

        def days(shift: float, stages: tuple[Stage, ...] = row.stages) -> float:
            return sum(
                stage.thousands * 1000 * stage.batch / (rates[stage.rate] + shift) / _DAY
                for stage in stages
            )

        yield AuditRow(
            row=row.name, quantity="generator, V100-days", recomputed=days(0),
            least=days(_ROUNDED), most=days(-_ROUNDED), published=row.published, tolerance=0.5,
            how=" + ".join(
                f"{stage.thousands:g}K x {stage.batch} / {rates[stage.rate]} / {_DAY}"
                for stage in row.stages
            ),
        )  # fmt: skip
    for conversion in table.conversions.values():
        yield from _converted_rows(conversion)


def _converted_rows(conversion: Conversion) -> Iterator[AuditRow]:
    factor = conversion.factor
    for row in conversion.rows:
        ends = zip(("from", "to"), row.amount, row.published, strict=True)
        for end, amount, published in dict.fromkeys(ends):
            if end == "to" and row.amount[0] == row.amount[1]:
                continue
            days = amount * factor
            words = f"{end} " if row.amount[0] != row.amount[1] else ""
            yield AuditRow(
                row=row.name, quantity=f"{words}V100-days", recomputed=days, least=days,
                most=days, published=published, tolerance=0.5,
                how=f"{row.how}: {amount:g} x {factor:.4g}, {conversion.title}",
            )  # fmt: skip


AUDITS: dict[str, Callable[[], Audit]] = {"adm-table7": _table7, "adm-table10": _table10}
