"""Where images to be measured come from: a model's samples or an image set, by index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.images.sets import ImageSet, batches
from genbench.records.measurement import Subject

_AHEAD = 50  # images decoded at once


class Origin(Protocol):
    """What is known of images by index, without the images.

    count: how many there are; None: as many as wanted. size: (H, W) in pixels. counts_evaluations:
    whether the network calls of each were counted.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def count(self) -> int | None: ...  # noqa: D102
    @property
    def size(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def counts_evaluations(self) -> bool: ...  # noqa: D102

    def digest(self) -> str:
        """SHA-256 (hex) that names the images."""
        ...

    def subject(self) -> Subject:
        """What a record says of the images' origin."""
        ...

    def labels(self, start: int, stop: int) -> Tensor | None:
        """Labels int64 [stop - start] of images start … stop-1; None without classes."""
        ...


class Source(Origin, Protocol):
    """Images by index. A model's samples (genbench.models.source.ModelSource) are one as they
    stand."""

    def identity(self) -> Mapping[str, Any]:
        """Everything the images depend on, ready for JSON."""
        ...

    def images(self, start: int, stop: int) -> Iterator[Tensor]:
        """Images start … stop-1 in order, in batches uint8 [n, 3, H, W] of any size, on the CPU."""
        ...

    def evaluations(self, start: int, stop: int) -> NDArray[np.float32]:
        """Network calls float32 [n, 2] of images that `images` gave, by those that make the image
        and those that guide."""
        ...


@runtime_checkable
class DrawsOnDevice(Protocol):
    """A source whose images are made on a device, where a detector may take them."""

    def drawn(self, start: int, stop: int) -> Iterator[Tensor]:
        """As `Source.images`, wherever the images are made."""
        ...


class SetSource:
    """An image set as a source; decoding runs ahead of the detector.

    subject: what a record says of images whose origin is known; None: their name and size.
    """

    counts_evaluations = False

    def __init__(self, images: ImageSet, subject: Subject | None = None) -> None:
        self.set, self._subject = images, subject
        self.name = images.name
        self.count = len(images)
        self.size = images.size

    def identity(self) -> dict[str, Any]:
        """The content of the set, wherever it lies."""
        return {"kind": "images", "content": self.set.digest()}

    def digest(self) -> str:
        """Digest of the set's content."""
        return self.set.digest()

    def subject(self) -> Subject:
        """The set's name, and its images' side, or sides where they are not square."""
        return self._subject or Subject(model=self.name, **sides(*self.size))

    def labels(self, start: int, stop: int) -> Tensor | None:
        """Labels int64 [stop - start] of images start … stop-1; None where the set has none."""
        if self.set.labels is None:
            return None
        return torch.from_numpy(np.array(self.set.labels[start:stop], np.int64))

    def images(self, start: int, stop: int) -> Iterator[Tensor]:
        """Batches uint8 [n, 3, H, W] of the images start … stop-1."""
        return batches(self.set, start, stop, _AHEAD)

    def evaluations(self, start: int, stop: int) -> NDArray[np.float32]:
        """None of any network of ours: zeros float32 [stop - start, 2]."""
        return np.zeros((stop - start, 2), np.float32)


def sides(height: int, width: int) -> dict[str, Any]:
    """What a subject says of the size of images."""
    if height == width:
        return {"resolution": height}
    return {"resolution": 0, "size": (height, width)}


def labels_digest(labels: Tensor | None) -> str:
    """SHA-256 (hex) of labels int64 [N] in their order; empty without. An image set's own digest
    is of its pixels, so that features stay in their cache when labels are corrected."""
    if labels is None:
        return ""
    return hashlib.sha256(labels.numpy().astype("<i8").tobytes()).hexdigest()


def in_blocks(labels: Tensor | None) -> bool:
    """Whether labels int64 [N] come class by class, which an unshuffled Inception Score cannot
    stand: sorted, with a class of more than one image."""
    if labels is None or len(labels) < 2:
        return False
    steps = labels.diff()
    return bool((steps >= 0).all()) and bool((steps == 0).any()) and bool((steps > 0).any())
