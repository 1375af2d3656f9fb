"""How far samples are from real images, in units of how far real images are from each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from genbench.metrics.estimate import NORMAL_95, Estimate
from genbench.metrics.evidence import Evidence
from genbench.metrics.metric import Metric
from genbench.metrics.settings import FrechetSettings

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 8  # images of each half, at the least


def distance_ratio(samples: Tensor, reference: Tensor, *, interval: bool) -> Estimate:
    """The Fréchet distance of samples to one half of the reference over that of the other half,
    equally many images, both directions averaged: 1 is as near as real images are.

    samples: float32 [N, D], reference: float32 [M, D] in the order of its files, of which every
    other row makes a half; n = min(N, M // 2) rows of each are compared, so that the bias of a
    finite count is the same above and below the line. A single encoder's distance can be gamed
    (Stein et al. 2023, arXiv:2306.04675; Kynkäänniemi et al. 2023, arXiv:2203.06026), so it is
    meant for several. interval: the delta method's of the logarithm, over other samples and other
    real images (that of a distance holds the reference fixed). GenbenchError for fewer than two
    rows, other widths, and NaN.
    """
    from genbench.metrics.frechet import frechet_distance, frechet_interval
    from genbench.metrics.moments import stream_moments

    halves = [reference[::2], reference[1::2]]
    count = min(len(samples), len(halves[1]))
    rows = [samples[:count], halves[0][:count], halves[1][:count]]
    own, first, second = (stream_moments(iter([part]), [count])[count] for part in rows)
    above: list[Estimate] = []
    below: list[Estimate] = []
    for moments, drawn, to in ((own, 0, first), (own, 0, second), (first, 1, second),
                               (second, 2, first)):  # fmt: skip
        value = frechet_distance(moments, to)
        found = Estimate(value)
        if interval:
            found = frechet_interval(iter([rows[drawn]]), moments, to, value)
        (below if drawn else above).append(found)
    numerator = (above[0].value + above[1].value) / 2
    denominator = (below[0].value + below[1].value) / 2
    if denominator <= 0:
        return Estimate(math.inf if numerator > 0 else 1.0)
    ratio = numerator / denominator
    singular = count <= reference.shape[1]
    if not interval or numerator <= 0:
        return Estimate(ratio, singular=singular)
    # The two directions of one side share their rows: their errors are taken as equal, not apart.
    errors = [
        sum((found.high or 0.0) - found.value for found in side) / 2 / NORMAL_95
        for side in (above, below)
    ]
    spread = NORMAL_95 * math.hypot(errors[0] / numerator, errors[1] / denominator)
    return Estimate(
        ratio, ratio * math.exp(-spread), ratio * math.exp(spread),
        "95% delta method of the logarithm, over other samples and other real images",
        singular=singular,
    )  # fmt: skip


def _compute(evidence: Evidence) -> Estimate:
    return distance_ratio(
        evidence.rows("pool"), evidence.reference_rows("pool"), interval=evidence.interval
    )


REPRESENTATIVE = Metric(
    key="representative",
    short="FD / real",
    title="Distance over that of held-out real images",
    unit="ratio",
    higher_is_better=False,
    layer="pool",
    compares="features",
    generic_key="representative",
    generic_short="FD / real",
    generic_title="Distance over that of held-out real images",
    source="ratio to real images as a scale: Stein et al. 2023, arXiv:2306.04675, section 4",
    settings=lambda _: FrechetSettings(layer="pool"),
    least=lambda _: 2 * LEAST,
    compute=_compute,
)
