"""Kernel (Inception) distance: the squared MMD with the cubic kernel."""

from __future__ import annotations

import torch
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

    samples: float32 [N, D], reference: float32 [M, D]. The value is torch-fidelity's
    kid_features_to_metric, may be slightly negative, and draws its subsets from
    RandomState(seed). The interval adds two variances: the delta method's over the samples (twice
    the kernel's mean over the samples less its mean over the reference, at each sample), and that
    of drawing subsets. GenbenchError when either side has fewer than `subset_size` rows, or NaN.
    """
    from torch_fidelity.metric_kid import (
        KEY_METRIC_KID_MEAN,
        KEY_METRIC_KID_STD,
        kid_features_to_metric,
    )

    fewest = min(len(samples), len(reference))
    if subset_size < 2 or subsets < 1 or fewest < subset_size:
        raise GenbenchError(
            f"KID draws {subsets} subsets of {subset_size} and there are {len(samples)} samples "
            f"and {len(reference)} references; lower the subset size to between 2 and {fewest}"
        )
    require_finite(samples)
    require_finite(reference, what="features (of the reference)")
    shared = {"kid_subset_size": subset_size, "verbose": False}
    result = kid_features_to_metric(
        samples, reference, kid_subsets=subsets, rng_seed=seed, **shared
    )
    value = float(result[KEY_METRIC_KID_MEAN])
    if not interval:
        return Estimate(value)
    drawing = float(result[KEY_METRIC_KID_STD]) ** 2 / subsets
    variance = drawing + _kernel_variance(samples, reference)
    return normal_interval(value, variance, "over the samples and the subsets, reference fixed")


def _kernel_variance(samples: Tensor, reference: Tensor) -> float:
    """Delta-method variance of the squared MMD over the samples; at most _INFLUENCES rows of each
    side stand for all in the kernel's means."""
    some, others = samples[:_INFLUENCES].float(), reference[:_INFLUENCES].float()
    width = some.shape[1]
    influences = []
    for rows in torch.split(some, _ROWS):
        own = (rows @ some.T / width + 1) ** 3  # [rows, samples]
        cross = (rows @ others.T / width + 1) ** 3  # [rows, references]
        influences.append(own.mean(dim=1).double() - cross.mean(dim=1).double())  # [rows]
    return 4 * float(torch.cat(influences).var()) / len(samples)
