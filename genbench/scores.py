"""Inception Score and Kernel Inception Distance from features of a detector."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from genbench.core import GenbenchError
from genbench.metrics import Estimate
from genbench.moments import require_finite

SHUFFLE_SEED = 2020  # of torch-fidelity


def inception_score(
    logits: Tensor, *, splits: int, split_size: int, shuffle: bool, interval: bool
) -> Estimate:
    """Mean over splits of exp(mean KL(p(y|x) || p(y))) (Salimans et al. 2016), in float64.

    logits: float [N, C], before the softmax and without the classifier's bias. splits > 0: that
    many parts of nearly equal size, as torch-fidelity's isc_features_to_metric cuts them. splits
    0: consecutive parts of `split_size`, a shorter last one counted like any other, as
    compute_inception_score of the ADM evaluator. shuffle: by numpy's RandomState(2020), as
    torch-fidelity does. GenbenchError for fewer samples than splits, or NaN.
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
    scores = [_split_score(logits[rows[start:stop]]) for start, stop in pairwise(cuts)]
    if not interval:
        return Estimate(float(np.mean(scores)))
    return _t_interval(float(np.mean(scores)), scores, f"{len(scores)} splits of the samples")


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
    RandomState(seed). The interval is Student's over disjoint blocks of `subset_size` samples and
    as many references, around the value. GenbenchError when either side has fewer than
    `subset_size` rows, or NaN.
    """
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

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
    blocks = []
    for start in range(0, fewest - subset_size + 1, subset_size):
        pair = (side[start : start + subset_size] for side in (samples, reference))
        block = kid_features_to_metric(*pair, kid_subsets=1, rng_seed=seed, **shared)
        blocks.append(float(block[KEY_METRIC_KID_MEAN]))
    drawn_from = f"{len(blocks)} disjoint blocks of {subset_size} samples and references"
    return _t_interval(value, blocks, drawn_from)


def _split_score(logits: Tensor) -> float:
    """exp of the mean Kullback-Leibler divergence of each row's classes from the split's."""
    log_p = logits.to(torch.float64).log_softmax(dim=1)
    # In logarithms: a class that no row of the split holds would else be 0 * (log 0 - log 0).
    log_q = log_p.logsumexp(dim=0) - math.log(len(log_p))
    return float((log_p.exp() * (log_p - log_q)).sum(dim=1).mean().exp())


def _t_interval(value: float, figures: list[float], drawn_from: str) -> Estimate:
    """Student's 95% interval of a mean from independent `figures`, around `value`."""
    from scipy.special import stdtrit

    if len(figures) < 2:
        return Estimate(value, interval=f"not available: {drawn_from}, at least 2 are needed")
    spread = float(np.std(figures, ddof=1)) / math.sqrt(len(figures))
    half_width = float(stdtrit(len(figures) - 1, 0.975)) * spread
    return Estimate(
        value, value - half_width, value + half_width, f"95% t-interval over {drawn_from}"
    )
