"""Image sets: one lazy, sized iterable of uint8 N3HW batches over every format."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.runtime.spans import spans

Labels = NDArray[np.int64]
_BATCH = 64


class ImageSet(ABC):
    """Images of one size, by index.

    name: short, for tables. size: (H, W). labels: int64 [N], or None. class_names: a name for each
    label, or empty. Iterating gives batches of 64.
    """

    name: str
    size: tuple[int, int]
    labels: Labels | None = None
    class_names: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, start: int, stop: int) -> Tensor:
        """Images start … stop-1 as contiguous uint8 [stop - start, 3, H, W], RGB, 0 … 255.

        Raises GenbenchError naming the file that cannot be read.
        """

    @abstractmethod
    def content_digest(self) -> str:
        """SHA-256 (hex) of what decides the pixels, wherever it lies; read in a stream."""

    def digest(self) -> str:
        """`content_digest`, computed once."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return self.content_digest()

    def __iter__(self) -> Iterator[Tensor]:
        return batches(self, 0, len(self), _BATCH)

    def __repr__(self) -> str:
        height, width = self.size
        return f"<{self.name}: {len(self):,} images {height}×{width}>"


class Part(ImageSet):
    """Every `step`th of images start … stop-1 of another set."""

    def __init__(self, whole: ImageSet, start: int, stop: int, step: int = 1) -> None:
        self.whole, self.chosen = whole, range(start, stop, step)
        self.span = f"[{start}:{stop}]" if step == 1 else f"[{start}:{stop}:{step}]"
        self.name = f"{whole.name}{self.span}"
        self.size = whole.size
        self.labels = None if whole.labels is None else whole.labels[start:stop:step]
        self.class_names = whole.class_names

    def __len__(self) -> int:
        return len(self.chosen)

    def read(self, start: int, stop: int) -> Tensor:
        """As `ImageSet.read`, counted from the part's beginning."""
        chosen = self.chosen[start:stop]
        if self.chosen.step == 1:
            return self.whole.read(chosen.start, chosen.stop)
        return torch.cat([self.whole.read(index, index + 1) for index in chosen])

    def content_digest(self) -> str:
        """Digest of the whole set's content and the span."""
        return _combined(self.whole.digest(), self.span)


class Resized(ImageSet):
    """A set of one size brought to another; folders and zips resize while they decode instead."""

    def __init__(self, whole: ImageSet, crop: str, resolution: int) -> None:
        self.whole, self.crop, self.resolution = whole, crop, resolution
        self.name = whole.name
        self.size = (resolution, resolution)
        self.labels, self.class_names = whole.labels, whole.class_names

    def __len__(self) -> int:
        return len(self.whole)

    def read(self, start: int, stop: int) -> Tensor:
        """As `ImageSet.read`."""
        from PIL import Image

        from genbench.images.crops import cropped

        pictures = self.whole.read(start, stop).permute(0, 2, 3, 1).numpy()
        resized = [
            np.asarray(cropped(Image.fromarray(picture), self.crop, self.resolution))
            for picture in pictures
        ]
        return to_channels_first(np.stack(resized))

    def content_digest(self) -> str:
        """Digest of the whole set's content and the transform."""
        return _combined(self.whole.digest(), f"{self.crop} {self.resolution}")


def _combined(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def to_channels_first(pictures: NDArray[np.uint8]) -> Tensor:
    """uint8 [N, H, W, 3] -> contiguous uint8 [N, 3, H, W], always a copy."""
    return torch.from_numpy(np.array(pictures.transpose(0, 3, 1, 2), order="C"))


def batches(images: ImageSet, start: int, stop: int, size: int, ahead: int = 4) -> Iterator[Tensor]:
    """Images start … stop-1 in batches of `size`, uint8 [n, 3, H, W], at most `ahead` of them read
    in advance; the last one may be shorter.

    Reading happens in another thread, which ends when the iterator is closed, exhausted or dropped.
    Raises GenbenchError for images that the set does not have, and what `ImageSet.read` raises.
    """
    if not 0 <= start <= stop <= len(images):
        raise GenbenchError(
            f"images {start} to {stop} of {images.name} were asked for, which holds {len(images)}: "
            "ask for fewer"
        )
    ahead = max(1, ahead)
    cut = spans(start, stop, size)
    pool = ThreadPoolExecutor(1, thread_name_prefix="genbench-read")
    try:
        waiting = [pool.submit(images.read, *span) for span in cut[:ahead]]
        for position in range(len(cut)):
            batch = waiting.pop(0).result()
            following = position + ahead
            if following < len(cut):
                waiting.append(pool.submit(images.read, *cut[following]))
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
