"""Figures on record are given again only where all that decides them is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_detector import afar

import genbench
from genbench.runtime.progress import SilentReporter

IMAGES = genbench.open_images("bundled[:40]").read(0, 40)
LABELS = torch.arange(40) // 10


@pytest.mark.parametrize("permuted", ["", "samples", "reference"])
def test_other_labels_of_the_same_pixels_are_other_figures(
    permuted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genbench.quality.reading.create_detector", afar)

    def measured(other: str, metric: str) -> Any:
        images, reference = (
            genbench.open_images(pixels, labels=LABELS.roll(9 * (other == name)), name=name)
            for name, pixels in (("samples", IMAGES), ("reference", IMAGES.flip(3)))
        )
        found = genbench.evaluate(
            samples=images, reference=reference, protocol="bundled", metrics=metric,
            records=tmp_path / "r.jsonl", cache=tmp_path, reuse=True, reporter=SilentReporter(),
        )  # fmt: skip
        return found[0]

    for metric in ("class_fd", "class_vendi", "fd"):
        first, again = measured("", metric), measured(permuted, metric)
        moved = {"fd": (), "class_vendi": ("samples",)}.get(metric, ("samples", "reference"))
        assert (again.run == first.run) == (permuted not in moved)
        assert (again.value == first.value) == (permuted not in moved)
        assert bool(first.labels_digest) == (metric != "fd")
        assert bool(first.reference_labels_digest) == (metric == "class_fd")
