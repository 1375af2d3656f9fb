"""`genbench explain`: parts that sum, of known size where they are known, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from strangers import error_line, genbench
from torch import Tensor

import genbench as door
from genbench.explaining.altered import Altered, rounded_otherwise
from genbench.explaining.attribution import averaged, in_order
from genbench.explaining.result import Explanation, bars
from genbench.images.arrays import images_of
from genbench.quality import reading
from genbench.quality.source import SetSource
from genbench.report.waterfall import draw_waterfall
from genbench.runtime.progress import SilentReporter


def test_shares_sum_and_are_those_of_an_additive_game() -> None:
    steps = ["a", "b", "c", "d"]
    rng = np.random.default_rng(0)
    values = {
        frozenset(chosen): float(rng.normal())
        for size in range(5)
        for chosen in combinations(steps, size)
    }
    whole = values[frozenset(steps)] - values[frozenset()]
    for share in (averaged, in_order):
        found = share(steps, values.__getitem__)
        assert sum(found.values()) == pytest.approx(whole, abs=1e-12)
    own = {"a": 1.0, "b": -2.5, "c": 0.0, "d": 4.0}
    for share in (averaged, in_order):
        found = share(steps, lambda taken: sum(own[step] for step in taken))
        assert found == pytest.approx(own)
    # Two that only work together share what they bring; the third brings nothing.
    found = averaged(steps[:3], lambda taken: float({"a", "b"} <= taken))
    assert found == pytest.approx({"a": 0.5, "b": 0.5, "c": 0.0})
    assert in_order(steps[:3], lambda taken: float({"a", "b"} <= taken))["b"] == 1.0


class MeanColour:
    """A detector whose features are known: the mean of each channel."""

    name = "efficientnet-lite0"
    layers: Mapping[str, int] = {"pool": 3}
    identity: Mapping[str, str] = {"weights_sha256": "none"}

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        return {"pool": images.to(torch.float32).mean(dim=(2, 3))}


@pytest.fixture
def means(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Measure by mean colours, and keep features in a folder of the test's."""
    monkeypatch.setattr(reading, "create_detector", lambda *_, **__: MeanColour())
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def plain(colours: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Images [N, 8, 8, 3] of one colour each, from colours [N, 3]."""
    return np.broadcast_to(colours.astype(np.uint8)[:, None, None], (len(colours), 8, 8, 3)).copy()


def distance(samples: NDArray[np.int64], reference: NDArray[np.int64]) -> float:
    """The Fréchet distance of colours by its definition."""
    from scipy.linalg import sqrtm

    first, second = np.cov(samples, rowvar=False), np.cov(reference, rowvar=False)
    root = np.trace(np.real(sqrtm(first @ second)))
    offset = samples.mean(0) - reference.mean(0)
    return float(offset @ offset + np.trace(first) + np.trace(second) - 2 * root)


def test_parts_are_those_that_are_known(means: Path) -> None:
    """Reference and count differ: each combination has a figure by the definition, and the parts
    are their Shapley values. Another reference alone is the whole difference."""
    rng = np.random.default_rng(1)
    colours = rng.integers(60, 90, (400, 3))
    colours[200:] += 20
    reference = rng.integers(80, 120, (300, 3))
    np.savez(means / "samples.npz", plain(colours))
    np.savez(means / "a.npz", plain(reference))
    np.savez(means / "b.npz", plain(reference + 10))

    def explain(counts: tuple[int, int]) -> Explanation:
        return door.explain(
            "standard", "standard", samples=means / "samples.npz", detector="efficientnet-lite0",
            references=(str(means / "a.npz"), str(means / "b.npz")), counts=counts,
            reporter=SilentReporter(), device="cpu",
        )  # fmt: skip

    value = {
        (count, shift): distance(colours[:count], reference + shift)
        for count in (200, 400) for shift in (0, 10)
    }  # fmt: skip
    found = explain((200, 400))
    parts = {part.step.key: part.change for part in found.parts}
    by_reference = (value[200, 10] - value[200, 0] + value[400, 10] - value[400, 0]) / 2
    by_count = (value[400, 0] - value[200, 0] + value[400, 10] - value[200, 10]) / 2
    assert parts == pytest.approx({"reference": by_reference, "count": by_count}, rel=1e-6)
    assert sum(parts.values()) == pytest.approx(found.end.value - found.start.value, rel=1e-9)
    assert found.rest == 0.0
    assert (found.order, found.metric) == ("averaged", "fd")
    last = list(bars(found))[-1]
    assert last.stop == found.end.value == pytest.approx(value[400, 10], rel=1e-6)
    assert "Waterfall from" in draw_waterfall(found)
    alone = explain((400, 400))
    (part,) = alone.parts
    assert part.step.key == "reference"
    assert part.change == alone.end.value - alone.start.value


def test_lossy_files_alone_are_the_whole_difference(means: Path) -> None:
    rng = np.random.default_rng(2)
    np.savez(means / "samples.npz", rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8))
    np.savez(means / "ref.npz", rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8))
    words = ("explain", "--samples", means / "samples.npz", "--ref", means / "ref.npz", "--from",
             "bundled", "--to", "bundled")  # fmt: skip
    done = genbench(
        *words, "--from-jpeg", "10", "--published", "1", "--json", "--out", means / "w.svg"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (part,) = told["parts"]
    assert part["step"] == "files"
    assert part["change"] == told["to"]["value"] - told["from"]["value"] != 0
    assert told["candidates"][0]["published_minus_value"] == 1 - told["candidates"][0]["value"]
    assert (means / "w.svg").read_text().startswith("<svg")
    shown = genbench(*words, "--from-jpeg", "10", "--published", "1")
    assert "lossy files: JPEG 10 → as they are" in shown.stdout
    assert "nearest: " in shown.stdout
    other = genbench(
        "explain", "--samples", means / "samples.npz", "--ref", means / "ref.npz", "--from",
        "standard", "--to", "adm-imagenet64", "--detector", "efficientnet-lite0", "--published",
        "1", "--rounding", "truncate",
    )  # fmt: skip
    assert "of other networks than efficientnet-lite0" in other.stdout
    assert "left out: detector (inception): efficientnet-lite0 in its place" in other.stdout
    assert "standard* does not say how to round" in other.stdout
    assert "reference (none → VIRTUAL_imagenet64_labeled.npz): both take" in other.stdout
    same = genbench(*words)
    assert "nothing that moves fd differs" in same.stdout


def test_what_cannot_be_had_is_left_out_of_both_ends(means: Path) -> None:
    rng = np.random.default_rng(3)
    np.savez(means / "samples.npz", rng.integers(0, 256, (40, 64, 64, 3), dtype=np.uint8))
    np.savez(means / "ref.npz", rng.integers(0, 256, (30, 64, 64, 3), dtype=np.uint8))
    done = genbench(
        "explain", "--samples", means / "samples.npz", "--from", "standard", "--from-ref",
        means / "ref.npz", "--to", "adm-imagenet64", "--detector", "efficientnet-lite0", "--metric",
        "precision",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "left out: reference: " in (done.stdout)
    assert "float16 distances: no → yes" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--from", "standard", "--to", "adm-imagnet64"), "did you mean adm-imagenet64?"),
        (("--from", "standard", "--to", "bundled"), "distances of two networks"),
        (("--from", "standard", "--to", "standard"), "neither protocol names a reference"),
        (("--from", "standard", "--to", "standard", "--rounding", "up"), "one of truncate"),
        (("--from", "standard", "--to", "standard", "--order", "random"), "averaged or stated"),
        (("--from", "bundled", "--to", "bundled", "--to-n", "11"), "there are 10 samples, not 11"),
        (("--from", "bundled", "--to", "bundled", "--published", "nan"), "a finite number"),
        (("--from", "standard", "--to", "standard", "--out", "w.png"), "end it in .svg"),
    ],
)
def test_refusals(means: Path, words: tuple[str, ...], told: str) -> None:
    np.savez(means / "samples.npz", np.zeros((10, 32, 32, 3), np.uint8))
    done = genbench("explain", "--samples", means / "samples.npz", *words)
    assert told in error_line(done)


def test_other_roundings_and_files_depend_on_the_index_alone() -> None:
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (7, 3, 8, 8), dtype=np.uint8)
    images[0] = 0
    source = SetSource(images_of(torch.from_numpy(images), name="samples", labels=None))
    changed = Altered(source, was="truncate", rounding="nearest", jpeg=90)
    whole = torch.cat(list(changed.images(0, 7)))
    assert torch.equal(torch.cat(list(changed.images(3, 6))), whole[3:6])
    assert changed.digest() != source.digest()
    assert Altered(source, was="nearest", rounding="nearest").identity() == (
        Altered(source).identity()
    )
    level = torch.full((3, 64, 64), 100, dtype=torch.uint8)
    up = rounded_otherwise(level, 0, "truncate", "nearest").float().mean()
    assert float(up) == pytest.approx(100.5, abs=0.02)  # a truncated level lost half of one
    back = rounded_otherwise(level, 0, "nearest", "truncate").float().mean()
    assert float(back) == pytest.approx(99.5, abs=0.02)
    assert torch.equal(rounded_otherwise(level, 3, "truncate", "truncate"), level)
    grey = torch.arange(1, 193, dtype=torch.uint8).reshape(1, 12, 16).repeat(3, 1, 1)
    changed_grey = rounded_otherwise(grey, 5, "truncate", "nearest")
    assert torch.equal(changed_grey[0], changed_grey[1])  # grey stays grey
    ends = torch.tensor([0, 255], dtype=torch.uint8).repeat(3, 4, 4)
    assert torch.equal(rounded_otherwise(ends, 0, "truncate", "nearest"), ends)
