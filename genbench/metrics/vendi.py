"""Vendi score: how many different images a set amounts to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import NORMAL_95, Estimate
from genbench.metrics.influence import Influence
from genbench.metrics.moments import require_finite
from genbench.metrics.settings import Kernel
from genbench.metrics.unit_length import unit_length

MOST_ROWS = 20_000  # of the polynomial kernel: its matrix takes 3.2 GB
_ROWS = 2000  # turned into float64 at once


def vendi_score(
    rows: Tensor,
    *,
    order: float = 1.0,
    kernel: Kernel = "linear",
    weights: Tensor | None = None,
    gram: bool = False,
) -> float:
    """exp of the Rényi entropy of order q of the eigenvalues of K / N, K the kernel of the rows.

    rows: float32 [N, D], each divided by its length first. kernel: "linear", x.y, whose eigenvalues
    other than 0 are those of the D x D matrix X^T X / N, so that 50,000 rows cost no more than a
    covariance; or "polynomial", (x.y / D + 1)^3, which takes N^2 memory. weights: float [N] that
    sum to 1, in place of 1/N. order: q > 0; 1 is Shannon's entropy, infinity -log of the largest
    eigenvalue. gram: from the N x N matrix even where D is smaller, counting whatever rounding
    leaves above 0 as score_K does: for q < 1 that adds some 1e-7 of the value.

    Friedman and Dieng 2023, arXiv:2210.02410, and Pasarkar and Dieng 2024, arXiv:2310.12952.
    The values of vendi-score 0.0.3 (vendi_score/vendi.py:30 score_K, :48 score_dual; its score_X
    ignores q) and of dgm-eval (dgm_eval/metrics/vendi.py:8). GenbenchError for no rows, weights
    that are not a distribution, an order of 0 or less, more than 20,000 rows where the matrix is
    N x N, or features that are not finite.
    """
    gram = gram or kernel == "polynomial"
    _check(rows, order, weights, most=MOST_ROWS if gram else len(rows))
    shares = _equal(rows) if weights is None else weights.double()
    if gram:
        values = torch.linalg.eigvalsh(_kernel_matrix(rows, kernel, shares))
        values = values[values > 0]
    else:
        values = _positive(torch.linalg.eigvalsh(_second_moments(rows, shares)))
    return math.exp(_entropy(values, order))


def vendi_interval(rows: Tensor, value: float, *, order: float = 1.0) -> Estimate:
    """`value`, of the linear kernel and equal weights, with a 95% delta-method interval.

    rows: float32 [N, D]. Of one unit row x the k-th eigenvalue l_k of X^T X / N has the influence
    (v_k . x)^2, v_k its eigenvector, and so the entropy -sum_k log(l_k) (v_k . x)^2 for q = 1.
    That N rows hold fewer directions than infinitely many is not corrected. GenbenchError as
    `vendi_score` has it, and for a single row.
    """
    _check(rows, order, None, most=len(rows))
    if len(rows) < 2:
        raise GenbenchError("an interval needs 2 samples at least and there is 1; add samples")
    values, vectors = torch.linalg.eigh(_scatter(rows, _equal(rows)))
    kept = len(_positive(values))
    slopes = _slopes(values[-kept:], order)
    influence = torch.cat([
        (unit_length(some) @ vectors[:, -kept:]).square() @ slopes
        for some in rows.split(_ROWS)
    ])  # fmt: skip
    kept_rows = Influence(rows=influence.numpy() * value)  # of the score, not of its logarithm
    width = NORMAL_95 * kept_rows.deviation() / value
    return Estimate(
        value, value * math.exp(-width), value * math.exp(width),
        "95% delta method over the samples; bias of a finite count not corrected",
        influence=kept_rows,
    )  # fmt: skip


def class_vendi_scores(rows: Tensor, labels: Tensor, *, order: float = 1.0) -> Tensor:
    """The Vendi score of the rows of each class, float64 [C], classes in rising order.

    rows: float32 [N, D], labels: int64 [N]. Their mean is dgm-eval's (dgm_eval/metrics/vendi.py:30,
    which takes labels 0 to C - 1 alone). GenbenchError as `vendi_score` has it.
    """
    return torch.tensor(
        [vendi_score(rows[labels == label], order=order) for label in labels.unique(sorted=True)],
        dtype=torch.float64,
    )


def _check(rows: Tensor, order: float, weights: Tensor | None, *, most: int) -> None:
    if not len(rows):
        raise GenbenchError("a Vendi score needs samples: there are none")
    if not order > 0:
        raise GenbenchError(f"a Vendi score has an order above 0, not {order}; 1 is the usual")
    if len(rows) > most:
        raise GenbenchError(
            f"the kernel matrix of {len(rows):,} samples takes {len(rows) ** 2 * 8 / 1e9:.1f} GB: "
            f"pass {most:,} at most, or take the linear kernel, which needs none"
        )
    if weights is not None and not (
        weights.shape == (len(rows),)
        and bool((weights >= 0).all())
        and math.isclose(float(weights.sum()), 1, rel_tol=1e-6)
    ):
        raise GenbenchError("weights must be one number >= 0 a sample, and sum to 1")
    require_finite(rows)


def _equal(rows: Tensor) -> Tensor:
    """1 / N, N times."""
    return torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)


def _second_moments(rows: Tensor, shares: Tensor) -> Tensor:
    """[D, D], or of fewer rows than features the kernel, [N, N]: the same eigenvalues but for
    zeros."""
    if len(rows) <= rows.shape[1]:
        return _kernel_matrix(rows, "linear", shares)
    return _scatter(rows, shares)


def _scatter(rows: Tensor, shares: Tensor) -> Tensor:
    """X^T diag(p) X of the unit rows, [D, D]."""
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    for some, share in zip(rows.split(_ROWS), shares.split(_ROWS), strict=True):
        weighted = (unit_length(some) * share.sqrt()[:, None]).numpy()
        total += torch.from_numpy(weighted.T @ weighted)  # numpy: half the work, being symmetric
    return total


def _kernel_matrix(rows: Tensor, kernel: Kernel, shares: Tensor) -> Tensor:
    """[N, N], weighted."""
    unit = unit_length(rows)
    matrix = unit @ unit.T
    if kernel == "polynomial":
        matrix.div_(rows.shape[1]).add_(1).pow_(3)
    roots = shares.sqrt()
    return matrix.mul_(roots[:, None]).mul_(roots)


def _positive(values: Tensor) -> Tensor:
    """Those of the eigenvalues (rising, [K]) that are more than rounding."""
    return values[values > len(values) * torch.finfo(torch.float64).eps * values[-1]]


def _entropy(values: Tensor, order: float) -> float:
    if order == 1:
        return float(-(values * values.log()).sum())
    if math.isinf(order):
        return -math.log(float(values[-1]))
    return math.log(float(values.pow(order).sum())) / (1 - order)


def _slopes(values: Tensor, order: float) -> Tensor:
    """Derivatives of the entropy in each eigenvalue, [K], but for a constant."""
    if order == 1:
        return -values.log()
    if math.isinf(order):
        slopes = torch.zeros_like(values)
        slopes[-1] = -1 / values[-1]
        return slopes
    return values.pow(order - 1) * (order / (1 - order) / float(values.pow(order).sum()))
