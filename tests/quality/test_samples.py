"""`genbench sample` and `genbench ref`, and Inception's three layers through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from strangers import error_line, genbench

TOY = ("sample", "--model", "toy", "--res", "32")


def figures(*words: str | Path, cache: Path) -> dict[str, dict[str, Any]]:
    run = genbench("fid", *words, "--json", "--cache", cache, "--records", cache / "records")
    assert run.returncode == 0, run.stderr
    records = [json.loads(line) for line in run.stdout.splitlines()]
    return {record["metric"]: record for record in records}


def test_samples_are_an_adm_batch_and_any_batch_size_draws_them(tmp_path: Path) -> None:
    for name, size in (("a", "3"), ("b", "64")):
        words = ("-n", "40", "--batch-size", size, "--out", tmp_path / f"{name}.npz")
        run = genbench(*TOY, *words, "--cache", tmp_path / name)
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["arr_0"].shape == (40, 32, 32, 3)
        assert file["arr_0"].dtype == np.uint8
        assert file["arr_1"].shape == (40,)
    prefix = genbench(*TOY, "-n", "10", "--out", tmp_path / "c.npz", "--cache", tmp_path / "c")
    assert prefix.returncode == 0
    with np.load(tmp_path / "a.npz") as long, np.load(tmp_path / "c.npz") as short:
        assert np.array_equal(long["arr_0"][:10], short["arr_0"])
        assert np.array_equal(long["arr_1"][:10], short["arr_1"])


def test_balanced_labels_seeds_and_options_change_the_samples(tmp_path: Path) -> None:
    def drawn(*words: str) -> Any:
        out = tmp_path / "x.npz"
        run = genbench(*TOY, "-n", "20", *words, "--out", out, "--cache", tmp_path)
        assert run.returncode == 0, run.stderr
        with np.load(out) as file:
            return file["arr_0"].copy(), file["arr_1"].copy()

    images, _ = drawn()
    assert drawn("--labels", "balanced")[1].tolist() == [*range(10), *range(10)]
    assert not np.array_equal(drawn("--seed", "1")[0], images)
    assert not np.array_equal(drawn("--contrast", "0.1")[0], images)
    assert np.array_equal(drawn()[0], images)


def test_folders_and_grids(tmp_path: Path) -> None:
    for out in ("folder", "grid.png"):
        run = genbench(*TOY, "-n", "9", "--out", tmp_path / out, "--cache", tmp_path / "cache")
        assert run.returncode == 0, run.stderr
    assert len(list((tmp_path / "folder").iterdir())) == 9
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (3 * 64, 3 * 64)
    again = genbench(*TOY, "-n", "9", "--out", tmp_path / "folder", "--cache", tmp_path / "cache")
    assert "already there" in error_line(again)


def test_sampling_killed_at_any_moment_resumes(tmp_path: Path) -> None:
    """Shards of the first run are kept: their times of writing do not change."""
    words = [*TOY, "-n", "2000", "--batch-size", "8", "--cache", str(tmp_path / "cache")]
    process = subprocess.Popen(
        [sys.executable, "-m", "genbench", *words, "--out", str(tmp_path / "x.npz")]
    )
    while process.poll() is None and not list((tmp_path / "cache").rglob("*images.npz")):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "x.npz").exists()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*images.npz")}
    assert before
    run = genbench(*words, "--out", tmp_path / "x.npz")
    assert run.returncode == 0, run.stderr
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    calm = genbench(*TOY, "-n", "2000", "--cache", tmp_path / "calm", "--out", tmp_path / "y.npz")
    assert calm.returncode == 0
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()


def test_a_written_reference_gives_the_figures_of_its_images(tmp_path: Path) -> None:
    offline = ("--detector", "efficientnet-lite0")
    run = genbench(
        "ref", "bundled[:150]", "--out", tmp_path / "ref.npz", *offline, "--cache", tmp_path
    )
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "ref.npz", allow_pickle=False) as file:
        assert file["arr_0"].shape == (150, 32, 32, 3)
        assert (file["mu"].dtype, file["sigma"].shape) == (np.float64, (1280, 1280))
    words = ("--samples", "bundled[150:300]", "--protocol", "bundled")
    from_file = figures(*words, "--ref", tmp_path / "ref.npz", cache=tmp_path)
    from_images = figures(*words, "--ref", "bundled[:150]", cache=tmp_path)
    for metric in ("precision", "recall", "coverage"):
        assert from_file[metric]["value"] == from_images[metric]["value"]
    assert from_file["fd"]["value"] == pytest.approx(from_images["fd"]["value"], rel=1e-9)


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the published file's format: the code path is real, the figures are not."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    original = torch.load
    torch.manual_seed(0)
    try:
        torch.load = lambda *_, **__: {}
        FeatureExtractorInceptionV3.load_state_dict = lambda self, state: None
        network = FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path="none")
    finally:
        torch.load = original
        del FeatureExtractorInceptionV3.load_state_dict
    torch.save(network.state_dict(), path)
    return path


def test_inception_figures_are_called_fid_and_statistics_spare_the_images(
    inception: Path, tmp_path: Path
) -> None:
    weights = ("--detector-weights", inception, "--cache", tmp_path)
    run = genbench("ref", "bundled[:30]", "--out", tmp_path / "ref.npz", *weights)
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "ref.npz") as file:
        assert file["mu"].shape == (2048,)
        assert file["mu_s"].shape == (2023,)
    # As ADM's files: no word about the detector, extra keys, statistics alone.
    with np.load(tmp_path / "ref.npz") as file:
        kept = {name: file[name] for name in ("mu", "sigma", "mu_s", "sigma_s")}
        np.savez(tmp_path / "virtual.npz", mu_clip=np.zeros(3), **kept)
    metrics = ("--metric", "fid", "--metric", "sfid", "--metric", "is")
    found = figures(
        *("--samples", "bundled[30:60]", "--ref", tmp_path / "virtual.npz", *metrics),
        *weights[:2],
        cache=tmp_path,
    )
    assert set(found) == {"fid", "sfid", "is"}
    assert found["fid"]["value"] > 0
    assert found["is"]["value"] >= 1
    assert any("not the published weights" in note for note in found["fid"]["notes"])
    images = ("--samples", "bundled[30:60]", "--ref", "bundled[:30]", *metrics, *weights[:2])
    for metric, record in figures(*images, cache=tmp_path).items():
        assert record["value"] == pytest.approx(found[metric]["value"], rel=1e-6)
    needs_images = ("--samples", "bundled[30:60]", "--ref", tmp_path / "virtual.npz")
    run = genbench("fid", *needs_images, "--metric", "precision", *weights)
    assert "no images" in error_line(run)
