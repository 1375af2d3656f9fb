"""`genbench fid --train`: samples beside the images that the model learned from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from strangers import error_line, genbench

from genbench.metrics.catalogue import METRICS
from genbench.metrics.settings import NeighbourSettings
from genbench.records.protocols import EvalProtocol

KEYS = ("authpct", "copies", "ct", "fld", "fls", "ct_test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features: 300 of training images, 200 held out, and samples, half of them copies."""
    made = tmp_path_factory.mktemp("features")
    rows = np.random.default_rng(0).normal(size=(700, 12)).astype(np.float32)
    samples = np.concatenate([rows[:100] + 1e-4, rows[600:]])
    for name, part in {"train": rows[:300], "held": rows[300:500], "samples": samples}.items():
        np.savez(made / f"{name}.npz", features=part)
    return made


def test_half_of_the_samples_are_copies(folder: Path) -> None:
    pytest.importorskip("sklearn")
    words: list[str | Path] = [
        *("fid", "--features", folder / "samples.npz", "--ref-features", folder / "held.npz"),
        *("--train", folder / "train.npz", "--json", "--records", folder / "r.jsonl", "--ci"),
        *(word for key in KEYS for word in ("--metric", key)),
    ]
    run = genbench(*words)
    assert run.returncode == 0, run.stderr
    records = {item["metric"]: item for item in map(json.loads, run.stdout.splitlines())}
    assert list(records) == list(KEYS)
    assert records["copies"]["value"] == pytest.approx(0.5, abs=0.02)
    assert records["authpct"]["value"] < 50
    assert records["ct"]["value"] < -3 < records["ct_test"]["value"]
    for key, record in records.items():
        learned = record["training"], bool(record["training_digest"])
        assert learned == (("", False) if key == "ct_test" else ("train.npz", True))
    assert records["authpct"]["reference"] == ""
    assert records["copies"]["settings"] == {"kind": "nearest", "share": 0.01}


def test_images_and_their_copies(tmp_path: Path) -> None:
    words = ("--protocol", "bundled", "--metric", "authpct", "--cache", tmp_path)
    images = ("bundled[:20]", "bundled[20:30]", "--train", "bundled[:40]")
    run = genbench("fid", *images, *words, "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["value"] == 0
    assert "training images bundled[0:40] [" in genbench("fid", *images, *words).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "pass --train FILE, their features"),
        (("--train", "train.npz"), "100.0% of the reference's images are training images"),
    ],
)
def test_what_is_missing_is_one_line(folder: Path, words: tuple[str, ...], said: str) -> None:
    run = genbench(
        *("fid", "--features", "samples.npz", "--ref-features", "train.npz", "--metric", "copies"),
        *words, cwd=folder,
    )  # fmt: skip
    assert said in error_line(run)


def test_the_rims_and_rows_of_a_protocol_are_on_record() -> None:
    strict = EvalProtocol(name="x", neighbours_strict=True, neighbour_rows=10_000, pr_neighbours=5)
    expected = NeighbourSettings(neighbours=5, strict=True, rows=10_000)
    assert METRICS["recall"].settings(strict) == expected
    assert strict.digest() != EvalProtocol(name="x", pr_neighbours=5).digest()
