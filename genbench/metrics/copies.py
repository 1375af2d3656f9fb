"""Samples beside the training images nearest to them: AuthPct, and the share of copies."""

from __future__ import annotations

from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import Estimate, fraction

Nearest = tuple[Tensor, Tensor]  # squared distance float64 [N] to a training image, its row int64


def authentic_percent(nearest: Nearest, own: Tensor, *, interval: bool = False) -> Estimate:
    """Percentage of samples that are farther from their nearest training image than that image is
    from its nearest other one (Alaa et al. 2022, arXiv:2102.08921, as dgm-eval computes it).

    nearest: of the samples. own: squared distance float64 [T] from each training image to the
    nearest other. As far counts as a copy. 0 where every sample is a training image, none of which
    is there twice; where one is, its copies count as authentic unless they are exact. The fld
    package reports the same less 50.
    """
    distances, rows = nearest
    found = fraction(own[rows] < distances, "over the samples, training images fixed" * interval)
    low, high = (None if end is None else 100 * end for end in (found.low, found.high))
    return Estimate(100 * found.value, low, high, found.interval)


def copied_share(
    samples: Tensor, held_out: Tensor, *, share: float, interval: bool = False
) -> Estimate:
    """Share of samples nearer to a training image than a share of held-out real images are.

    samples: float64 [N], held_out: float64 [M], squared distances to the nearest training image.
    The limit is the distance of rank floor(share M) among the held-out ones, the smallest being
    rank 0, and a sample as far is not counted. A model that draws new images as the world does
    gives `share`; more are copies, or samples more alike than images are. The share of real images
    below the limit is itself known to about sqrt(share / M). GenbenchError where the limit is 0:
    the reference is then, in part, the training images.
    """
    limit = held_out.kthvalue(int(len(held_out) * share) + 1).values
    if float(limit) == 0:
        found = float((held_out == 0).double().mean())
        raise GenbenchError(
            f"{found:.1%} of the reference's images are training images, so that they say nothing "
            "of copies: pass as --ref real images that the model has not learned from"
        )
    held = "over the samples, training images, reference and the limit from them fixed"
    return fraction(samples < limit, held * interval)
