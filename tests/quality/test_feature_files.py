"""Features from files: written by `ref`, read in others' forms, refused where they mislead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from strangers import error_line, genbench
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.opening import open_image_set
from genbench.quality.feature_files import read_features
from genbench.quality.reference_files import export_reference
from genbench.runtime.distributed import World
from genbench.runtime.progress import SilentReporter

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(40, 5))


class Corners:
    """A detector of two layers: single pixels."""

    name = "efficientnet-lite0"
    layers: Mapping[str, int] = {"pool": 3, "logits": 2}
    identity: Mapping[str, str] = {"weights_sha256": "none"}

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        values = images.to(torch.float32)
        return {"pool": values[:, :, 0, 0], "logits": values[:, :2, -1, -1]}


def test_ref_writes_the_features_of_every_layer(tmp_path: Path) -> None:
    images = open_image_set("bundled[:70]")
    out = tmp_path / "features.npz"
    export_reference(
        images, Corners(), out, form="features", cache=tmp_path, world=World(),
        reporter=SilentReporter(),
    )  # fmt: skip
    found = read_features(out)
    assert {name: rows.shape for name, rows in found.items()} == {
        "features": (70, 3), "logits": (70, 2),
    }  # fmt: skip
    own = torch.cat(list(images))[:, :, 0, 0].numpy()
    np.testing.assert_array_equal(found["features"], own)


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS * 1e200, "scale all sets alike"),
        (ROWS + 1e9, "take an offset off"),
        (np.zeros((40, 0)), "must be float"),
        (np.full((40, 5), np.nan), "leave such rows out"),
    ],
)
def test_features_that_mislead_are_refused(tmp_path: Path, rows: Any, said: str) -> None:
    with pytest.raises(GenbenchError, match=said):
        read_features(save(tmp_path / "f.npz", features=rows))


def test_narrow_and_wide_numbers_are_read_as_float32(tmp_path: Path) -> None:
    for kind in (np.float16, np.float32, np.float64):
        rows = ROWS.astype(kind)
        found = read_features(save(tmp_path / "f.npz", features=rows))["features"]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, rows.astype(np.float32))


def test_tensors_that_are_no_rows_of_numbers_are_refused(tmp_path: Path) -> None:
    tensor = torch.from_numpy(ROWS).float()
    for name, held, said in (
        ("sparse", tensor.to_sparse(), "sparse"),
        ("grown", torch.zeros(1).expand(1000, 1000), "larger than its data"),
        ("whole", torch.ones(3, 3, dtype=torch.int64), "not a dense one"),
        ("several", {"a": tensor}, "not one tensor"),
    ):
        path = tmp_path / f"{name}.pt"
        torch.save(held, path)
        with pytest.raises(GenbenchError, match=said):
            read_features(path)


@pytest.mark.parametrize("metric", ["p_precision", "fd", "copies", "ct"])
def test_sets_of_other_widths_are_told_before_any_metric(tmp_path: Path, metric: str) -> None:
    own = save(tmp_path / "own.npz", features=ROWS)
    other = save(tmp_path / "other.npz", features=ROWS[:, :3])
    for reference, training in ((other, own), (own, other)):
        done = genbench("fid", "--features", own, "--ref-features", reference, "--train", training,
                        "--metric", metric)  # fmt: skip
        assert "use features of the same detector" in error_line(done)


def test_one_metric_that_cannot_be_had_spares_the_others(tmp_path: Path) -> None:
    constant = ROWS.copy()
    constant[:, 0] = 1
    own, held = (save(tmp_path / f"{name}.npz", features=rows)
                 for name, rows in (("own", ROWS), ("held", constant)))  # fmt: skip
    words = ("fid", "--features", own, "--ref-features", held, "--train", own, "--json",
             "--records", tmp_path / "r.jsonl")  # fmt: skip
    done = genbench(*words, "--metric", "authpct", "--metric", "fld")
    assert done.returncode == 0
    assert '"metric": "authpct"' in done.stdout
    assert "fld at 40 samples left out" in done.stderr
    assert "constant" in error_line(genbench(*words, "--metric", "fld"))
