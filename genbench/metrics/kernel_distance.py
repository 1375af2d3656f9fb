"""Kernel (Inception) distance: the squared MMD with the cubic kernel."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import Estimate, normal_interval
from genbench.metrics.influence import Influence
from genbench.metrics.moments import require_finite
from genbench.metrics.settings import Side

Floats = NDArray[np.float64]
_INFLUENCES = 10_000  # rows from which the kernel's means are taken: enough for a variance
_ROWS = 1000  # at once


def kernel_distance(
    samples: Tensor,
    reference: Tensor,
    *,
    subsets: int,
    subset_size: int,
    seed: int,
    interval: bool,
    first: Side = "samples",
    capped: bool = False,
) -> Estimate:
    """Unbiased squared MMD with the cubic kernel, mean over random subsets (Bińkowski et al. 2018).

    samples: float32 [N, D], reference: float32 [M, D]. The value is that of torch-fidelity's
    kid_features_to_metric given float64 features, may be slightly negative, and draws its subsets
    from RandomState(seed). first: the side whose rows are drawn first, for each subset: "samples"
    as torch-fidelity and clean-fid (cleanfid/fid.py:93, in float32), "reference" as dgm-eval
    (dgm_eval/metrics/mmd.py:5); both of these without a seed. capped: subsets are of min(N, M) rows
    where that is fewer, as in these two.

    The interval adds two variances: the delta method's over the samples (twice the kernel's mean
    over the samples less its mean over the reference, at each sample), and that of drawing subsets.
    GenbenchError when either side has fewer than `subset_size` rows, or NaN.
    """
    distances = subset_distances(
        samples, reference, subsets=subsets, subset_size=subset_size, seed=seed, first=first,
        capped=capped,
    )  # fmt: skip
    value = float(distances.mean())
    if not interval:
        return Estimate(value)
    influence = Influence(rows=_influences(samples, reference), draws=distances)
    # The subsets' variance as it is known, also of a single one.
    variance = float(distances.var()) / subsets + Influence(rows=influence.rows).variance()
    return normal_interval(
        value, variance, "over the samples and the subsets, reference fixed", influence
    )


def subset_distances(
    samples: Tensor,
    reference: Tensor,
    *,
    subsets: int,
    subset_size: int,
    seed: int,
    first: Side = "samples",
    capped: bool = False,
) -> NDArray[np.float64]:
    """The squared MMD of each pair of subsets, float64 [subsets]; samples float32 [N, D],
    reference float32 [M, D], and the rest as `kernel_distance` has it. float64, since the cubic
    kernel of features far from 0 leaves nothing of a difference in float32."""
    from torch_fidelity.metric_kid import kernel_mmd

    fewest = min(len(samples), len(reference))
    size = min(subset_size, fewest) if capped else subset_size
    if size < 2 or subsets < 1 or fewest < size:
        raise GenbenchError(
            f"KID draws {subsets} subsets of {size} and there are {len(samples)} samples "
            f"and {len(reference)} references; lower the subset size to between 2 and {fewest}"
        )
    require_finite(samples)
    require_finite(reference, what="features (of the reference)")
    drawn = np.random.RandomState(seed)
    sides = [samples.numpy(), reference.numpy()]
    order = (0, 1) if first == "samples" else (1, 0)
    found = np.zeros(subsets)
    for position in range(subsets):
        rows: dict[int, Floats] = {}
        for side in order:
            chosen = drawn.choice(len(sides[side]), size, replace=False)
            rows[side] = sides[side][chosen].astype(np.float64)
        found[position] = kernel_mmd(rows[0], rows[1])
    return found


def _influences(samples: Tensor, reference: Tensor) -> Floats:
    """What each sample adds to the squared MMD, float64 [min(N, _INFLUENCES)]: twice the kernel's
    mean over the samples less that over the reference. At most _INFLUENCES rows of each side stand
    for all, scaled so that the variance of their mean is that of all N."""
    some, others = samples[:_INFLUENCES].double(), reference[:_INFLUENCES].double()
    width = some.shape[1]
    found = []
    for rows in torch.split(some, _ROWS):
        own = (rows @ some.T / width + 1) ** 3  # [rows, samples]
        cross = (rows @ others.T / width + 1) ** 3  # [rows, references]
        found.append(own.mean(dim=1) - cross.mean(dim=1))  # [rows]
    scale = 2 * math.sqrt(len(some) / len(samples))
    influences: Floats = torch.cat(found).numpy() * scale
    return influences
