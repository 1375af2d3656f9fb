"""The bundled reference and Fashion-MNIST: found, verified, fetched whole, or explained."""

from __future__ import annotations

import gzip
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench.errors import GenbenchError
from genbench.images import datasets
from genbench.images.opening import open_image_set

PLACES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def published(folder: Path, *, shift: int = 0, count: int = 10_000) -> Path:
    """The test half of Fashion-MNIST as published, made from the bundled set."""
    bundled = open_image_set("bundled")
    grey = bundled.read(0, count)[:, 0, 2:-2, 2:-2].numpy() + np.uint8(shift)
    labels = np.asarray(bundled.labels, np.uint8)[:count]
    folder.mkdir(parents=True, exist_ok=True)
    contents = (bytes(16) + grey.tobytes(), bytes(8) + labels.tobytes())
    for name, content in zip(PLACES, contents, strict=True):
        (folder / name).write_bytes(gzip.compress(content, 1))
    return folder


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without the Debian package and with an empty cache; returns the cache."""
    monkeypatch.setattr(datasets, "_SYSTEM", tmp_path / "absent")
    monkeypatch.delenv("GENBENCH_FASHION_MNIST", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_test_images_are_the_bundled_ones(tmp_path: Path, nowhere: Path) -> None:
    published(nowhere / "FashionMNIST" / "raw")
    bundled, images = open_image_set("bundled"), open_image_set("fashion-mnist:test")
    assert torch.equal(bundled.read(0, 10_000), images.read(0, 10_000))
    assert images.digest() == bundled.digest()
    assert np.array_equal(np.asarray(images.labels), np.asarray(bundled.labels))
    assert len(bundled.class_names) == 10


@pytest.mark.parametrize("change", [{"shift": 1}, {"count": 9000}])
def test_other_images_are_not_called_fashion_mnist(
    change: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBENCH_FASHION_MNIST", str(published(tmp_path / "f", **change)))
    with pytest.raises(GenbenchError, match="other test images than the published"):
        open_image_set("fashion-mnist:test")


def test_damaged_and_incomplete_copies_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = published(tmp_path / "f")
    monkeypatch.setenv("GENBENCH_FASHION_MNIST", str(folder))
    (folder / PLACES[1]).unlink()
    with pytest.raises(GenbenchError, match=PLACES[1]):
        open_image_set("fashion-mnist:test")
    (folder / PLACES[0]).write_bytes((folder / PLACES[0]).read_bytes()[:5000])
    with pytest.raises(GenbenchError, match=f"{PLACES[0]} cannot be read"):
        open_image_set("fashion-mnist:test")


def unknown_host(*_: object, **__: object) -> socket.socket:
    raise socket.gaierror(-2, "Name or service not known")


def hanging(*_: object, **__: object) -> socket.socket:
    time.sleep(30)
    raise TimeoutError


@pytest.mark.parametrize("connect", [unknown_host, hanging])
def test_no_network_is_said_in_five_seconds(
    connect: Callable[..., socket.socket], nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision  # noqa: F401  # its import is not what is timed

    monkeypatch.setattr(socket, "create_connection", connect)
    start = time.perf_counter()
    with pytest.raises(GenbenchError) as caught:
        open_image_set("fashion-mnist:train")
    assert time.perf_counter() - start < 5
    for words in ("dataset-fashion-mnist", "GENBENCH_FASHION_MNIST", "bundled"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert socket.getdefaulttimeout() is None
    assert not nowhere.exists()


def test_a_download_is_kept_whole(
    tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = published(tmp_path / "server")
    calls: list[str] = []

    class Mirror:
        mirrors = ("http://example.invalid/",)

        def __init__(self, root: str, download: bool) -> None:
            calls.append(root)
            assert socket.getdefaulttimeout() is not None  # a dead connection must not hang
            print("Downloading")  # as torchvision has done; standard output is for results
            raw = Path(root) / "FashionMNIST" / "raw"
            raw.mkdir(parents=True)
            shutil.copy(source / PLACES[0], raw)
            if len(calls) == 1:
                raise RuntimeError("the connection\nbroke")
            shutil.copy(source / PLACES[1], raw)

    monkeypatch.setattr("torchvision.datasets.FashionMNIST", Mirror)
    monkeypatch.setattr(datasets, "check_reachable", lambda url, seconds: None)
    with pytest.raises(GenbenchError, match="the connection broke"):
        open_image_set("fashion-mnist:test")
    assert not list(nowhere.rglob("*.gz"))
    assert socket.getdefaulttimeout() is None
    for _ in range(2):
        assert open_image_set("fashion-mnist:test").digest() == open_image_set("bundled").digest()
    assert len(calls) == 2  # the third opening found the copy
    assert [path.name for path in nowhere.iterdir()] == ["FashionMNIST"]


def test_the_bundled_file_is_made_again(
    tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBENCH_FASHION_MNIST", str(published(tmp_path / "f")))
    command = [sys.executable, str(Path(__file__).parents[2] / "benchmarks" / "bundled_images.py")]
    subprocess.run([*command, str(tmp_path / "again.npz")], check=True, capture_output=True)
    shipped = files("genbench") / "data" / "fashion-mnist-test.npz"
    with np.load(tmp_path / "again.npz") as again, np.load(str(shipped)) as first:
        assert again.files == first.files == ["images", "labels"]
        assert all(np.array_equal(again[name], first[name]) for name in first.files)


def test_an_altered_bundled_file_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(str(files("genbench") / "data" / "fashion-mnist-test.npz")) as shipped:
        grey, labels = shipped["images"], shipped["labels"]
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "fashion-mnist-test.npz", images=grey ^ 1, labels=labels)
    monkeypatch.setattr(datasets, "files", lambda package: tmp_path)
    with pytest.raises(GenbenchError, match="reinstall genbench"):
        open_image_set("bundled")
