"""Image sets by name: the bundled reference and Fashion-MNIST.

python -m genbench.datasets OUT.npz     makes the bundled file from Fashion-MNIST's test images
"""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import zlib
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.core import GenbenchError
from genbench.images import ImageSet, Labels
from genbench.npz import opened_npz
from genbench.weights import cache_folder

NAMED = ("bundled", "fashion-mnist:test", "fashion-mnist:train")
_BUNDLED = "fashion-mnist-test.npz"
_DIGEST = "0ea386c52b04daa92b1c8deb8b68f67d61d9649f279bd287b9e21d734e22c704"
_CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
_SYSTEM = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist
_PREFIX = {"test": "t10k", "train": "train"}
_COUNT = {"test": 10_000, "train": 60_000}
_PIXELS, _BORDER = 28, 2


class GreyImages(ImageSet):
    """Grey images held in memory, 28x28, given out as RGB with a black border: 32x32."""

    def __init__(self, name: str, grey: NDArray[np.uint8], labels: Labels) -> None:
        self.name, self.labels, self.class_names = name, labels, _CLASSES
        self._grey = grey
        side = _PIXELS + 2 * _BORDER
        self.size = (side, side)

    def __len__(self) -> int:
        return len(self._grey)

    def read(self, start: int, stop: int) -> Tensor:
        """As `ImageSet.read`."""
        grey = torch.from_numpy(self._grey[start:stop])
        padded = torch.nn.functional.pad(grey, (_BORDER,) * 4)
        return padded[:, None].repeat(1, 3, 1, 1)

    def content_digest(self) -> str:
        """Digest of the grey images and labels; the same for `bundled` and `fashion-mnist:test`."""
        return _digest_of(self._grey, np.asarray(self.labels))


def _digest_of(grey: NDArray[np.uint8], labels: NDArray[np.int64]) -> str:
    hasher = hashlib.sha256(f"fashion-mnist {grey.shape}\n".encode())
    hasher.update(grey.tobytes())
    hasher.update(labels.astype("<i8").tobytes())
    return hasher.hexdigest()


def open_named(name: str) -> GreyImages:
    """The image set of a name in NAMED. Raises GenbenchError saying how to get Fashion-MNIST."""
    if name == "bundled":
        with as_file(files("genbench") / "data" / _BUNDLED) as path:
            with opened_npz(path), np.load(path, allow_pickle=False) as file:
                grey, labels = file["images"], file["labels"].astype(np.int64)
            if _digest_of(grey, labels) != _DIGEST:
                raise GenbenchError(f"{path} is not the file that was shipped: reinstall genbench")
        return GreyImages(name, grey, labels)
    split = name.split(":")[1]
    folder = _fashion_mnist_folder(split)
    grey = _idx(folder, f"{_PREFIX[split]}-images-idx3-ubyte.gz", 16)
    labels = _idx(folder, f"{_PREFIX[split]}-labels-idx1-ubyte.gz", 8).astype(np.int64)
    if grey.size != _COUNT[split] * _PIXELS**2 or labels.size != _COUNT[split]:
        raise GenbenchError(f"{folder} holds no whole Fashion-MNIST: copy it again")
    return GreyImages(name, grey.reshape(-1, _PIXELS, _PIXELS), labels)


def _fashion_mnist_folder(split: str) -> Path:
    wanted = f"{_PREFIX[split]}-images-idx3-ubyte.gz"
    if named := os.environ.get("GENBENCH_FASHION_MNIST"):
        if (Path(named) / wanted).exists():
            return Path(named)
        raise GenbenchError(f"GENBENCH_FASHION_MNIST={named} holds no {wanted}: correct it")
    downloaded = cache_folder() / "FashionMNIST" / "raw"
    for folder in (_SYSTEM, downloaded):
        if (folder / wanted).exists():
            return folder
    _download()
    return downloaded


def _download() -> None:
    import socket
    import urllib.error

    from torchvision.datasets import FashionMNIST

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(4.0)  # torchvision sets none, and a dead network must not hang us
    try:
        FashionMNIST(str(cache_folder()), download=True)
    except (RuntimeError, urllib.error.URLError, OSError) as error:
        raise GenbenchError(
            "Fashion-MNIST is not here and cannot be downloaded: install the Debian package "
            "dataset-fashion-mnist, or name a folder with its four .gz files in "
            "GENBENCH_FASHION_MNIST; the set `bundled` (its test images) needs neither"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _idx(folder: Path, name: str, skip: int) -> NDArray[np.uint8]:
    try:
        with gzip.open(folder / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=skip).copy()
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise GenbenchError(f"{folder / name} cannot be read ({error}): copy it again") from error


def _make_bundled(out: str) -> None:
    images = open_named("fashion-mnist:test")
    labels = np.asarray(images.labels)
    np.savez_compressed(out, images=images._grey, labels=labels.astype(np.uint8))
    print(out, images.digest())


if __name__ == "__main__":
    _make_bundled(sys.argv[1])
