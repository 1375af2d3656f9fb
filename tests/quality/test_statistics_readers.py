"""Every published format of statistics and features is read, and refused in one line when bad."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from statistics_made import WRITERS, moments, write_edm, write_edm2, write_feats

from genbench.errors import GenbenchError
from genbench.images.opening import open_image_set
from genbench.quality.statistics_files import checked_pair
from genbench.quality.statistics_readers import read_held

MU, SIGMA = moments(6)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_mean_and_covariance(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, MU, SIGMA)
    held = read_held(tmp_path / name, "inception")
    assert held is not None
    found = held.statistics
    assert found is not None
    assert {found.mu.dtype.name, found.sigma.dtype.name} == {"float64"}
    narrow = name in ("clean-fid.npz", "adm.npz", "torch-fidelity.pt")  # whose means are float32
    assert np.array_equal(found.mu, MU.astype(np.float32) if narrow else MU)
    assert np.array_equal(found.sigma, SIGMA)
    assert found.count == (90 if name == "edm2.pkl" else None)


def test_a_file_of_several_detectors_gives_those_of_the_one_asked_for(tmp_path: Path) -> None:
    write_edm2(tmp_path / "img64.pkl", MU, SIGMA)
    held = read_held(tmp_path / "img64.pkl", "dinov2-vit-l-14")
    assert held is not None
    assert held.statistics is not None
    assert held.statistics.widths == {"pool": 3}
    assert held.statistics.detector == "dinov2-vit-l-14"
    with pytest.raises(GenbenchError, match="of inception and dinov2-vit-l-14, not of vgg16"):
        read_held(tmp_path / "img64.pkl", "vgg16")


@pytest.mark.parametrize("name", ["x_kid.npz", "x_feats.npz", "reps.npz", "x-features-2048.pt"])
def test_every_format_of_features_is_read(tmp_path: Path, name: str) -> None:
    rows = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    write_feats(tmp_path / name, rows)
    held = read_held(tmp_path / name, "inception")
    assert held is not None
    assert held.features is not None
    assert held.statistics is None
    assert np.array_equal(held.features["pool"], rows)


def test_images_are_no_statistics(tmp_path: Path) -> None:
    pixels = open_image_set("bundled[:4]").read(0, 4).permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "images.npz", pixels)
    np.savez(tmp_path / "both.npz", pixels, features=np.ones((4, 2)))
    for name in ("images.npz", "both.npz", "", "none.npz"):
        assert read_held(tmp_path / name, "inception") is None


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"fid": {"mu": MU}}, "sigma is no array"),
        ({"fid": {"mu": MU, "sigma": "text"}}, "sigma is no array"),
        ({"fid": MU}, "mu is no array"),
        ({"fid": {"mu": MU > 0, "sigma": SIGMA}}, "mu holds no real numbers"),
        ({"fid": {"mu": MU, "sigma": SIGMA[:3]}}, "do not belong together"),
        ({"fid": {"mu": MU * np.nan, "sigma": SIGMA}}, "holds NaN"),
        ({"other": 1}, "holds statistics of no detector, not of inception"),
        ([1, 2], "holds no statistics"),
        ({"fid": {"mu": print, "sigma": SIGMA}}, "asks for 'builtins.print'"),
    ],
)
@pytest.mark.parametrize("name", ["a.pkl", "a.pt"])
def test_bad_pickles_are_one_line(tmp_path: Path, name: str, held: Any, said: str) -> None:
    if name == "a.pkl":
        (tmp_path / name).write_bytes(pickle.dumps(held))
    else:
        torch.save(held, tmp_path / name)
    with pytest.raises(GenbenchError, match=said.replace("builtins", "_?_?builtins?_?_?")) as error:
        read_held(tmp_path / name, "inception")
    assert len(str(error.value).splitlines()) == 1


def test_a_sigma_must_be_a_covariance(tmp_path: Path) -> None:
    skew = SIGMA.copy()
    skew[0, 1] += 1
    values, vectors = np.linalg.eigh(SIGMA)
    below = (vectors * np.r_[-0.01, values[1:]]) @ vectors.T
    for sigma, said in ((skew, "is not symmetric"), (below, "has eigenvalues below 0")):
        write_edm(tmp_path / "bad.npz", MU, sigma)
        with pytest.raises(GenbenchError, match=said):
            read_held(tmp_path / "bad.npz", "inception")
    few = np.random.default_rng(0).normal(size=(4, 200))  # singular, and rounded
    for kind, scale in ((np.float64, 1), (np.float32, 1), (np.float16, 1), (np.float64, 1e150)):
        sigma = (np.cov(few, rowvar=False) * scale).astype(kind)
        checked_pair(tmp_path, np.zeros(200), sigma)
    checked_pair(tmp_path, np.zeros(3), np.zeros((3, 3)))  # of equal images
