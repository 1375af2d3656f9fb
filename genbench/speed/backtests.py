"""Projections to a V100 checked: this device's training beside what ADM's authors measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from genbench.records.kinds import Record, SpeedRecord
from genbench.speed.adm_table7 import adm_table7
from genbench.speed.datasheets import Gpu
from genbench.speed.target_gpu import projected


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """A projection of ADM's training on this device beside what ADM's authors measured."""

    network: str
    low: float
    high: float
    published: float  # images a V100-second, Table 7, optimised

    @property
    def error(self) -> float:
        """Published value over the nearer end of the interval, less one; 0 inside it."""
        nearest = min(max(self.published, self.low), self.high)
        return self.published / nearest - 1


def backtests(records: Iterable[Record], device: Gpu | None, target: Gpu) -> list[Backtest]:
    """The projections that this device's training records allow to check, the last of each row of
    ADM's Table 7. Half precision only: that is what the paper trained in."""
    if device is None or not target.is_v100:
        return []
    published = {row.network: row.optimised.throughput for row in adm_table7().rows}
    found = {}
    for record in records:
        if (
            not isinstance(record, SpeedRecord)
            or record.metric != "training_throughput"
            or record.gpu != device.name
            or record.training is None
            or record.training.form != "optimised"
            or record.training.network not in published
            or record.arithmetic not in ("float16", "bfloat16")
        ):
            continue
        network, flops = record.training.network, record.flops_per_image or 0.0
        rate = projected(record.value, flops, device, target, record.arithmetic)
        if rate is not None and rate.low is not None and rate.high is not None:
            found[network] = Backtest(
                network=network, low=rate.low, high=rate.high, published=published[network]
            )
    return list(found.values())
