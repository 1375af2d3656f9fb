"""Samples as they would be had they been rounded otherwise, or saved as lossy files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genbench.images.rounding import Rounding
from genbench.quality.source import Source
from genbench.records.measurement import Subject
from genbench.runtime.digests import canonical_digest

# Where a grey level v of each rounding came from: (v + first) / scale … (v + first + 1) / scale of
# the range 0 … 1 (genbench.images.rounding.to_uint8).
_ORIGINS: dict[Rounding, tuple[float, float]] = {
    "truncate": (0.0, 255.0),
    "nearest": (-0.5, 255.0),
    "floor256": (0.0, 256.0),
}


class Altered:
    """A source whose images are rounded from one convention to another, then saved as JPEG.

    was, rounding: the rounding of the source's images and the one wanted; empty: as they are. The
    fraction that rounding lost is taken as uniform, drawn from the index of the image alone; equal
    channels of a pixel share it, as grey images do; levels 0 and 255 stay, since most of them were
    clipped. jpeg: quality of Pillow's encoder, 1 to
    100; 0: not saved as such.
    """

    counts_evaluations = False

    def __init__(
        self, source: Source, *, was: Rounding | None = None, rounding: Rounding | None = None,
        jpeg: int = 0,
    ) -> None:  # fmt: skip
        self._source, self._jpeg = source, jpeg
        self._was, self._rounding = (was, rounding) if was != rounding else (None, None)
        self.name, self.count, self.size = source.name, source.count, source.size

    def identity(self) -> Mapping[str, Any]:
        """That of the source, and what was done to its images."""
        changes = {"was": self._was, "rounding": self._rounding, "jpeg": self._jpeg}
        return {"kind": "altered", "source": dict(self._source.identity()), **changes}

    def digest(self) -> str:
        """Digest of the identity."""
        return canonical_digest(self.identity())

    def subject(self) -> Subject:
        """That of the source."""
        return self._source.subject()

    def labels(self, start: int, stop: int) -> Tensor | None:
        """Those of the source, int64 [stop - start], or None."""
        return self._source.labels(start, stop)

    def images(self, start: int, stop: int) -> Iterator[Tensor]:
        """The images start … stop-1, altered: batches uint8 [n, 3, H, W]."""
        index = start
        for batch in self._source.images(start, stop):
            changed = [self._changed(image, index + place) for place, image in enumerate(batch)]
            index += len(batch)
            yield torch.stack(changed)

    def evaluations(self, start: int, stop: int) -> NDArray[np.float32]:
        """None of any network of ours: zeros float32 [stop - start, 2]."""
        return np.zeros((stop - start, 2), np.float32)

    def _changed(self, image: Tensor, index: int) -> Tensor:
        if self._was and self._rounding:
            image = rounded_otherwise(image, index, self._was, self._rounding)
        return _as_jpeg(image, self._jpeg) if self._jpeg else image


def rounded_otherwise(image: Tensor, index: int, was: Rounding, wanted: Rounding) -> Tensor:
    """An image uint8 [3, H, W] of the rounding `was` as `wanted` would have given it, about: the
    fraction that was lost is drawn uniformly, from `index` alone; 0 and 255 stay. Neighbouring
    pixels lose fractions that have nothing to do with each other, which those of smooth images
    have: the step comes out somewhat too large."""
    first, scale = _ORIGINS[was]
    drawn = np.random.Generator(np.random.Philox(key=index)).random(tuple(image.shape))
    levels = image.numpy()
    drawn = np.where(levels == levels[:1], drawn[:1], drawn)
    origin = (levels + first + drawn) / scale  # 0 … 1
    offset, other = _ORIGINS[wanted]
    changed = np.floor(origin * other - offset).clip(0, 255).astype(np.uint8)
    clipped = (levels == 0) | (levels == 255)
    return torch.from_numpy(np.where(clipped, levels, changed))


def _as_jpeg(image: Tensor, quality: int) -> Tensor:
    """uint8 [3, H, W] through a JPEG file of Pillow (colour at half the resolution)."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, format="JPEG", quality=quality)
    decoded = np.array(Image.open(file))
    return torch.from_numpy(decoded).permute(2, 0, 1)
