"""Fréchet distance within each class, and its mean over the classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import NORMAL_95, Estimate
from genbench.metrics.frechet import distance_of_factors, factor_of_rows, frechet_distance
from genbench.metrics.moments import require_finite, stream_moments

_FEWEST = 2  # rows of a covariance
_FEWEST_CLASSES = 10  # whose spread is known well enough for a normal interval
_NAMED = 5  # classes that an error names at most


def class_distances(
    samples: Tensor, labels: Tensor, reference: Tensor, reference_labels: Tensor
) -> Tensor:
    """The Fréchet distance of the samples of each class to the references of that class, float64
    [C], classes in rising order.

    samples: float32 [N, D] with labels int64 [N]; reference: float32 [M, D] with labels int64 [M].
    GenbenchError when the sides have other classes, and for a class of fewer than 2 rows.
    """
    require_finite(samples)
    require_finite(reference, what="features (of the reference)")
    classes = labels.unique(sorted=True)
    _check(classes, labels, reference_labels)
    return torch.tensor(
        [
            _distance(samples[labels == label], reference[reference_labels == label])
            for label in classes
        ],
        dtype=torch.float64,
    )


def mean_class_distance(distances: Tensor, *, interval: bool) -> Estimate:
    """Mean of the distances [C] of the classes (the intra-class FID of Miyato and Koyama 2018,
    arXiv:1802.05637, section 5.1).

    The interval is conservative: it takes the spread of the distances between classes, which holds
    that of the samples and the true differences between classes besides; samples of the classes are
    independent, so the first alone would be right. None below 10 classes.
    """
    value = float(distances.mean())
    if not interval:
        return Estimate(value)
    if len(distances) < _FEWEST_CLASSES:
        return Estimate(value, interval=f"none: fewer than {_FEWEST_CLASSES} classes")
    half_width = NORMAL_95 * math.sqrt(float(distances.var()) / len(distances))
    return Estimate(
        value, max(value - half_width, 0.0), value + half_width,
        "95% by the spread between classes, conservative, reference fixed; bias of few samples a "
        "class not corrected",
    )  # fmt: skip


def _check(classes: Tensor, labels: Tensor, reference_labels: Tensor) -> None:
    theirs = reference_labels.unique(sorted=True)
    for here, there, sides in (
        (classes, theirs, ("samples", "reference")),
        (theirs, classes, ("reference", "samples")),
    ):
        alone = here[~torch.isin(here, there)]
        if len(alone):
            raise GenbenchError(
                f"class {_named(alone)} is among the {sides[0]} and not in the {sides[1]}: bring "
                "both sides of the same classes"
            )
    for side, of_side in (("samples", labels), ("reference", reference_labels)):
        found, counts = of_side.unique(return_counts=True)
        few = found[counts < _FEWEST]
        if len(few):
            raise GenbenchError(
                f"class {_named(few)} has a single image in the {side}: a distance within a class "
                "needs 2 at least, and more than the features' width to mean much; add samples"
            )


def _named(classes: Tensor) -> str:
    return ", ".join(map(str, classes[:_NAMED].tolist())) + ", …" * (len(classes) > _NAMED)


def _distance(samples: Tensor, reference: Tensor) -> float:
    """As frechet_distance of their moments; where a side has fewer rows than features, from the
    rows themselves: no [D, D] covariance, and 1,000 classes of 50 images take seconds."""
    if min(len(samples), len(reference)) > samples.shape[1]:
        ours, theirs = (
            stream_moments(iter([rows]), [len(rows)])[len(rows)] for rows in (samples, reference)
        )
        return frechet_distance(ours, theirs)
    (mean, first), (other, second) = factor_of_rows(samples), factor_of_rows(reference)
    return distance_of_factors(mean - other, first, second)
