"""Another GPU's second in three tiers that are never mixed: measured, theoretical, projected.

measured: the device is that GPU. theoretical: arithmetic from counted FLOPs and a stated peak.
projected: an interval from the ratios of two datasheets, a model and not a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from genbench.records.kinds import Tier
from genbench.speed.datasheets import Gpu
from genbench.speed.flops import theoretical_throughput

TIERS: tuple[Tier, ...] = get_args(Tier)


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


def target_peak(target: Gpu, arithmetic: str) -> float | None:
    """Dense peak in FLOP/s at a arithmetic, or at the one of the same kind that the GPU has: a V100
    has no bfloat16 and no TF32."""
    other = {"bfloat16": "float16", "tf32": "float32"}.get(arithmetic, arithmetic)
    return target.peak(arithmetic) or target.peak(other)


def theoretical(flops: float, target: Gpu, arithmetic: str) -> TargetRate | None:
    """At 100% of the peak: of the target's convention, where published seconds have one. None for a
    model without a product to count, and for a GPU without a peak in that arithmetic."""
    peak, word = target_peak(target, arithmetic), f"{arithmetic}, datasheet"
    if target.convention is not None:
        peak, word = target.convention.value * 1e12, target.convention.source
    if peak is None or not flops:
        return None
    return TargetRate(
        tier="theoretical",
        value=theoretical_throughput(flops, peak=peak),
        how=f"{peak / 1e12:g} TFLOP/s ({word}) / {flops / 1e9:,.2f} GFLOP an image as published",
    )


def projected(
    rate: float, flops: float, device: Gpu | None, target: Gpu, arithmetic: str
) -> TargetRate | None:
    """The interval between scaling by the FLOP ratio and by the bandwidth ratio of the two
    datasheets, no higher than the target's own peak allows; None for a device without a sheet.

    It takes the efficiency of both for equal, and the time for launches for none.
    """
    if device is None or not flops or is_target(device, target):
        return None
    own, theirs = device.peak(arithmetic), target_peak(target, arithmetic)
    if own is None or theirs is None:
        return None
    by_flops, by_bytes = own / theirs, device.bandwidth.value / target.bandwidth.value
    roof = theoretical_throughput(flops, peak=theirs)
    low = min(rate / max(by_flops, by_bytes), roof)
    high = min(rate / min(by_flops, by_bytes), roof)
    return TargetRate(
        tier="projected", value=low, low=low, high=high,
        how=f"{device.name} / {target.name}: {by_flops:.2f} in FLOP/s ({arithmetic}), "
        f"{by_bytes:.2f} in bandwidth",
    )  # fmt: skip
