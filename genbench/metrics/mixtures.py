"""Mixtures of round Gaussians, one around each row, whose widths are fitted to other rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 10_000  # rows of a step and of a block of distances, of both official codes
_STEPS = 50  # passes over the rows at most
_ORIGIN = (1 - 0.1) ** 2  # of the squared distance to the middle of the rows: a floor for each


@dataclass(frozen=True)
class Mixture:
    """Gaussians of equal weight. centres: float32 [K, D]; widths: float32 [K], logarithms of the
    variances. constant: whether densities have their factor of 2 pi; as the official codes."""

    centres: Tensor
    widths: Tensor
    constant: bool

    def mean_loss(self, rows: Tensor) -> float:
        """Mean negative log-likelihood of rows float32 [N, D], nats a dimension."""
        found = [torch.logsumexp(self._terms(part), dim=1) for part in torch.split(rows, BLOCK)]
        return float(-(torch.cat(found) / rows.shape[1]).mean())

    def reached(self, rows: Tensor) -> Tensor:
        """Log of the sum over the rows of each Gaussian's density, float32 [K]."""
        return torch.logsumexp(self._terms(rows), dim=0)

    def _terms(self, rows: Tensor) -> Tensor:
        distances = torch.cdist(rows, self.centres) ** 2
        terms = log_densities(distances, self.widths, rows.shape[1], constant=self.constant)
        return terms - math.log(len(self.centres))


def log_densities(distances: Tensor, widths: Tensor, width: int, *, constant: bool) -> Tensor:
    """Of Gaussians of log variance `widths` [K] at squared distances float32 [N, K]."""
    terms = -0.5 * distances / torch.exp(widths) - (width / 2) * widths
    return terms - (width / 2) * math.log(2 * math.pi) if constant else terms


def fit_divergence(centres: Tensor, rows: Tensor) -> Mixture:
    """Widths under which rows float32 [N, D] are likely, as the fld package fits them: from the
    nearest row's distance by Adam at 0.5, at most 50 passes in blocks of 10,000, with a further
    Gaussian in the middle of the rows that is left out afterwards. Holds N x K distances."""
    width, count = rows.shape[1], len(centres)
    distances = torch.cdist(rows, centres) ** 2
    origin = _ORIGIN * torch.cdist(rows, rows.mean(dim=0, keepdim=True)) ** 2
    nearest = distances.min(dim=0).values
    widths = ((nearest + 1e-3) / width).log().requires_grad_()
    origin_width = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.Adam([widths, origin_width], lr=0.5)
    losses: list[float] = []
    for step in range(_STEPS):
        parts = []
        for part, middle in zip(distances.split(BLOCK), origin.split(BLOCK), strict=True):
            optimiser.zero_grad()
            terms = log_densities(part, widths, width, constant=True) - math.log(count)
            floor = log_densities(middle, origin_width, width, constant=True)
            loss = -torch.logsumexp(torch.cat([terms, floor], dim=1), dim=1).mean() / width
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                widths.clamp_(-40, 40)  # a copy's width would fall for ever
            parts.append(loss.item())
        losses.append(sum(parts) / len(parts))
        if step > 5 and max(abs(losses[-1] - recent) for recent in losses[-5:]) < 5e-4:
            break
    return Mixture(centres, widths.detach(), constant=True)


def fit_score(centres: Tensor, rows: Tensor) -> Mixture:
    """As dgm-eval's code fits them to rows float32 [N, D]: from 1 by 100 steps of Adam over all
    rows, at 0.5 and from the 50th at 0.05. Holds N x K distances."""
    width = rows.shape[1]
    distances = torch.cdist(rows, centres) ** 2
    widths = torch.zeros(len(centres), requires_grad=True)
    optimiser = torch.optim.Adam([widths], lr=0.5)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones=[50], gamma=0.1)
    for _ in range(100):
        terms = log_densities(distances, widths, width, constant=False) - math.log(len(centres))
        loss = -torch.logsumexp(terms, dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            widths.clamp_(-100, 20)
    return Mixture(centres, widths.detach(), constant=False)
