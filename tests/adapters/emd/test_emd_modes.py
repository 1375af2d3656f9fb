"""The demo of benchmarks/emd_modes.py with fewer evaluations: EMD-16 covers, reverse KL does not.

Seeds are fixed and the margins are wide: another machine rounds otherwise, and a distillation
that chooses among modes amplifies that.
"""

from __future__ import annotations

import pytest
import torch
from emd_modes import CENTRES, METHODS, SPREAD, distilled, outcome, step_cost, teacher_samples

SEEDS = (0, 1)
BUDGET = 10_000


def test_emd_keeps_modes_that_the_mode_seeking_gradient_drops() -> None:
    emd = [distilled(METHODS["EMD-16"], seed, budget=BUDGET) for seed in SEEDS]
    seeking = [distilled(METHODS["K = 1, frozen z"], seed, budget=BUDGET) for seed in SEEDS]
    for one, other in zip(emd, seeking, strict=True):
        assert one.evaluations <= other.evaluations
        assert one.kept > other.kept
        assert one.likelihood > other.likelihood + 10


def test_the_figures_tell_the_teacher_from_one_of_its_modes() -> None:
    teacher = outcome(teacher_samples(4096, seed=4))
    entropy = 1 + torch.log(torch.tensor(6 * 2 * torch.pi * 2 * SPREAD**2)).item()
    assert teacher.kept == len(CENTRES)
    assert teacher.likelihood == pytest.approx(-entropy, abs=0.05)
    alone = outcome(CENTRES[:1].repeat(4096, 1))
    assert (alone.kept, alone.near) == (1, 1.0)
    assert alone.likelihood < -100


def test_a_step_is_charged_for_what_it_evaluates() -> None:
    assert [step_cost(langevin) for langevin in METHODS.values()] == [10, 39, 71]
