"""Bias and coverage of FD at infinitely many samples, on Gaussians whose distance is known.

    python benchmarks/fd_infinity.py [--trials 200] [--wide]

A line a setting: D features, N samples, M references (exact: their true moments); the true
distance; the mean error of FD at N and of the extrapolated FD, in per cent of the true distance, or
absolute where that is 0; how often the 95% interval holds the distance of the true samples'
distribution to the reference used; and, with a finite reference, the mean error to the distance
between the distributions before and after its bias is taken off.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass

import torch
from torch import Tensor

from genbench.metrics.fd_infinity import fd_infinity, fd_infinity_interval
from genbench.metrics.frechet import finite_reference_bias, frechet_distance
from genbench.metrics.moments import Moments, stream_moments

# Features, samples, references (0: exact), shift of the mean and stretch of the deviations.
SETTINGS = [
    (16, 500, 0, 0.5, 1.2), (16, 2000, 0, 0.5, 1.2), (16, 2000, 0, 0.0, 1.0),
    (64, 500, 0, 0.3, 1.1), (64, 2000, 0, 0.3, 1.1), (64, 2000, 0, 0.0, 1.0),
    (64, 10_000, 0, 0.3, 1.1), (64, 2000, 2000, 0.3, 1.1), (64, 2000, 500, 0.3, 1.1),
]  # fmt: skip
WIDE = [(256, 1000, 0, 0.2, 1.1), (256, 5000, 0, 0.2, 1.1), (256, 5000, 5000, 0.2, 1.1)]


@dataclass(frozen=True)
class World:
    """N(0, S) is the reference's distribution and N(shift, stretch^2 S) the samples'; S is a
    spectrum that falls as 1/k, as features of networks have it. root: its factor, [D, D]."""

    root: Tensor
    shift: float
    stretch: float

    @classmethod
    def of(cls, width: int, shift: float, stretch: float) -> World:
        generator = torch.Generator().manual_seed(width)
        normal = torch.randn(width, width, generator=generator, dtype=torch.float64)
        turned, _ = torch.linalg.qr(normal)
        spectrum = 1 / torch.arange(1, width + 1, dtype=torch.float64)
        return cls(turned * spectrum.sqrt(), shift, stretch)

    def draw(self, count: int, generator: torch.Generator, *, samples: bool) -> Tensor:
        normal = torch.randn(count, len(self.root), generator=generator, dtype=torch.float64)
        rows = normal @ self.root.T
        return (rows * self.stretch + self._offset() if samples else rows).float()

    def moments(self, *, samples: bool) -> Moments:
        covariance = self.root @ self.root.T
        if not samples:
            return Moments(0, torch.zeros_like(self._offset()), covariance)
        return Moments(0, self._offset(), covariance * self.stretch**2)

    def _offset(self) -> Tensor:
        width = len(self.root)
        return torch.full((width,), self.shift / width**0.5, dtype=torch.float64)


def moments_of(rows: Tensor) -> Moments:
    return stream_moments(iter([rows]), [len(rows)])[len(rows)]


def measured(
    width: int, count: int, references: int, shift: float, stretch: float, *, trials: int
) -> str:
    """The line of a setting."""
    world = World.of(width, shift, stretch)
    true_samples = world.moments(samples=True)
    truth = frechet_distance(true_samples, world.moments(samples=False))
    at_count, at_infinity, freed = [], [], []
    held: list[bool] = []
    for trial in range(trials):
        generator = torch.Generator().manual_seed(1000 + trial)
        samples = world.draw(count, generator, samples=True)
        reference, halves = world.moments(samples=False), None
        if references:
            rows = world.draw(references, generator, samples=False)
            reference, halves = moments_of(rows), (moments_of(rows[::2]), moments_of(rows[1::2]))
        whole = moments_of(samples)
        found = fd_infinity(samples, reference, points=15, seed=trial)
        interval = fd_infinity_interval(found, samples, whole, reference)
        given = frechet_distance(true_samples, reference)
        if interval.low is not None and interval.high is not None:
            held.append(interval.low <= given <= interval.high)
        plain = frechet_distance(whole, reference)
        bias = finite_reference_bias(whole, halves, plain) or 0.0
        at_count.append(plain - truth)
        at_infinity.append(found.value - truth)
        freed.append(found.value - bias - truth)
    scale, unit = (100 / truth, "%") if truth else (1, "")

    def mean(errors: list[float]) -> str:
        return f"{statistics.mean(errors) * scale:+.2g}{unit}"

    spread = statistics.stdev(at_infinity) * scale
    return (
        f"D {width}, N {count}, M {references or 'exact'}: distance {truth:.4g}; FD at N "
        f"{mean(at_count)}; at infinity {mean(at_infinity)} (spread {spread:.2g}{unit}); "
        f"less the reference's bias {mean(freed)}; "
        + (f"interval holds {statistics.mean(held):.1%}" if held else "no interval")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--wide", action="store_true")
    options = parser.parse_args()
    for setting in SETTINGS + WIDE * options.wide:
        print(measured(*setting, trials=options.trials), flush=True)


if __name__ == "__main__":
    main()
