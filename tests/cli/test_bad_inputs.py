"""Every bad input gives one line that says what is wrong and what to do, and a non-zero exit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from strangers import error_line, genbench

OFFLINE = ("--protocol", "bundled", "--ref", "bundled[:60]")


class Marker:
    """Pickles to something that would leave a file behind if it were ever loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str, str], object], tuple[str, str]]:
        return open, (str(self.path), "w")


def pictures(folder: Path, count: int = 4, size: int = 32) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        grey = np.full((size, size, 3), number * 20, np.uint8)
        Image.fromarray(grey).save(folder / f"{number}.png")
    return folder


def missing(path: Path) -> Path:
    return path / "nothing.npz"


def not_a_zip(path: Path) -> Path:
    (path / "x.npz").write_bytes(b"this is no zip archive" * 10)
    return path / "x.npz"


def pickled(path: Path) -> Path:
    objects = np.array([Marker(path / "loaded")], dtype=object)
    np.savez(path / "x.npz", arr_0=objects)
    return path / "x.npz"


def not_numbers(path: Path) -> Path:
    np.savez(path / "x.npz", np.full((4, 32, 32, 3), np.nan, np.float32))
    return path / "x.npz"


def channels_first(path: Path) -> Path:
    np.savez(path / "x.npz", np.zeros((4, 3, 32, 32), np.uint8))
    return path / "x.npz"


def empty_npz(path: Path) -> Path:
    np.savez(path / "x.npz", np.zeros((0, 32, 32, 3), np.uint8))
    return path / "x.npz"


def half_an_npz(path: Path) -> Path:
    np.savez(path / "whole.npz", np.zeros((40, 32, 32, 3), np.uint8))
    (path / "x.npz").write_bytes((path / "whole.npz").read_bytes()[:3000])
    return path / "x.npz"


def empty_folder(path: Path) -> Path:
    (path / "empty").mkdir()
    return path / "empty"


def mixed_sizes(path: Path) -> Path:
    folder = pictures(path / "mixed")
    Image.new("RGB", (16, 16)).save(folder / "small.png")
    return folder


def truncated_image(path: Path) -> Path:
    folder = pictures(path / "cut")
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(folder / "9.png")
    (folder / "9.png").write_bytes((folder / "9.png").read_bytes()[:900])
    return folder


def text_as_image(path: Path) -> Path:
    folder = pictures(path / "text")
    (folder / "9.png").write_text("not an image")
    return folder


def see_through(path: Path) -> Path:
    folder = pictures(path / "glass")
    Image.new("RGBA", (32, 32), (255, 0, 0, 100)).save(folder / "9.png")
    return folder


BAD_SAMPLES: dict[Callable[[Path], Path], str] = {
    missing: "nothing.npz",
    not_a_zip: "x.npz",
    pickled: "object",
    not_numbers: "float32",
    channels_first: "NHWC",
    empty_npz: "x.npz",
    half_an_npz: "x.npz",
    empty_folder: "empty",
    mixed_sizes: "small.png",
    truncated_image: "9.png",
    text_as_image: "9.png",
    see_through: "9.png",
}


@pytest.mark.parametrize("make", BAD_SAMPLES, ids=lambda make: make.__name__)
def test_bad_samples(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)
    words = ("fid", "--samples", path, *OFFLINE, "--cache", tmp_path / "cache", "--metric", "fd")
    line = error_line(genbench(*words, "--records", tmp_path / "records.jsonl"))
    assert BAD_SAMPLES[make] in line
    assert len(line) < 500
    assert not (tmp_path / "loaded").exists()
    assert not (tmp_path / "records.jsonl").exists()


def test_wrong_resolution_names_the_remedy(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "large", size=48)
    words = ("fid", "--samples", folder, *OFFLINE, "--cache", tmp_path / "c")
    assert "--crop" in error_line(genbench(*words))


def test_missing_inception_weights_stop_at_once(tmp_path: Path) -> None:
    start = time.perf_counter()
    run = genbench(
        *("fid", "--samples", "bundled[:60]", "--ref", "bundled[60:120]", "--cache", tmp_path),
        TORCH_HOME=str(tmp_path), GENBENCH_CACHE=str(tmp_path),
        https_proxy="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9",
    )  # fmt: skip
    line = error_line(run)
    assert time.perf_counter() - start < 15  # start-up on a busy machine included
    assert "weights-inception-2015-12-05-6726825d.pth" in line
    assert "github.com/toshas/torch-fidelity" in line
    assert str(tmp_path) in line
    assert "efficientnet-lite0" in line


def test_missing_published_reference_names_its_address(tmp_path: Path) -> None:
    words = ("fid", "--samples", "bundled[:60]", "--protocol", "adm-imagenet64", "--crop", "resize")
    offline = ("--detector", "efficientnet-lite0", "--metric", "fd")
    line = error_line(genbench(*words, *offline, GENBENCH_CACHE=str(tmp_path)))
    assert "VIRTUAL_imagenet64_labeled.npz" in line
    assert "https://" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("fid",), "--samples"),
        (("fid", "--samples", "bundled", "--model", "toy"), "one of"),
        (("fid", "--samples", "bundled[:60]"), "--ref"),
        (("fid", "--features", "absent.npz", "--ref-features", "absent.npz"), "absent.npz"),
        (("fid", "--model", "toy", *OFFLINE, "-n", "0"), "-n 0"),
        (("fid", "--model", "toy", *OFFLINE, "--metric", "sfid", "-n", "60"), "spatial"),
        (("fid", "--model", "toy", *OFFLINE, "--metric", "kid", "-n", "60"), "1000"),
        (("fid", "--model", "toy", *OFFLINE, "--seed", "-1", "-n", "60"), "seed"),
        (("fid", "--model", "toy", *OFFLINE, "--dtype", "float8", "-n", "60"), "float8"),
        (("fid", "--model", "toy", *OFFLINE, "--device", "cuda:9", "-n", "60"), "cuda"),
        (("fid", "--model", "toy", *OFFLINE, "--device", "gpu", "-n", "60"), "gpu"),
        (("fid", "--model", "toy", *OFFLINE, "--checkpoint", "lost.pt", "-n", "60"), "lost.pt"),
        (("fid", "--model", "toy", *OFFLINE, "--res", "64", "-n", "60"), "64"),
        (("sample", "--model", "toy", "-n", "3", "--out", "x.gif"), "x.gif"),
        (("ref", "absent-folder", "--out", "r.npz"), "absent-folder"),
    ],
)
def test_bad_words(words: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    run = genbench(*words, cwd=tmp_path, GENBENCH_CACHE=str(tmp_path / "cache"))
    assert expected in error_line(run)


def test_records_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    words = ("fid", "--model", "toy", *OFFLINE, "-n", "60", "--metric", "fd")
    run = genbench(*words, "--cache", tmp_path / "c", "--records", tmp_path / "file" / "r.jsonl")
    assert "file" in error_line(run)


def test_features_that_do_not_fit_each_other(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=np.zeros((9, 4), np.float32))
    np.savez(tmp_path / "b.npz", features=np.zeros((9, 5), np.float32))
    np.savez(tmp_path / "nan.npz", features=np.full((9, 4), np.nan, np.float32))
    for other in ("b", "nan"):
        words = ("--features", tmp_path / "a.npz", "--ref-features", tmp_path / f"{other}.npz")
        line = error_line(genbench("fid", *words, "--metric", "fd"))
        assert f"{other}.npz" in line or "4" in line


def test_doctor_says_what_is_missing(tmp_path: Path) -> None:
    run = genbench("doctor", "--json", GENBENCH_CACHE=str(tmp_path), TORCH_HOME=str(tmp_path))
    assert run.returncode == 0, run.stderr
    found = {item["subject"]: item for item in map(json.loads, run.stdout.splitlines())}
    assert found["torch"]["good"]
    assert found["detector efficientnet-lite0"]["good"]
    assert not found["detector inception"]["good"]
    assert "github.com/toshas" in found["detector inception"]["text"]
    assert str(tmp_path) in found["cache"]["text"]
    assert found["model toy"]["good"]
