"""How likely held-out images are under Gaussians around the samples: FLD, and FLS before it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import Estimate
from genbench.metrics.mixtures import fit_divergence, fit_score
from genbench.metrics.moments import require_finite
from genbench.metrics.settings import LikelihoodSettings

NO_INTERVAL = "none: samples and training images make the mixture itself"
_BEYOND = 1e4  # of an FLD: where samples that are new do not come


@dataclass(frozen=True)
class Sets:
    """Features float32: training images [T, D], held-out real ones [M, D] and samples [N, D]."""

    training: Tensor
    held_out: Tensor
    samples: Tensor

    def standardised(self) -> Sets:
        """By mean and standard deviation of the held-out rows. GenbenchError for a feature that
        is constant among them, and for NaN or infinity."""
        for side in (self.training, self.held_out, self.samples):
            require_finite(side)
        centre, spread = self.held_out.mean(dim=0), self.held_out.std(dim=0)
        _refuse_constant(spread, "the reference")
        training, held_out, samples = (
            (side - centre) / spread for side in (self.training, self.held_out, self.samples)
        )
        return Sets(training, held_out, samples)


def divergence(
    sets: Sets, settings: LikelihoodSettings, *, of: str = "held-out", baseline: float | None = None
) -> Estimate:
    """Feature Likelihood Divergence (Jiralerspong et al. 2023, arXiv:2302.04440), as the fld
    package computes it: 100 times how many nats a dimension the rows are less likely under
    Gaussians around the samples than held-out rows are under Gaussians around half of the training
    images. Widths are fitted to the training images, so that copies of them fit nothing else.

    of: "held-out" (FLD) or "training" (FLD of the training images, low where they were learned by
    heart). baseline: the latter loss, where it is known. The seed orders training images and draws
    the samples that are looked at, where there are more than `rows`, as the package draws after
    `numpy.random.seed`. Holds T x rows distances. GenbenchError as `Sets.standardised`.
    """
    draw = np.random.RandomState(settings.seed)
    sets = _at_most(sets, settings.rows, draw).standardised()
    model = fit_divergence(sets.samples, _shuffled(sets.training, draw))
    rows = sets.training if of == "training" else sets.held_out
    found = model.mean_loss(rows)
    usual = _baseline(sets, draw) if baseline is None else baseline
    value = 100 * (found - usual)
    note = (
        ""
        if value < _BEYOND
        else (
            "an FLD this large means that samples are among the training images, or nearly so: "
            "--metric copies tells how many"
        )
    )
    return Estimate(value, interval=NO_INTERVAL, note=note)


def generalisation_gap(sets: Sets, settings: LikelihoodSettings) -> Estimate:
    """FLD of the training images less FLD of held-out ones; far below 0: learned by heart. See
    `divergence`."""
    draw = np.random.RandomState(settings.seed)
    sets = _at_most(sets, settings.rows, draw).standardised()
    model = fit_divergence(sets.samples, _shuffled(sets.training, draw))
    gap = model.mean_loss(sets.training) - model.mean_loss(sets.held_out)
    return Estimate(100 * gap, interval=NO_INTERVAL)


def precision_divergence(sets: Sets, settings: LikelihoodSettings) -> Estimate:
    """FLD with the parts exchanged: how likely samples are under Gaussians around held-out images,
    against training images under the same. See `divergence`."""
    draw = np.random.RandomState(settings.seed)
    sets = _at_most(sets, settings.rows, draw)
    if len(sets.held_out) > settings.rows:
        chosen = draw.choice(len(sets.held_out), settings.rows, replace=False)
        sets = Sets(sets.training, sets.held_out[torch.from_numpy(chosen)], sets.samples)
    sets = sets.standardised()
    training = _shuffled(sets.training, draw)
    model = fit_divergence(sets.held_out, _shuffled(training, draw))
    found = model.mean_loss(sets.samples)
    training = _shuffled(training, draw)
    split = min(settings.rows, len(training) // 2)
    model = fit_divergence(sets.held_out, _shuffled(training[split:], draw))
    return Estimate(100 * (found - model.mean_loss(training[:split])), interval=NO_INTERVAL)


def score_sets(sets: Sets, settings: LikelihoodSettings) -> tuple[Sets, Tensor]:
    """Equally many rows of each set for `score` and `overfit_percent`, drawn from one stream
    of random numbers as dgm-eval does; and as many other training
    images, float32 [B, D]."""
    count = min(settings.rows, len(sets.training) // 2, len(sets.held_out), len(sets.samples))
    draw = np.random.RandomState(settings.seed)
    held_out, samples, training = (
        rows[torch.from_numpy(draw.choice(len(rows), size, replace=False))]
        for rows, size in (
            (sets.held_out, count), (sets.samples, count), (sets.training, 2 * count),
        )
    )  # fmt: skip
    return Sets(training[:count], held_out, samples), training[count:]


def score(sets: Sets, baseline: Tensor) -> Estimate:
    """Feature Likelihood Score of dgm-eval's code, 100 at best: exp(-2 / D times the nats by which
    held-out rows are less likely under the samples than under `baseline`, float32 [B, D], training
    images that nothing is fitted to), as a percentage. GenbenchError as `Sets.standardised`, for
    a feature that is constant over all sets."""
    sets, baseline = _over_all(sets, baseline)
    ours = fit_score(sets.samples, sets.training).mean_loss(sets.held_out)
    theirs = fit_score(baseline, sets.training).mean_loss(sets.held_out)
    return Estimate(100 * math.exp(-2 * (ours - theirs)), interval=NO_INTERVAL)


def overfit_percent(sets: Sets, baseline: Tensor) -> Estimate:
    """Percentage of the samples whose Gaussian makes training images likelier than held-out ones,
    less 50; 0 without overfitting. baseline: float32 [B, D], which takes part in the scale of
    the features alone. See `score`."""
    sets, _ = _over_all(sets, baseline)
    model = fit_score(sets.samples, sets.training)
    size = min(len(sets.held_out), len(sets.training))
    difference = model.reached(sets.training[:size]) - model.reached(sets.held_out[:size])
    share = float((difference > 0).double().mean())
    return Estimate(100 * share - 50, interval=NO_INTERVAL)


def _over_all(sets: Sets, baseline: Tensor) -> tuple[Sets, Tensor]:
    """All four sets by the mean and deviation of their rows together."""
    parts = (sets.training, baseline, sets.held_out, sets.samples)
    together = torch.cat(parts)
    require_finite(together)
    centre, spread = together.mean(dim=0), together.std(dim=0)
    _refuse_constant(spread, "all images")
    training, baseline, held_out, samples = ((side - centre) / spread for side in parts)
    return Sets(training, held_out, samples), baseline


def _refuse_constant(spread: Tensor, where: str) -> None:
    if constant := int((spread == 0).sum()):
        raise GenbenchError(
            f"{constant} of {len(spread)} features are constant over {where}, so that a likelihood "
            "has no scale: add images, use another detector, or leave FLD and FLS out"
        )


def _at_most(sets: Sets, rows: int, draw: np.random.RandomState) -> Sets:
    if len(sets.samples) <= rows:
        return sets
    chosen = draw.choice(len(sets.samples), rows, replace=False)
    return Sets(sets.training, sets.held_out, sets.samples[torch.from_numpy(chosen)])


def _shuffled(rows: Tensor, draw: np.random.RandomState) -> Tensor:
    return rows[torch.from_numpy(draw.choice(len(rows), len(rows), replace=False))]


def _baseline(sets: Sets, draw: np.random.RandomState) -> float:
    """Loss of the held-out rows under Gaussians around half of the training images."""
    sets = Sets(sets.training, sets.held_out, sets.training).standardised()
    training = _shuffled(sets.training, draw)
    split = min(len(sets.samples), len(training) // 2)
    model = fit_divergence(training[:split], _shuffled(training[split:], draw))
    return model.mean_loss(sets.held_out)
