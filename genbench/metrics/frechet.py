"""Fréchet distance between Gaussians, fast at full rank and accurate when there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import NORMAL_95, Estimate
from genbench.metrics.influence import Influence
from genbench.metrics.moments import Moments, require_finite

EPSILON = torch.finfo(torch.float64).eps
TOLERANCE = 1e-6  # relative; a fast result that may be further off is computed again
PANEL = 256  # columns of a triangular product done at once


def frechet_distance(samples: Moments, reference: Moments) -> float:
    """|mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^1/2 (Heusel et al. 2017, eq. 6), >= 0.

    Never raises on finite moments, whatever their rank or scale; GenbenchError when they are not
    finite or differ in width. The trace comes from eigenvalues of L^T S2 L, S1 = L L^T; where a
    bound on the rounding error exceeds 1e-6 of the distance, from the singular values of F1^T F2,
    S = F F^T, which need no full rank. Rounding below 0 is returned as 0. Runs on one thread, so
    that the bits do not depend on the number of threads.
    """
    require_comparable(samples, reference)
    if torch.equal(samples.mean, reference.mean) and torch.equal(
        samples.covariance(), reference.covariance()
    ):
        return 0.0
    with _one_thread():
        first, second = samples.covariance(), reference.covariance()
        offset = samples.mean - reference.mean
        apart = float(offset @ offset + first.trace() + second.trace())
        return max(apart - 2 * _trace_of_root(first, second, apart), 0.0)


def distance_of_factors(offset: Tensor, first: Tensor, second: Tensor) -> float:
    """The distance of Gaussians whose means differ by `offset` [D] and whose covariances are F^T F,
    from their factors F [r, D]; quick and exact where one r is small, as of few rows."""
    with _one_thread():
        apart = offset @ offset + first.square().sum() + second.square().sum()
        return max(float(apart - 2 * torch.linalg.svdvals(first @ second.T).sum()), 0.0)


def factor_of_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean float64 [D] of rows float [N, D], and their covariance's factor, float64 [N, D]."""
    rows = rows.to(torch.float64)
    mean = rows.mean(dim=0)
    return mean, (rows - mean) / math.sqrt(len(rows) - 1)


def factor_of_moments(moments: Moments) -> Tensor:
    """Their covariance's factor, float64 [rank, D]."""
    with _one_thread():
        covariance = moments.covariance()
        lower = _cholesky(covariance)
        return (_root(covariance) if lower is None else lower).T


def frechet_interval(
    chunks: Iterable[Tensor], samples: Moments, reference: Moments, value: float
) -> Estimate:
    """`value` with a 95% delta-method interval over the samples, the reference held fixed.

    chunks: the features [n_i, D] that `samples` was computed from (rows after samples.count are
    not read). Of one sample x the distance's influence function is, with c = x - mu1 and T the
    optimal transport map from N1 to N2 (Rippl, Munk and Sturm 2016, arXiv:1507.04090, theorem 2.2):
        c^T (I - T) c + 2 (mu1 - mu2)^T c.
    The bias that a finite count gives the distance is not corrected. GenbenchError when the
    samples carry no count or the chunks are too few.
    """
    require_comparable(samples, reference)
    if samples.count < 2:
        raise GenbenchError("an interval needs the samples' features; statistics do not suffice")
    with _one_thread():
        pull = _transport_root(samples.covariance(), reference.covariance())  # [D, rank]
    tilt = 2 * (samples.mean - reference.mean)  # [D]
    seen, influences = 0, []
    for chunk in chunks:
        rows = chunk[: samples.count - seen].to(torch.float64)
        if not len(rows):
            break
        require_finite(rows, first_row=seen)
        centred = rows - samples.mean  # [n, D]
        # [n, D], [n, rank] and [n, D] -> [n].
        influences.append(
            centred.square().sum(1) - (centred @ pull).square().sum(1) + centred @ tilt
        )
        seen += len(rows)
    if seen < samples.count:
        raise GenbenchError(f"the features end after {seen} of {samples.count} samples")
    influence = Influence(rows=torch.cat(influences).numpy())
    half_width = NORMAL_95 * influence.deviation()
    return Estimate(
        value,
        max(value - half_width, 0.0),
        value + half_width,
        "95% delta method over the samples, reference fixed; bias of a finite count not corrected",
        influence=influence,
    )


def finite_reference_bias(
    samples: Moments, halves: tuple[Moments, Moments] | None, value: float
) -> float | None:
    """About what a finite reference adds to a distance: the mean distance to its two halves less
    `value`, that to the whole.

    The bias falls as 1/m in the reference's count m as it does in the samples' (Chong and Forsyth
    2020, arXiv:1911.07023, section 3), so half of the reference has twice the bias of the whole.
    None without halves, and where half a reference has no covariance of full rank.
    """
    if halves is None or any(half.count <= len(half.mean) for half in halves):
        return None
    return sum(frechet_distance(samples, half) for half in halves) / 2 - value


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def require_comparable(samples: Moments, reference: Moments) -> None:
    """GenbenchError unless both are finite and of one width."""
    if samples.mean.shape != reference.mean.shape:
        raise GenbenchError(
            f"samples have {len(samples.mean)} features and the reference "
            f"{len(reference.mean)}; use statistics of the same detector and layer"
        )
    for moments, side in ((samples, "samples"), (reference, "reference")):
        if not (moments.mean.isfinite().all() and moments.scatter.isfinite().all()):
            raise GenbenchError(f"the moments of the {side} are not finite; recompute them")


def _trace_of_root(first: Tensor, second: Tensor, apart: float) -> float:
    """tr (S1 S2)^1/2 to about TOLERANCE * (apart - 2 trace), S1 and S2 scaled to unit size."""
    sizes = [float(side.diagonal().max()) if len(side) else 0.0 for side in (first, second)]
    if min(sizes) <= 0:  # a covariance of zero: no product
        return 0.0
    unit = math.sqrt(sizes[0]) * math.sqrt(sizes[1])
    first, second = first / sizes[0], second / sizes[1]
    lower = _cholesky(first)
    if lower is not None:
        trace, error = _trace_from_cholesky(lower, second, first.norm() * second.norm())
        if error * unit <= TOLERANCE * (apart / 2 - trace * unit):
            return trace * unit
    left = _root(first) if lower is None else lower
    right = _cholesky(second)
    right = _root(second) if right is None else right
    return float(torch.linalg.svdvals(left.T @ right).sum()) * unit


def _cholesky(covariance: Tensor) -> Tensor | None:
    """L [D, D] with S = L L^T, or None when S is singular to working precision."""
    factored: tuple[Tensor, Tensor] = torch.linalg.cholesky_ex(covariance)
    lower, failed = factored
    # The share of a feature's variance that the features before it do not explain; where rounding
    # alone could have made it, the factor may be noise although the factorisation went through.
    unexplained = lower.diagonal().square() / covariance.diagonal()
    if int(failed) or not bool((unexplained > len(covariance) * EPSILON).all()):
        return None
    return lower


def _trace_from_cholesky(lower: Tensor, second: Tensor, size: Tensor) -> tuple[float, float]:
    """Sum of square roots of the eigenvalues of L^T S2 L, and a bound on its rounding error."""
    squares = torch.linalg.eigvalsh(_congruence(lower, second))  # [D]
    noise = 4 * EPSILON * size  # in any one eigenvalue
    sure = squares[squares > noise]
    error = (len(squares) - len(sure)) * noise.sqrt() + noise / 2 * sure.reciprocal().sum().sqrt()
    return float(squares.clamp(min=0).sqrt().sum()), float(error)


def _congruence(lower: Tensor, middle: Tensor) -> Tensor:
    """Lower triangle of L^T S L, [D, D]: panels skip the zeros of L, less than half the work."""
    product = torch.empty_like(middle)
    result = torch.zeros_like(middle)
    starts = range(0, len(lower), PANEL)
    for i in starts:
        product[:, i : i + PANEL] = middle[:, i:] @ lower[i:, i : i + PANEL]
    for i in starts:
        result[i : i + PANEL, : i + PANEL] = lower[i:, i : i + PANEL].T @ product[i:, : i + PANEL]
    return result


def _root(covariance: Tensor) -> Tensor:
    """F [D, rank] with S = F F^T, directions that hold only rounding left out."""
    scale, _, values, vectors = _spectrum(covariance)
    return scale[:, None] * vectors * values.sqrt()


def _spectrum(covariance: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Deviations [D], their inverses (0 for 0), and the correlation's eigenpairs [rank], [D, rank].

    The correlation, not the covariance: a feature of large scale then hides none of small scale.
    """
    scale = covariance.diagonal().clamp(min=0).sqrt()
    inverse = torch.where(scale > 0, 1 / scale, 0)
    values, vectors = torch.linalg.eigh(covariance * inverse[:, None] * inverse)
    keep = values > 32 * EPSILON * values[-1:].clamp(min=0)
    return scale, inverse, values[keep], vectors[:, keep]


def _transport_root(first: Tensor, second: Tensor) -> Tensor:
    """P [D, rank] with c^T T c = |c^T P|^2 for c in the range of S1, T the map from N1 to N2.

    With S1 = F F^T and M = F^T S2 F, T = G M^1/2 G^T where G^T is the left inverse of F.
    """
    scale, inverse, values, vectors = _spectrum(first)
    factor = scale[:, None] * vectors * values.sqrt()
    left_inverse = inverse[:, None] * vectors / values.sqrt()
    squares, rotation = torch.linalg.eigh(factor.T @ second @ factor)  # [rank], [rank, rank]
    root: Tensor = left_inverse @ (rotation * squares.clamp(min=0).pow(0.25))
    return root
