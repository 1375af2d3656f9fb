"""Image sets by name: the bundled reference and Fashion-MNIST.

python -m genbench.images.datasets OUT.npz   makes the bundled file from Fashion-MNIST's test images
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import socket
import sys
import threading
import urllib.request
import zlib
from contextlib import redirect_stdout, suppress
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.npz import opened_npz
from genbench.images.sets import ImageSet, Labels
from genbench.runtime.files import replacing
from genbench.runtime.folders import cache_folder

NAMED = ("bundled", "fashion-mnist:test", "fashion-mnist:train")
_BUNDLED = "fashion-mnist-test.npz"
_DIGEST = {  # of the published pixels and labels, see _digest_of
    "test": "0ea386c52b04daa92b1c8deb8b68f67d61d9649f279bd287b9e21d734e22c704",
    "train": "04dc2c3bab738c6594ffc4e5b47a47efbf128bb16da9b232defce2e74d35fb49",
}
_CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
_SYSTEM = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist
_PREFIX = {"test": "t10k", "train": "train"}
_VARIABLE = "GENBENCH_FASHION_MNIST"
_CONNECT_SECONDS = 3.0  # without a network the error comes in under 5 s
_STALL_SECONDS = 30.0
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
    """The image set of a name in NAMED, its content checked against the published one.

    Raises GenbenchError saying how to get Fashion-MNIST, or what is wrong with the files found.
    """
    if name == "bundled":
        with as_file(files("genbench") / "data" / _BUNDLED) as path:
            with opened_npz(path), np.load(path, allow_pickle=False) as file:
                grey, labels = file["images"], file["labels"].astype(np.int64)
            if _digest_of(grey, labels) != _DIGEST["test"]:
                raise GenbenchError(f"{path} is not the file that was shipped: reinstall genbench")
        return GreyImages(name, grey, labels)
    split = name.split(":")[1]
    folder = _fashion_mnist_folder(split)
    grey = _idx(folder, _file_name(split, "images-idx3"), 16)
    labels = _idx(folder, _file_name(split, "labels-idx1"), 8).astype(np.int64)
    if grey.size % _PIXELS**2 == 0:
        grey = grey.reshape(-1, _PIXELS, _PIXELS)
    if _digest_of(grey, labels) != _DIGEST[split]:
        raise GenbenchError(
            f"{folder} holds other {split} images than the published Fashion-MNIST: copy it again"
        )
    return GreyImages(name, grey, labels)


def _file_name(split: str, kind: str) -> str:
    return f"{_PREFIX[split]}-{kind}-ubyte.gz"


def _fashion_mnist_folder(split: str) -> Path:
    wanted = _file_name(split, "images-idx3")
    if named := os.environ.get(_VARIABLE):
        if (Path(named) / wanted).exists():
            return Path(named)
        raise GenbenchError(f"{_VARIABLE}={named} holds no {wanted}: correct it")
    downloaded = cache_folder() / "FashionMNIST" / "raw"
    for folder in (_SYSTEM, downloaded):
        if (folder / wanted).exists():
            return folder
    _download(downloaded)
    return downloaded


def _download(target: Path) -> None:
    """Fetch the four files with torchvision, which verifies them; the folder appears whole."""
    from torchvision.datasets import FashionMNIST

    patience = socket.getdefaulttimeout()
    try:
        _check_reachable(FashionMNIST.mirrors[0])
        socket.setdefaulttimeout(_STALL_SECONDS)  # torchvision sets none
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent) as temporary, redirect_stdout(sys.stderr):
            FashionMNIST(temporary, download=True)
            with suppress(OSError):  # another process was faster
                os.replace(Path(temporary) / "FashionMNIST" / "raw", target)
        if not target.exists():
            raise OSError(f"{target} cannot be written")
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split())
        raise GenbenchError(
            f"Fashion-MNIST is not here and cannot be downloaded ({reason}): install the Debian "
            "package dataset-fashion-mnist, or name a folder with its four .gz files in "
            f"{_VARIABLE}; the set `bundled` (its test images) needs neither"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)


def _check_reachable(url: str) -> None:
    """Raise OSError within _CONNECT_SECONDS when the host does not answer.

    Looking up a name can hang for long and cannot be interrupted, so it happens beside.
    """
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get("http")
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    address = (parts.hostname or "", parts.port or 80)
    failure = [f"{address[0]} does not answer"]

    def probe() -> None:
        try:
            socket.create_connection(address, timeout=_CONNECT_SECONDS - 0.5).close()
            failure.clear()
        except OSError as error:
            failure[:] = [f"{address[0]}: {error.strerror or error}"]

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(_CONNECT_SECONDS)
    if failure:
        raise OSError(failure[0])


def _idx(folder: Path, name: str, skip: int) -> NDArray[np.uint8]:
    try:
        with gzip.open(folder / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=skip).copy()
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise GenbenchError(f"{folder / name} cannot be read ({error}): copy it again") from error


def _make_bundled(out: Path) -> None:
    images = open_named("fashion-mnist:test")
    labels = np.asarray(images.labels)
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, images=images._grey, labels=labels.astype(np.uint8))
    print(out, images.digest())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m genbench.images.datasets OUT.npz")
    try:
        _make_bundled(Path(sys.argv[1]))
    except GenbenchError as error:
        sys.exit(f"error: {error}")
