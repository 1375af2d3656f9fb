"""How far samples are from real images, in units of how far real images are from each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from genbench.errors import GenbenchError
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

    samples: float32 [N, D], reference: float32 [M, D]; n = min(N, M // 2) rows of each are
    compared, those of the halves in turn and spread over the whole reference, so that the bias of
    a finite count is the same above and below the line: it pulls the ratio towards 1. A single
    encoder's distance can be gamed (Stein et al. 2023, arXiv:2306.04675; Kynkäänniemi et al. 2023,
    arXiv:2203.06026), so it is meant for several. interval: the delta method's of the logarithm,
    over other samples and other real images (that of a distance holds the reference fixed).
    GenbenchError for fewer than two rows, other widths, NaN, and halves that do not differ.
    """
    import torch

    from genbench.metrics.frechet import frechet_distance, frechet_interval
    from genbench.metrics.moments import stream_moments

    count = min(len(samples), len(reference) // 2)
    spread = torch.arange(2 * count) * len(reference) // (2 * count)  # over the whole reference
    rows = [samples[:count], reference[spread[::2]], reference[spread[1::2]]]
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
        raise GenbenchError(
            "the two halves of the reference do not differ, so there is no scale: pass a reference "
            "of different images"
        )
    ratio = numerator / denominator
    singular = count <= reference.shape[1]
    note = (
        f"representative is of {count:,} samples and twice {count:,} of the reference's "
        f"{len(reference):,} images"
        + (": with fewer than features, the ratio is too near to 1" if singular else "")
    )
    if not interval or numerator <= 0:
        return Estimate(ratio, singular=singular, note=note)
    # The two directions of one side share their rows: their errors are taken as equal, not apart.
    errors = [
        sum((found.high or 0.0) - found.value for found in side) / 2 / NORMAL_95
        for side in (above, below)
    ]
    reach = NORMAL_95 * math.hypot(errors[0] / numerator, errors[1] / denominator)
    return Estimate(
        ratio, ratio * math.exp(-reach), ratio * math.exp(reach),
        "95% delta method of the logarithm, over other samples and other real images",
        singular=singular, note=note,
    )  # fmt: skip


def _compute(evidence: Evidence) -> Estimate:
    return distance_ratio(
        evidence.rows("pool"), evidence.reference_rows("pool"), interval=evidence.interval
    )


REPRESENTATIVE = Metric(
    key="representative",
    short="FD / real",
    title="Fréchet distance over that of held-out real images",
    unit="ratio",
    higher_is_better=False,
    layer="pool",
    compares="features",
    generic_key="representative",
    generic_short="FD / real",
    generic_title="Fréchet distance over that of held-out real images",
    source="ratio to real images as a scale: Stein et al. 2023, arXiv:2306.04675, section 4",
    settings=lambda _: FrechetSettings(layer="pool"),
    least=lambda _: 2 * LEAST,
    compute=_compute,
)
