"""Kernel (Inception) distance: the squared MMD with the cubic kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import Estimate, normal_interval
from genbench.metrics.moments import require_finite

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
) -> Estimate:
    """Unbiased squared MMD with the cubic kernel, mean over random subsets (Bińkowski et al. 2018).

    samples: float32 [N, D], reference: float32 [M, D]. The value is that of torch-fidelity's
    kid_features_to_metric given float64 features, may be slightly negative, and draws its subsets
    from RandomState(seed). The interval adds two variances: the delta method's over the samples
    (twice the kernel's mean over the samples less its mean over the reference, at each sample), and
    that of drawing subsets. GenbenchError when either side has fewer than `subset_size` rows, or
    NaN.
    """
    fewest = min(len(samples), len(reference))
    if subset_size < 2 or subsets < 1 or fewest < subset_size:
        raise GenbenchError(
            f"KID draws {subsets} subsets of {subset_size} and there are {len(samples)} samples "
            f"and {len(reference)} references; lower the subset size to between 2 and {fewest}"
        )
    require_finite(samples)
    require_finite(reference, what="features (of the reference)")
    distances = _of_subsets(samples.numpy(), reference.numpy(), subsets, subset_size, seed)
    value = float(distances.mean())
    if not interval:
        return Estimate(value)
    variance = float(distances.var()) / subsets + _kernel_variance(samples, reference)
    return normal_interval(value, variance, "over the samples and the subsets, reference fixed")


def _of_subsets(
    samples: NDArray[Any], reference: NDArray[Any], subsets: int, size: int, seed: int
) -> NDArray[np.float64]:
    """The squared MMD of each pair of subsets: torch-fidelity's kernel, and its order of drawing.
    float64, since the cubic kernel of features far from 0 leaves nothing of a difference in
    float32."""
    from torch_fidelity.metric_kid import kernel_mmd

    drawn = np.random.RandomState(seed)
    found = np.zeros(subsets)
    for position in range(subsets):
        rows = samples[drawn.choice(len(samples), size, replace=False)]
        others = reference[drawn.choice(len(reference), size, replace=False)]
        found[position] = kernel_mmd(rows.astype(np.float64), others.astype(np.float64))
    return found


def _kernel_variance(samples: Tensor, reference: Tensor) -> float:
    """Delta-method variance of the squared MMD over the samples; at most _INFLUENCES rows of each
    side stand for all in the kernel's means."""
    some, others = samples[:_INFLUENCES].double(), reference[:_INFLUENCES].double()
    width = some.shape[1]
    influences = []
    for rows in torch.split(some, _ROWS):
        own = (rows @ some.T / width + 1) ** 3  # [rows, samples]
        cross = (rows @ others.T / width + 1) ** 3  # [rows, references]
        influences.append(own.mean(dim=1) - cross.mean(dim=1))  # [rows]
    return 4 * float(torch.cat(influences).var()) / len(samples)
