"""Strict rims, drawn rows, clipped density and coverage, P-precision and P-recall."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from parity_memorisation import array_checks, computed
from parity_metric_cases import MetricCase, open_metric_case
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics import screening
from genbench.metrics.clipped import calibrated, expected_coverage
from genbench.metrics.nearest import nearest_in, nearest_other
from genbench.metrics.precision_recall import drawn_rows, neighbour_figures
from genbench.metrics.probabilistic import p_support

FOLDER = Path(__file__).parents[1] / "parity" / "metrics"
CASES = ("duplicates64", "singular192")


def _features(count: int, width: int, seed: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> MetricCase:
    return open_metric_case(FOLDER / f"metrics_{request.param}.json")


def test_every_number_of_the_official_codes(case: MetricCase) -> None:
    ours = computed(case)
    assert len(ours) > 60
    off = {key: value - case.values[key] for key, value in ours.items()}
    assert not {
        key: error for key, error in off.items()
        if key not in case.unstable and not abs(error) <= case.tolerances[key]
    }  # fmt: skip


def test_every_array_of_the_official_codes(case: MetricCase) -> None:
    checks = list(array_checks(case))
    assert len(checks) > 10
    assert not [str(check) for check in checks if not check.passed]


def test_a_strict_rim_is_outside_for_precision_and_recall() -> None:
    # References 0, 1, 3, 7 and k = 2: radii 3, 2, 3, 6. Samples lie on rims alone.
    reference = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    samples = torch.tensor([[-3.0], [-1.0], [13.0], [40.0]])
    usual, strict = (
        neighbour_figures(samples, reference, pr_neighbours=2, dc_neighbours=2, strict=rim)
        for rim in (False, True)
    )
    assert usual.precision.value == 0.75
    assert strict.precision.value == 0.25  # -1 alone, within 3 of 0
    copies = _features(40, 8, 0).repeat(10, 1)
    assert neighbour_figures(copies, copies, strict=True).recall.value == 0


def test_rows_are_drawn_by_the_protocols_seed_alone() -> None:
    features = torch.arange(50.0)[:, None].expand(50, 3)
    drawn = drawn_rows(features, 20, 0)
    assert torch.equal(drawn, drawn_rows(features, 20, 0))
    assert torch.equal(drawn, drawn.unique(dim=0))
    assert not torch.equal(drawn, drawn_rows(features, 20, 1))
    assert drawn_rows(features, 50, 0) is features
    samples, reference = _features(60, 6, 1), _features(40, 6, 2)
    few = neighbour_figures(samples, reference, drawn=100)
    assert few == neighbour_figures(drawn_rows(samples, 40, 0), reference)


def test_nearest_rows_are_those_of_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "BLOCK", 32)
    left, right = _features(90, 20, 1), torch.cat([_features(70, 20, 2), _features(90, 20, 1)[:9]])
    distances = torch.cdist(left.double(), right.double()).square()
    expected = distances.min(dim=1)
    found, rows = nearest_in(left, right)
    assert torch.equal(rows, expected.indices)
    assert found.tolist() == pytest.approx(expected.values.tolist(), abs=1e-10)
    assert found[:9].tolist() == [0.0] * 9  # copies, to the last bit
    own = torch.cdist(left.double(), left.double()).square().fill_diagonal_(math.inf)
    found, rows = nearest_other(left)
    assert torch.equal(rows, own.min(dim=1).indices)
    assert found.tolist() == pytest.approx(own.min(dim=1).values.tolist())


def test_clipped_figures_are_the_share_of_good_samples() -> None:
    reference, good = _features(1000, 4, 0), _features(1000, 4, 1)
    for share in (1.0, 0.6, 0.2):
        bad = good.clone()
        bad[round(share * 1000) :] += 100
        figures = neighbour_figures(bad, reference)
        assert figures.clipped_density.value == pytest.approx(share, abs=0.06)
        assert figures.clipped_coverage.value == pytest.approx(share, abs=0.06)
    # One sample a thousand times covers its own balls alone, however dense it is there.
    lone = neighbour_figures(reference[:1].expand(1000, 4) + 1e-3, reference)
    assert lone.clipped_coverage.value < 0.02


def test_expected_coverage_is_what_samples_of_the_reference_give() -> None:
    shares = expected_coverage(5, 400, 300)
    assert shares.shape == (301,)
    assert not shares[:5].any()
    assert (np.diff(shares[4:]) > 0).all()
    trials = [
        neighbour_figures(_features(300, 3, 2 * i + 1), _features(400, 3, 2 * i)).clipped_coverage
        for i in range(12)
    ]
    assert np.mean([trial.value for trial in trials]) == pytest.approx(1, abs=0.06)
    assert calibrated(1.0, 5, 400, 300) == 1


def test_p_precision_of_one_ball() -> None:
    # k = 1 of 0, 1: mean distance 1, so R = 1.2; a row at 0.6 is half covered by each.
    support = torch.tensor([[0.0], [1.0]])
    rows = torch.tensor([[0.6], [0.0], [9.0]])
    found = p_support(rows, support, neighbours=1, interval=True)
    each = [1 - (0.6 / 1.2) * (0.4 / 1.2), 1, 0]
    assert found.value == pytest.approx(sum(each) / 3)
    assert found.low is not None
    assert found.low < found.value
    with pytest.raises(GenbenchError, match="copies of itself"):
        p_support(rows, torch.zeros(9, 1), neighbours=1)
