"""Modes that EM Distillation finds and the mode-seeking gradient leaves, in two dimensions.

The teacher is six Gaussians on a ring, its score exact; the student, a small network, begins
inside one of them. K = 1 with frozen latents is the gradient of reverse KL (Diff-Instruct). Every
method gets the same number of network evaluations. The student's score is a kernel estimate from
fresh samples, so no second network blurs the comparison. The levels end at 0.4, where the modes
(2 apart) are still separate: up to 0.5 they touch, and reverse KL can find all six too.

    python benchmarks/emd_modes.py [--seeds 0 1 2 3 4] [--figure docs/emd-modes.png]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor, nn

from genbench_adapters.emd.method import Langevin, e_step, m_step_loss

MODES, RADIUS, SPREAD = 6, 2.0, 0.15
LEAST_SIGMA, MOST_SIGMA = 0.2, 0.4
BATCH, FRESH = 64, 256  # FRESH samples a step stand for the student's score
LEARNING_RATE = 0.01
BUDGET = 15_000  # network evaluations of a batch
SEEDS = (0, 1, 2, 3, 4)
METHODS = {
    "K = 1, frozen z": Langevin(steps=1, latent_rate=0.0),
    "EMD-8": Langevin(steps=8, latent_rate=1e-3),
    "EMD-16": Langevin(steps=16, latent_rate=1e-3),
}
CENTRES = RADIUS * torch.stack(
    [
        torch.cos(torch.arange(MODES) * 2 * math.pi / MODES),
        torch.sin(torch.arange(MODES) * 2 * math.pi / MODES),
    ],
    dim=1,
)  # [MODES, 2]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """kept: modes that get more than a third of their share; near: share of samples within three
    deviations of a mode; likelihood: see `likelihood`; steps, evaluations: the compute."""

    samples: Tensor
    kept: int
    near: float
    likelihood: float
    steps: int
    evaluations: int


def step_cost(langevin: Langevin) -> int:
    """Evaluations of a batch in one step; the backward of a network counts as two of it.

    A Langevin step has teacher, student's score and generator, and one more for J^T where z moves;
    the M-step 1 + 2; the fresh samples FRESH / BATCH.
    """
    moving = langevin.latent_rate > 0
    return langevin.steps * (3 + moving) + 3 + FRESH // BATCH


def mixture_score(x: Tensor, centres: Tensor, variance: Tensor | float) -> Tensor:
    """Score at x [N, 2] of equal Gaussians at `centres` [M, 2]; variance: a float or [N, 1]."""
    logs = (x @ centres.T - centres.square().sum(dim=1) / 2) / variance
    return (logs.softmax(dim=1) @ centres - x) / variance


def likelihood(samples: Tensor) -> float:
    """E_q[log p(x)] in nats, both smoothed by noise of deviation SPREAD: what EMD climbs.

    p is the mean of Gaussians at the samples [N, 2]; q, the teacher, gives 2,000 points, the same
    each time. A dropped mode costs its distance squared.
    """
    points = teacher_samples(2000, seed=1)
    points = points + SPREAD * drawn(points.shape, seed=2)
    squares = torch.cdist(points, samples).square()
    logs = (-squares / (2 * SPREAD**2)).logsumexp(dim=1)
    return float(logs.mean()) - math.log(len(samples) * 2 * math.pi * SPREAD**2)


def drawn(shape: Sequence[int], seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def teacher_samples(count: int, seed: int) -> Tensor:
    return CENTRES[torch.arange(count) % MODES] + SPREAD * drawn((count, 2), seed)


class Student(nn.Module):
    """A perceptron of z, added to a narrow Gaussian inside mode 0; the sum begins as the latter."""

    def __init__(self, generator: torch.Generator, width: int = 32) -> None:
        super().__init__()
        sizes = [(2, width), (width, width), (width, 2)]
        first, second, last = (nn.Linear(*size) for size in sizes)
        for layer in (first, second):
            bound = layer.in_features**-0.5
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.layers = nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), last)

    def forward(self, z: Tensor) -> Tensor:
        moved: Tensor = self.layers(z)
        return CENTRES[0] + 0.1 * z + moved


def distilled(
    langevin: Langevin, seed: int, *, budget: int = BUDGET, learning_rate: float = LEARNING_RATE
) -> Outcome:
    """Distil the mixture for as many steps as `budget` evaluations pay for."""
    random = torch.Generator().manual_seed(seed)
    student = Student(random)
    adam = torch.optim.Adam(student.parameters(), lr=learning_rate, betas=(0.0, 0.99))

    def normal(count: int = BATCH) -> Tensor:
        return torch.randn(count, 2, generator=random)

    steps = budget // step_cost(langevin)
    for _ in range(steps):
        uniform = torch.rand(BATCH, 1, generator=random)
        sigma = LEAST_SIGMA * (MOST_SIGMA / LEAST_SIGMA) ** uniform
        with torch.no_grad():
            fresh = student(normal(FRESH))

        def gap(x: Tensor, sigma: Tensor = sigma, fresh: Tensor = fresh) -> Tensor:
            taught = mixture_score(x, CENTRES, SPREAD**2 + sigma**2)
            return taught - mixture_score(x, fresh, sigma**2)

        joint = e_step(
            student, gap, sigma, normal(), normal(), langevin, lambda _: (normal(), normal())
        )
        loss = m_step_loss(student(joint.latents), sigma, joint.drift, sigma**2)
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        samples = student(drawn((4096, 2), seed=3))
    return outcome(samples, steps, steps * step_cost(langevin))


def outcome(samples: Tensor, steps: int = 0, evaluations: int = 0) -> Outcome:
    """The figures of samples [N, 2]."""
    distance, nearest = torch.cdist(samples, CENTRES).min(dim=1)
    close = distance < 3 * SPREAD
    shares = torch.bincount(nearest[close], minlength=MODES) / len(samples)
    return Outcome(
        samples=samples,
        kept=int((shares > 1 / (3 * MODES)).sum()),
        near=float(close.float().mean()),
        likelihood=likelihood(samples),
        steps=steps,
        evaluations=evaluations,
    )


def draw(panels: dict[str, Outcome], path: Path) -> None:
    """Samples side by side, the teacher's modes as circles of three deviations."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    figure = Figure(figsize=(2.8 * len(panels), 3.4), layout="constrained")
    for place, (name, shown) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), place + 1)
        for centre in CENTRES.tolist():
            axes.add_patch(Circle(tuple(centre), 3 * SPREAD, fill=False, color="0.6"))
        x, y = shown.samples[:1000].T.numpy()
        axes.scatter(x, y, s=3, alpha=0.4, linewidths=0)
        kept = f"{name}: {shown.kept} of {MODES} modes"
        axes.set_title(f"{kept}\nlog-likelihood {shown.likelihood:.2f}", fontsize=10)
        axes.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xticks=[], yticks=[])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--figure", type=Path, help="PNG to write: the first seed's samples")
    given = parser.parse_args()
    teacher = outcome(teacher_samples(4096, seed=4))
    print(f"{'method':<16} seed  modes   near  likelihood  steps  evaluations")
    panels = {"teacher": teacher}
    line(teacher, "teacher", "")
    for name, langevin in METHODS.items():
        found = [distilled(langevin, seed) for seed in given.seeds]
        for seed, one in zip(given.seeds, found, strict=True):
            line(one, name, str(seed))
        print(
            f"{name:<16} mean  {mean(one.kept for one in found):5.1f}  "
            f"{mean(one.near for one in found):5.2f}  "
            f"{mean(one.likelihood for one in found):10.2f}",
            flush=True,
        )
        panels[name] = found[0]
    if given.figure:
        draw(panels, given.figure)


def line(one: Outcome, name: str, seed: str) -> None:
    print(
        f"{name:<16} {seed:>4}  {one.kept:5}  {one.near:5.2f}  {one.likelihood:10.2f}  "
        f"{one.steps:5}  {one.evaluations:11}",
        flush=True,
    )


if __name__ == "__main__":
    main()
