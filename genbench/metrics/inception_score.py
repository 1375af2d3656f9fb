"""Inception Score from the logits of a detector."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import Estimate, normal_interval
from genbench.metrics.moments import require_finite

SHUFFLE_SEED = 2020  # of torch-fidelity
_LEAST = 100  # samples of a split with an interval


def inception_score(
    logits: Tensor, *, splits: int, split_size: int, shuffle: bool, interval: bool
) -> Estimate:
    """Mean over splits of exp(mean KL(p(y|x) || p(y))) (Salimans et al. 2016), in float64.

    logits: float [N, C], before the softmax and without the classifier's bias. splits > 0: that
    many parts of nearly equal size, as torch-fidelity's isc_features_to_metric cuts them. splits
    0: consecutive parts of `split_size`, a shorter last one counted like any other, as
    compute_inception_score of the ADM evaluator. shuffle: by numpy's RandomState(2020), as
    torch-fidelity does. The interval is the delta method's: the score of a split moves with one
    sample as its divergence from the split's classes; none where a split has fewer than 100
    samples, of which it held the mean in 80 to 93% of simulated draws. GenbenchError for fewer
    samples than splits, or NaN.
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
    # Rows [n, C] of each split.
    found = [_split_score(logits[rows[start:stop]]) for start, stop in pairwise(cuts)]
    value = float(np.mean([score for score, _ in found]))
    if not interval:
        return Estimate(value)
    if min(stop - start for start, stop in pairwise(cuts)) < _LEAST:
        return Estimate(value, interval=f"none: it takes {_LEAST} samples a split")
    variance = sum(variance for _, variance in found) / len(found) ** 2
    return normal_interval(value, variance, "over the samples, splits fixed")


def _split_score(logits: Tensor) -> tuple[float, float]:
    """exp of the mean Kullback-Leibler divergence of each row's classes from the split's, and the
    variance of that score by the delta method. logits: float [n, C] of one split."""
    log_p = logits.to(torch.float64).log_softmax(dim=1)  # [n, C]
    # In logarithms: a class that no row of the split holds would else be 0 * (log 0 - log 0).
    log_q = log_p.logsumexp(dim=0) - math.log(len(log_p))  # [C]
    divergences = (log_p.exp() * (log_p - log_q)).sum(dim=1)  # [n], in nats
    score = float(divergences.mean().exp())
    return score, score**2 * float(divergences.var(correction=0)) / len(log_p)
