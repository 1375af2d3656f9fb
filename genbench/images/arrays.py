"""Images that a program holds: an array, a tensor, or an iterator of batches of either."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.sets import ImageSet, Labels, to_channels_first
from genbench.runtime.files import write_error

Batch = Tensor | NDArray[Any]


class ArrayImages(ImageSet):
    """Images of an array uint8 [N, H, W, 3], which may lie on a disk.

    labels: int64 [N]. Raises GenbenchError for other shapes and types.
    """

    def __init__(self, pictures: NDArray[Any], name: str, labels: Any = None) -> None:
        self._pictures, self.name = pictures, name
        self.size = (int(pictures.shape[1]), int(pictures.shape[2]))
        self.labels = _labels(labels, len(pictures), name)

    def __len__(self) -> int:
        return len(self._pictures)

    def read(self, start: int, stop: int) -> Tensor:
        """As `ImageSet.read`: contiguous uint8 [stop - start, 3, H, W]."""
        return to_channels_first(np.asarray(self._pictures[start:stop]))

    def content_digest(self) -> str:
        """As `digest_of_images`."""
        return digest_of_images(
            (hashlib.sha256(picture.transpose(2, 0, 1).tobytes()).digest()
             for picture in self._pictures), self.size,
        )  # fmt: skip


def digest_of_images(each: Iterable[bytes], size: tuple[int, int]) -> str:
    """What names images of a size (H, W) that come without a file: the SHA-256 (hex) of the size
    and of every image's own SHA-256, in order. So whoever sees them in batches, and keeps none, can
    name them too. each: of an image's bytes in the order channel, row, column."""
    total = hashlib.sha256(f"uint8 {size[0]} {size[1]}\n".encode())
    for digest in each:
        total.update(digest)
    return total.hexdigest()


def images_of(given: Batch | Iterable[Batch], *, name: str, labels: Any = None) -> ArrayImages:
    """Images uint8, [N, 3, H, W] or [N, H, W, 3]: whole, or an iterator of batches.

    An iterator is read once, into a temporary file that vanishes with the set, so that its images
    need not fit into memory. labels: int64 [N]. Raises GenbenchError for images of another type,
    shape or size, and for none at all.
    """
    if not isinstance(given, Iterable):
        raise GenbenchError(
            f"{name}: a {type(given).__name__} holds no images: pass an array or a tensor uint8 "
            "[N, 3, H, W], an iterator of such batches, or the name of a folder or file"
        )
    if isinstance(given, Tensor | np.ndarray):
        # A copy: the set's digest must be that of its pixels whatever becomes of the array.
        return ArrayImages(_channels_last(given, name).copy(), name, labels)
    return ArrayImages(_spooled(given, name), name, labels)


def _spooled(batches: Iterable[Batch], name: str) -> NDArray[Any]:
    """The batches of an iterator as one array uint8 [N, H, W, 3] in a file without a name."""
    count, shape = 0, (0, 0, 3)
    with tempfile.TemporaryFile(prefix="genbench-") as file:
        try:
            for batch in batches:
                pictures = _channels_last(batch, name)
                if count and pictures.shape[1:] != shape:
                    raise GenbenchError(
                        f"{name}: a batch holds images {list(pictures.shape[1:])} after images "
                        f"{list(shape)}: bring all to one size"
                    )
                shape = (pictures.shape[1], pictures.shape[2], 3)
                file.write(np.ascontiguousarray(pictures).tobytes())
                count += len(pictures)
            file.flush()
        except OSError as error:
            raise write_error(Path(tempfile.gettempdir()), error) from error
        if not count:
            raise GenbenchError(f"{name} gave no images: pass at least one batch")
        return np.memmap(file, np.uint8, mode="r", shape=(count, *shape))  # keeps the file open


def _channels_last(batch: object, name: str) -> NDArray[Any]:
    """A batch as uint8 [N, H, W, 3]."""
    if isinstance(batch, Tensor):
        batch = batch.detach().cpu().numpy()
    if not isinstance(batch, np.ndarray):
        raise GenbenchError(
            f"{name} gave a {type(batch).__name__}, not a batch of images: pass tensors or arrays, "
            "without labels beside them"
        )
    if not batch.size:
        raise GenbenchError(f"{name} holds no images (an array {list(batch.shape)}): pass some")
    if batch.dtype != np.uint8:
        raise GenbenchError(f"{name} holds {batch.dtype} images, not uint8: {_remedy(batch)}")
    if batch.ndim == 4 and batch.shape[1] == 3 and batch.shape[3] != 3:
        return batch.transpose(0, 2, 3, 1)
    if batch.ndim == 4 and batch.shape[3] == 3 and min(batch.shape[1:3]) > 0:
        return batch
    raise GenbenchError(
        f"{name} holds an array {list(batch.shape)}: images are [N, 3, H, W] or [N, H, W, 3]"
    )


def _remedy(batch: NDArray[Any]) -> str:
    """How images of this range become uint8."""
    if batch.dtype.kind != "f" or not np.isfinite(batch).all():
        return "make them uint8, 0 … 255"
    if batch.min() < 0:
        return "genbench.to_uint8 rounds images in [-1, 1]"
    if batch.max() <= 1:
        return "these lie in [0, 1]; genbench.to_uint8(2 * x - 1) rounds them"
    return "these lie in 0 … 255; round and convert them"


def _labels(given: Any, count: int, name: str) -> Labels | None:
    if given is None:
        return None
    labels = np.asarray(given.cpu() if isinstance(given, Tensor) else given)
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise GenbenchError(
            f"the labels of {name} are {labels.dtype} {list(labels.shape)}: give one whole number "
            f"for each of the {count} images"
        )
    return labels.astype(np.int64)
