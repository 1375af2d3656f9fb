"""Reference statistics and feature files: what ADM's files and genbench's own hold, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from genbench.errors import GenbenchError
from genbench.images.npz_writing import write_reference
from genbench.images.opening import open_image_set
from genbench.quality.feature_files import read_features
from genbench.quality.statistics_files import Meta, read_reference_statistics

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)


def statistics(width: int, suffix: str = "", dtype: type = np.float64) -> dict[str, NDArray[Any]]:
    values = RNG.normal(size=(50, width))
    return {
        "mu" + suffix: values.mean(0).astype(dtype),
        "sigma" + suffix: np.cov(values, rowvar=False),
    }


def test_the_published_reference_files(tmp_path: Path) -> None:
    """As ADM's VIRTUAL files: float32 mu, fewer images than the statistics had, CLIP's too."""
    known = {**statistics(6, dtype=np.float32), **statistics(4, "_s", np.float32)}
    arrays: dict[str, Any] = {"arr_0": PIXELS, **known, **statistics(3, "_clip")}
    np.savez(tmp_path / "v.npz", **arrays)
    found = read_reference_statistics(tmp_path / "v.npz")
    assert found is not None
    assert found.mu_s is not None
    assert found.sigma_s is not None
    for name in ("mu", "sigma", "mu_s", "sigma_s"):
        array = getattr(found, name)
        assert array.dtype == np.float64
        assert np.array_equal(array, known[name].astype(np.float64))
    assert (found.meta, found.count) == (None, None)
    assert len(open_image_set(str(tmp_path / "v.npz"))) == 10
    np.savez(tmp_path / "images.npz", PIXELS)
    assert read_reference_statistics(tmp_path / "images.npz") is None


def test_a_reference_file_comes_back(tmp_path: Path) -> None:
    known = {**statistics(6), **statistics(4, "_s")}
    images = open_image_set("bundled[:30]")
    meta = {"detector": "some detector", "count": 30, "identity": {"k": "v"}, "genbench": "0.1.0"}
    write_reference(tmp_path / "r.npz", images, known, meta)
    found = read_reference_statistics(tmp_path / "r.npz")
    assert found is not None
    assert found.meta == Meta(
        detector="some detector", count=30, identity={"k": "v"}, genbench="0.1.0"
    )
    assert found.widths == {"pool": 6, "spatial": 4}
    with np.load(tmp_path / "r.npz", allow_pickle=False) as file:
        for name, array in known.items():
            assert np.array_equal(file[name], array)
            assert np.array_equal(getattr(found, name), array)
        assert np.array_equal(file["arr_1"], np.asarray(images.labels))
    assert torch.equal(open_image_set(str(tmp_path / "r.npz")).read(0, 30), images.read(0, 30))


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"mu": np.zeros(3)}, "without its sigma"),
        ({"mu": np.zeros(3), "sigma": np.eye(3), "mu_s": np.zeros(2)}, "without its sigma"),
        ({"mu": np.zeros(3), "sigma": np.eye(4)}, "do not belong together"),
        ({"mu": np.zeros((3, 1)), "sigma": np.eye(3)}, "do not belong together"),
        ({"mu": np.full(3, np.nan), "sigma": np.eye(3)}, "NaN"),
        ({"mu": np.zeros(3), "sigma": np.full((3, 3), np.inf)}, "NaN"),
        ({"mu": np.array([print] * 3), "sigma": np.eye(3)}, "pickled"),
        ({"mu": np.array(["a", "b"]), "sigma": np.eye(2)}, "mu holds <U1, not real numbers"),
        ({"mu": np.zeros(2, complex), "sigma": np.eye(2)}, "mu holds complex128, not real numbers"),
    ],
)
def test_bad_statistics(arrays: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(GenbenchError, match=complaint) as caught:
        read_reference_statistics(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)


@pytest.mark.parametrize(
    "meta",
    ["cifar10 train", "[1, 2]", '{"count": "many", "detector": "x"}', '{"count": 3}', 3, b"x"],
)
def test_a_meta_of_others_says_nothing(meta: Any, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {**statistics(5), "meta": np.array(meta)}
    np.savez(tmp_path / "theirs.npz", **arrays)
    found = read_reference_statistics(tmp_path / "theirs.npz")
    assert found is not None
    assert found.meta is None


def test_feature_files(tmp_path: Path) -> None:
    known: dict[str, Any] = {
        "features": RNG.normal(size=(9, 4)).astype(np.float32),
        "logits": np.ones((9, 2)),
    }
    np.savez(tmp_path / "f.npz", **known, other=np.arange(3))
    found = read_features(tmp_path / "f.npz")
    assert set(found) == {"features", "logits"}
    assert all(np.array_equal(found[name], array) for name, array in known.items())


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"pool": np.zeros((3, 2))}, "no `features`"),
        ({"features": np.zeros(3)}, r"features must be float \[N, D\]"),
        ({"features": np.zeros((0, 2))}, "features must be"),
        ({"features": np.zeros((3, 2), int)}, "int64"),
        ({"features": np.zeros((3, 2)), "spatial": np.zeros((2, 2))}, "spatial must be"),
        ({"features": np.array([[0, 1], [np.nan, 1]])}, "first in row 1"),
    ],
)
def test_bad_features(arrays: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(GenbenchError, match=complaint) as caught:
        read_features(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)
