"""Another GPU's second in three tiers that are never mixed: measured, theoretical, projected.

measured: the device is that GPU. theoretical: arithmetic from counted FLOPs and a stated peak.
projected: an interval from the ratios of two datasheets, a model and not a bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from genbench.records.measurement import Measurement
from genbench.speed.adm_table7 import adm_table7, paper_peak, theoretical_throughput
from genbench.speed.datasheets import Gpu

Tier = Literal["measured", "theoretical", "projected"]
TIERS: tuple[Tier, ...] = ("measured", "theoretical", "projected")


@dataclass(frozen=True, kw_only=True)
class TargetRate:
    """Images a second of the target GPU, of one tier. A projection's value is its lower end."""

    tier: Tier
    value: float
    low: float | None = None
    high: float | None = None
    how: str


def short_name(target: Gpu) -> str:
    """What the metrics of records are named by: any V100 is v100."""
    return "v100" if target.is_v100 else target.name


def second_of(target: Gpu) -> str:
    """What its seconds are called where people read them: any V100 is V100."""
    return "V100" if target.is_v100 else target.title


def is_target(device: Gpu | None, target: Gpu) -> bool:
    """Whether what this device does may be called the target's: any V100 is a V100."""
    return device is not None and (device == target or (device.is_v100 and target.is_v100))


def target_peak(target: Gpu, precision: str) -> float | None:
    """Dense peak in FLOP/s at a precision, or at the one of the same kind that the GPU has: a V100
    has no bfloat16 and no TF32."""
    other = {"bfloat16": "float16", "tf32": "float32"}.get(precision, precision)
    return target.peak(precision) or target.peak(other)


def theoretical(flops: float, target: Gpu, precision: str) -> TargetRate | None:
    """At 100% of the peak. A V100's is ADM's constant, half precision, as its Table 7 has it. None
    for a model without a product to count, and for a GPU without a peak at that precision."""
    peak = paper_peak() if target.is_v100 else target_peak(target, precision)
    if peak is None or not flops:
        return None
    word = "half precision, as ADM Table 7" if target.is_v100 else f"{precision}, datasheet"
    return TargetRate(
        tier="theoretical",
        value=theoretical_throughput(flops, peak=peak),
        how=f"{peak / 1e12:g} TFLOP/s ({word}) / {flops / 1e9:,.2f} GFLOP an image",
    )


def projected(
    rate: float, flops: float, device: Gpu | None, target: Gpu, precision: str
) -> TargetRate | None:
    """The interval between scaling by the FLOP ratio and by the bandwidth ratio of the two
    datasheets, no higher than the target's own peak allows; None for a device without a sheet.

    It takes the efficiency of both for equal, and the time for launches for none.
    """
    if device is None or not flops or is_target(device, target):
        return None
    own, theirs = device.peak(precision), target_peak(target, precision)
    if own is None or theirs is None:
        return None
    by_flops, by_bytes = own / theirs, device.bandwidth.value / target.bandwidth.value
    roof = theoretical_throughput(flops, peak=theirs)
    low = min(rate / max(by_flops, by_bytes), roof)
    high = min(rate / min(by_flops, by_bytes), roof)
    return TargetRate(
        tier="projected", value=low, low=low, high=high,
        how=f"{device.name} / {target.name}: {by_flops:.2f} in FLOP/s ({precision}), "
        f"{by_bytes:.2f} in bandwidth",
    )  # fmt: skip


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


def backtests(records: Iterable[Measurement], device: Gpu | None, target: Gpu) -> list[Backtest]:
    """The projections that this device's training records allow to check, the last of each row of
    ADM's Table 7. Half precision only: that is what the paper trained in."""
    if device is None or not target.is_v100:
        return []
    published = {row.network: row.optimised.throughput for row in adm_table7()}
    found = {}
    for record in records:
        settings = record.settings
        if (
            record.metric != "training_throughput"
            or settings.get("gpu") != device.name
            or settings.get("form") != "optimised"
            or settings.get("network") not in published
            or settings.get("precision") not in ("float16", "bfloat16")
        ):
            continue
        network = str(settings["network"])
        rate = projected(
            record.value, float(settings["flops_per_image"]), device, target,
            str(settings["precision"]),
        )  # fmt: skip
        if rate is not None and rate.low is not None and rate.high is not None:
            found[network] = Backtest(
                network=network, low=rate.low, high=rate.high, published=published[network]
            )
    return list(found.values())
