"""The distance to real images in units of real images."""

from __future__ import annotations

import pytest
import torch

from genbench.errors import GenbenchError
from genbench.metrics.representative import distance_ratio


def normal(count: int, shift: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 6, generator=generator) + shift


def test_real_images_are_one_and_others_more() -> None:
    reference = normal(4000, 0.0, 0)
    real = distance_ratio(normal(2000, 0.0, 1), reference, interval=True)
    assert real.low is not None
    assert real.high is not None
    assert real.low < 1 < real.high
    far = distance_ratio(normal(2000, 0.5, 2), reference, interval=True)
    # |shift|^2 = 1.5 over what two draws of 2000 differ by, about 2 * (D + D (D + 1) / 4) / n.
    assert far.value == pytest.approx(1.5 / (2 * (6 + 6 * 7 / 4) / 2000), rel=0.5)
    assert far.low is not None
    assert real.high < far.low


def test_copies_of_the_reference_are_told_by_zero() -> None:
    reference = normal(200, 0.0, 3)
    assert distance_ratio(reference[::2].clone(), reference, interval=False).value == (
        pytest.approx(0.5)  # at no distance from their own half, at 1 from the other
    )
    few = distance_ratio(normal(100, 0.0, 4)[:5], reference, interval=False)
    assert few.singular
    assert "too near to 1" in few.note


def test_the_whole_reference_is_drawn_from_and_must_have_a_scale() -> None:
    sorted_by_class = torch.cat([normal(500, 0.0, 5), normal(500, 9.0, 6)])
    found = distance_ratio(sorted_by_class[::10].clone(), sorted_by_class, interval=False)
    assert found.value < 2  # halves of both classes; of the first class alone it were hundreds
    with pytest.raises(GenbenchError, match="no scale"):
        distance_ratio(normal(20, 0.0, 7), torch.ones(40, 6), interval=False)
