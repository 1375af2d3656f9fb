"""What docs/many-gpus.md says of cost is what benchmarks/cost_of_50k.py computes."""

from __future__ import annotations

from pathlib import Path

import cost_of_50k
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "many-gpus.md"


def test_the_page_has_the_computed_costs() -> None:
    flops = cost_of_50k.image_flops(256, guided=True)
    text = PAGE.read_text()
    assert "\n".join(cost_of_50k.table(flops)) in text
    assert f"{flops / 1e12:.1f} TFLOP an image" in text
    assert f"{flops * cost_of_50k.SAMPLES / 1e18:.1f} EFLOP in all" in text


def test_the_slowest_gpu_decides() -> None:
    alone, eight, many = (cost_of_50k.hours(6e14, "h100", 0.4, world) for world in (1, 8, 64))
    assert alone / eight == pytest.approx(100 / 13)
    assert alone / many == pytest.approx(50)
    assert alone == pytest.approx(6e14 * 50_000 / (0.4 * 989.4e12) / 3600, rel=0.01)
