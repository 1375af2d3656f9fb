"""What was measured can be looked at: a strip of the first samples lies beside the records."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from strangers import genbench
from torch import Tensor

import genbench as door
from genbench.quality.strips import bring_beside, cached_strips, keep_strip, strip_in, strips_folder
from genbench.records.kinds import QualityRecord
from genbench.records.store import read_records

SMALL = ("--ref", "bundled[:60]", "--protocol", "bundled", "--metric", "fd", "-n", "20")


class Means:
    """A detector that costs nothing: each channel's mean and spread."""

    name = "efficientnet-lite0"
    identity: Mapping[str, str] = {"weights": "none"}
    layers: Mapping[str, int] = {"pool": 6}

    def __call__(self, images: Tensor) -> Mapping[str, Tensor]:
        flat = images.float().flatten(2)
        return {"pool": torch.cat([flat.mean(2), flat.std(2)], dim=1)}


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genbench.quality.reading.create_detector", lambda *_, **__: Means())


def test_fid_keeps_the_first_samples_beside_the_record(tmp_path: Path) -> None:
    file, cache = tmp_path / "runs.jsonl", tmp_path / "cache"
    for words in (("--model", "toy", "--res", "32"), ("--samples", "bundled[100:120]")):
        run = genbench("fid", *words, *SMALL, "--records", file, "--cache", cache)
        assert run.returncode == 0, run.stderr
    shutil.rmtree(cache)
    model, images = read_records(file)
    assert isinstance(model, QualityRecord)
    assert isinstance(images, QualityRecord)
    drawn = next(door.open_model("toy", resolution=32).images(0, 16))
    stored = door.open_images("bundled[100:120]").read(0, 16)
    for record, wanted in ((model, drawn[:16]), (images, stored)):
        strip = strip_in(strips_folder(file), record.samples_digest)
        pixels = np.asarray(Image.open(strip))
        assert pixels.shape == (32, 16 * 32, 3)
        tiles = torch.from_numpy(pixels.copy()).reshape(32, 16, 32, 3).permute(1, 3, 0, 2)
        assert (tiles == wanted).all()


def test_a_strip_is_no_wider_than_people_can_use(tmp_path: Path) -> None:
    for side, shape in ((256, (256, 2048)), (700, (256, 2048)), (9, (9, 27))):
        count = 3 if side == 9 else 20
        keep_strip(tmp_path, f"d{side}", torch.full((count, 3, side, side), 7, dtype=torch.uint8))
        pixels = np.asarray(Image.open(strip_in(cached_strips(tmp_path), f"d{side}")))
        assert pixels.shape[:2] == shape
        assert (pixels == 7).all()


def test_without_a_strip_or_a_file_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").touch()
    bring_beside(tmp_path / "runs.jsonl", tmp_path, ["unknown", ""])
    keep_strip(tmp_path, "known", torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    bring_beside(Path("/dev/null"), tmp_path, ["known"])
    assert not strips_folder(tmp_path / "runs.jsonl").exists()
    assert not Path("/dev/null-samples").exists()


def test_a_strip_that_cannot_be_kept_is_told_and_the_figures_stay(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    strips_folder(file).touch()  # a file where the folder should be
    run = genbench("fid", "--samples", "bundled[100:120]", *SMALL, "--records", file,
                   "--cache", tmp_path / "cache")  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "no strip of samples beside the records" in run.stderr
    assert len(read_records(file)) == 1
