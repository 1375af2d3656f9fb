"""Sliced Wasserstein distance, approximated without directions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench.metrics.estimate import NORMAL_95, Estimate
from genbench.metrics.frechet import require_comparable
from genbench.metrics.influence import Influence
from genbench.metrics.moments import MOMENT_BLOCK, Moments


def sliced_wasserstein(samples: Moments, reference: Moments) -> float:
    """sqrt(|mu1 - mu2|^2 / D + (sqrt(m1) - sqrt(m2))^2), m = tr S / D: what the sliced
    2-Wasserstein distance tends to in many dimensions (Nadjahi et al. 2021, arXiv:2106.15427;
    dgm_eval/metrics/sw.py:3, whose covariances divide by N).

    Published statistics that carry no count give their covariance as it is. GenbenchError for
    moments that are not finite or differ in width.
    """
    require_comparable(samples, reference)
    offset = samples.mean - reference.mean
    roots = math.sqrt(_spread(samples)) - math.sqrt(_spread(reference))
    return math.sqrt(float(offset @ offset) / len(offset) + roots**2)


def sliced_wasserstein_interval(
    rows: Tensor, samples: Moments, reference: Moments, value: float
) -> Estimate:
    """`value` with a 95% delta-method interval over the samples, the reference held fixed.

    rows: float32 [N, D], those of `samples`. Of one sample x the squared distance has the
    influence (2 (mu1 - mu2).(x - mu1) + (1 - sqrt(m2 / m1)) |x - mu1|^2) / D, but for a constant.
    None for a distance of 0, where it has no slope.
    """
    spread = _spread(samples)
    if value == 0 or spread == 0:
        return Estimate(value, interval="none: the distance or the samples' spread is 0")
    width = rows.shape[1]
    tilt = 2 * (samples.mean - reference.mean)
    stretch = 1 - math.sqrt(_spread(reference) / spread)
    influence = torch.cat([
        (centred @ tilt + stretch * centred.square().sum(dim=1)) / width
        for centred in (some.double() - samples.mean for some in rows.split(MOMENT_BLOCK))
    ])  # fmt: skip
    kept = Influence(rows=(influence / (2 * value)).numpy())
    half_width = NORMAL_95 * kept.deviation()
    return Estimate(
        value, max(value - half_width, 0.0), value + half_width,
        "95% delta method over the samples, reference fixed", influence=kept,
    )  # fmt: skip


def _spread(moments: Moments) -> float:
    """tr S / D, S divided by the count."""
    return float(moments.scatter.trace()) / (moments.count or 1) / len(moments.mean)
