"""What papers' tables derive, recomputed from first principles beside what they print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genbench.errors import UsageError, suggestion
from genbench.speed.adm_table7 import (
    _tables,
    adm_table7,
    network_flops,
    paper_peak,
    theoretical_throughput,
    training_passes,
)

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


@dataclass(frozen=True)
class Audit:
    """A recomputed table."""

    title: str
    source: str
    note: str
    rows: tuple[AuditRow, ...]

    @property
    def agrees(self) -> bool:
        """Whether every printed value follows from its inputs."""
        return all(row.agrees for row in self.rows)


def audit(name: str) -> Audit:
    """The audit of that name. Raises UsageError with the nearest for an unknown one."""
    if name not in AUDITS:
        raise UsageError(f"no audit is named {name}; {suggestion(name, AUDITS)}")
    table = _tables()[name]
    return Audit(table["title"], table["source"], table["note"], tuple(AUDITS[name](table)))


def _table7_rows(table: Mapping[str, Any]) -> Iterator[AuditRow]:
    for row in adm_table7():
        flops = network_flops(table["model"], row.network)
        ideal = theoretical_throughput(flops, peak=paper_peak(), passes=training_passes())
        yield AuditRow(
            row=row.name, quantity="theoretical images/V100-s", recomputed=ideal,
            least=ideal, most=ideal, published=row.theoretical, tolerance=_UNIT,
            how=f"{table['peak_tflops']:g}e12 / ({training_passes()} x {flops / 1e9:.3f} GFLOP)",
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


def _table10_rows(table: Mapping[str, Any]) -> Iterator[AuditRow]:
    rates = {row.name: row.optimised.throughput for row in adm_table7()}
    for row in table["rows"]:

        def days(shift: float, stages: list[tuple[float, int, str]] = row["stages"]) -> float:
            return sum(
                thousands * 1000 * batch / (rates[rate] + shift) / _DAY
                for thousands, batch, rate in stages
            )

        yield AuditRow(
            row=row["name"], quantity="generator, V100-days", recomputed=days(0),
            least=days(_ROUNDED), most=days(-_ROUNDED), published=row["published"], tolerance=0.5,
            how=" + ".join(
                f"{thousands}K x {batch} / {rates[rate]} / {_DAY}"
                for thousands, batch, rate in row["stages"]
            ),
        )  # fmt: skip
    for conversion in table["conversions"].values():
        yield from _converted_rows(conversion)


def _converted_rows(conversion: Mapping[str, Any]) -> Iterator[AuditRow]:
    factor = float(conversion["factor"])
    for row in conversion["rows"]:
        ends = zip(("from", "to"), row["amount"], row["published"], strict=True)
        for end, amount, published in dict.fromkeys(ends):
            days = amount * factor
            if end == "to" and row["amount"][0] == row["amount"][1]:
                continue
            words = f"{end} " if row["amount"][0] != row["amount"][1] else ""
            yield AuditRow(
                row=row["name"], quantity=f"{words}V100-days", recomputed=days, least=days,
                most=days, published=published, tolerance=0.5,
                how=f"{row['how']}: {amount} x {factor:.4g}, {conversion['title']}",
            )  # fmt: skip


AUDITS: dict[str, Callable[[Mapping[str, Any]], Iterator[AuditRow]]] = {
    "adm-table7": _table7_rows,
    "adm-table10": _table10_rows,
}
