"""AuthPct, copies, C_T, FLD and FLS: closed forms, direction, refusals, and the command."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.copies import authentic_percent, copied_share
from genbench.metrics.data_copying import ct_score
from genbench.metrics.estimate import Estimate
from genbench.metrics.feature_likelihood import (
    Sets,
    divergence,
    generalisation_gap,
    overfit_percent,
    score,
    score_sets,
)
from genbench.metrics.nearest import nearest_in, nearest_other
from genbench.metrics.settings import CellSettings, LikelihoodSettings

CELLS, LIKELIHOOD = CellSettings(), LikelihoodSettings()


def _features(count: int, seed: int, width: int = 8) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


TRAINING, HELD_OUT, FRESH = _features(400, 1), _features(300, 2), _features(300, 3)


def _authentic(samples: Tensor, training: Tensor = TRAINING) -> Estimate:
    return authentic_percent(
        nearest_in(samples, training), nearest_other(training)[0], interval=True
    )


def _copies(samples: Tensor, held_out: Tensor = HELD_OUT) -> Estimate:
    distances = [nearest_in(side, TRAINING)[0] for side in (samples, held_out)]
    return copied_share(distances[0], distances[1], share=0.01, interval=True)


def test_exact_copies_are_not_authentic() -> None:
    assert _authentic(TRAINING[:300]).value == 0
    assert _authentic(TRAINING + 100).value == 100
    mixed = torch.cat([TRAINING[:50], TRAINING[:50] + 100])
    found = _authentic(mixed)
    assert found.value == 50
    assert found.low is not None
    assert found.high is not None
    assert 30 < found.low < 50 < found.high < 70
    # As far from it as its nearest other: the rim is a copy.
    line = torch.tensor([[0.0], [1.0], [5.0]])
    assert _authentic(torch.tensor([[-1.0], [-1.5]]), line).value == 50


def test_copies_are_the_samples_nearer_than_held_out_images() -> None:
    assert _copies(TRAINING[:200]).value == 1
    assert _copies(TRAINING[:200] + 1e-3).value == 1
    fresh = _copies(FRESH)
    assert fresh.value < 0.05
    tenth = torch.cat([TRAINING[:30] + 1e-3, FRESH[:270]])
    assert _copies(tenth).value == pytest.approx(0.1 + 0.9 * fresh.value, abs=0.02)
    # The limit is the fourth smallest of 300: three held-out images lie below it.
    assert round(_copies(HELD_OUT).value * 300) == 3


def test_a_reference_of_training_images_is_refused() -> None:
    with pytest.raises(GenbenchError, match=r"2\.0% of the reference's images are training images"):
        _copies(FRESH, torch.cat([HELD_OUT[:294], TRAINING[:6]]))


def test_ct_is_far_below_zero_for_copies() -> None:
    pytest.importorskip("sklearn")
    assert ct_score(TRAINING, HELD_OUT, TRAINING[:300] + 1e-3, CELLS).value < -10
    fresh = ct_score(TRAINING, HELD_OUT, FRESH, CELLS)
    assert abs(fresh.value) < 3
    assert fresh == ct_score(TRAINING, HELD_OUT, FRESH, CELLS)
    assert fresh.interval.startswith("none: ")
    assert ct_score(TRAINING, HELD_OUT, 3 * FRESH, CELLS).value > 5


def test_ct_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    with pytest.raises(GenbenchError, match="no cell has more than 20 samples"):
        ct_score(TRAINING, HELD_OUT, FRESH[:15], CELLS)
    with pytest.raises(GenbenchError, match=r"C_T: cell . of 3 has .* and 0 of the reference"):
        ct_score(TRAINING, HELD_OUT[:1], FRESH, CELLS)
    wide = _features(50, 1, 80)
    with pytest.raises(GenbenchError, match="at least 64 images for its cells and there are 50"):
        ct_score(wide, wide, wide, CELLS)
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(GenbenchError, match=r"pip install 'genbench\[memorisation\]'"):
        ct_score(TRAINING, HELD_OUT, FRESH, CELLS)


def test_likelihoods_tell_copies_from_new_images() -> None:
    fresh, copied = (Sets(TRAINING, HELD_OUT, side) for side in (FRESH, TRAINING[:300] + 1e-4))
    assert divergence(fresh, LIKELIHOOD).value < 20 < divergence(copied, LIKELIHOOD).value
    assert generalisation_gap(copied, LIKELIHOOD).value < -100
    assert abs(generalisation_gap(fresh, LIKELIHOOD).value) < 40
    assert score(*score_sets(fresh, LIKELIHOOD)).value > 80
    assert overfit_percent(*score_sets(copied, LIKELIHOOD)).value > 10


@pytest.mark.parametrize(
    "compute",
    [
        lambda sets: divergence(sets, LIKELIHOOD),
        lambda sets: score(*score_sets(sets, LIKELIHOOD)),
    ],
)
def test_a_constant_feature_has_no_likelihood(compute: Callable[[Sets], Estimate]) -> None:
    flat = [torch.cat([side, torch.ones(len(side), 1)], dim=1) for side in (TRAINING, HELD_OUT)]
    with pytest.raises(GenbenchError, match="1 of 9 features are constant"):
        compute(Sets(flat[0], flat[1], flat[1]))


def test_more_samples_than_looked_at_are_drawn_by_the_seed() -> None:
    few = LikelihoodSettings(rows=100)
    sets = Sets(TRAINING, HELD_OUT, FRESH)
    assert divergence(sets, few) == divergence(sets, few)
    assert divergence(sets, few) != divergence(sets, LikelihoodSettings(rows=100, seed=1))
    drawn, baseline = score_sets(sets, few)
    assert [len(side) for side in (drawn.training, drawn.held_out, drawn.samples, baseline)] == [
        100
    ] * 4
    assert not (baseline[:, None] == drawn.training).all(dim=2).any()
