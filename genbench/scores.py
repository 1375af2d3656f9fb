"""Inception Score and Kernel Inception Distance from features of a detector."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics import NORMAL_95, Estimate
from genbench.moments import require_finite

SHUFFLE_SEED = 2020  # of torch-fidelity
_INFLUENCES = 10_000  # rows from which the kernel's means are taken: enough for a variance
_ROWS = 1000  # at once


def inception_score(
    logits: Tensor, *, splits: int, split_size: int, shuffle: bool, interval: bool
) -> Estimate:
    """Mean over splits of exp(mean KL(p(y|x) || p(y))) (Salimans et al. 2016), in float64.

    logits: float [N, C], before the softmax and without the classifier's bias. splits > 0: that
    many parts of nearly equal size, as torch-fidelity's isc_features_to_metric cuts them. splits
    0: consecutive parts of `split_size`, a shorter last one counted like any other, as
    compute_inception_score of the ADM evaluator. shuffle: by numpy's RandomState(2020), as
    torch-fidelity does. The interval is the delta method's: the score of a split moves with one
    sample as its divergence from the split's classes. GenbenchError for fewer samples than splits,
    or NaN.
    """
    count = len(logits)
    if logits.ndim != 2 or count == 0 or splits > count or (splits < 1 and split_size < 1):
        raise GenbenchError(
            f"logits of shape {tuple(logits.shape)} cannot be cut into "
            + (f"{splits} splits" if splits > 0 else f"splits of {split_size}")
            + "; give more samples or fewer splits"
        )
    require_finite(logits, what="logits")
    if splits > 0:
        cuts = [i * count // splits for i in range(splits + 1)]
    else:
        cuts = [*range(0, count, split_size), count]
    order = np.random.RandomState(SHUFFLE_SEED).permutation(count) if shuffle else np.arange(count)
    rows = torch.from_numpy(order).to(logits.device)
    found = [_split_score(logits[rows[start:stop]]) for start, stop in pairwise(cuts)]
    value = float(np.mean([score for score, _ in found]))
    if not interval:
        return Estimate(value)
    variance = sum(variance for _, variance in found) / len(found) ** 2
    return _normal_interval(value, variance, "over the samples, splits fixed")


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
    return _normal_interval(value, variance, "over the samples and the subsets, reference fixed")


def _split_score(logits: Tensor) -> tuple[float, float]:
    """exp of the mean Kullback-Leibler divergence of each row's classes from the split's, and the
    variance of that score by the delta method."""
    log_p = logits.to(torch.float64).log_softmax(dim=1)
    # In logarithms: a class that no row of the split holds would else be 0 * (log 0 - log 0).
    log_q = log_p.logsumexp(dim=0) - math.log(len(log_p))
    divergences = (log_p.exp() * (log_p - log_q)).sum(dim=1)
    score = float(divergences.mean().exp())
    return score, score**2 * float(divergences.var(correction=0)) / len(log_p)


def _kernel_variance(samples: Tensor, reference: Tensor) -> float:
    """Delta-method variance of the squared MMD over the samples; at most _INFLUENCES rows of each
    side stand for all in the kernel's means."""
    some, others = samples[:_INFLUENCES].float(), reference[:_INFLUENCES].float()
    width = some.shape[1]
    influences = []
    for rows in torch.split(some, _ROWS):
        own = (rows @ some.T / width + 1) ** 3
        cross = (rows @ others.T / width + 1) ** 3
        influences.append(own.mean(dim=1).double() - cross.mean(dim=1).double())
    return 4 * float(torch.cat(influences).var()) / len(samples)


def _normal_interval(value: float, variance: float, held: str) -> Estimate:
    half_width = NORMAL_95 * math.sqrt(variance)
    return Estimate(value, value - half_width, value + half_width, f"95% delta method {held}")
