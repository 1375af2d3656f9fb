"""Image sets: one lazy, sized iterable of uint8 N3HW batches over every format."""

from __future__ import annotations

import difflib
import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import GenbenchError, UsageError, suggestion

Labels = NDArray[np.int64]
Rounding = Literal["truncate", "nearest", "floor256"]
_BATCH = 64
_SLICE = re.compile(r"^(?P<spec>.+?)\[(?P<start>-?\d*):(?P<stop>-?\d*)\]$")


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


class Part(ImageSet):
    """Images start … stop-1 of another set."""

    def __init__(self, whole: ImageSet, start: int, stop: int) -> None:
        self.whole, self.start, self.stop = whole, start, stop
        self.name = f"{whole.name}[{start}:{stop}]"
        self.size = whole.size
        self.labels = None if whole.labels is None else whole.labels[start:stop]
        self.class_names = whole.class_names

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, start: int, stop: int) -> Tensor:
        """As `ImageSet.read`, counted from the part's beginning."""
        return self.whole.read(self.start + start, self.start + stop)

    def content_digest(self) -> str:
        """Digest of the whole set's content and the span."""
        return _combined(self.whole.digest(), f"[{self.start}:{self.stop}]")


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

        from genbench.crops import cropped

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
    """Images start … stop-1 in batches of `size`, at most `ahead` of them read in advance.

    Reading happens in another thread, which ends when the iterator is closed, exhausted or dropped.
    Raises GenbenchError for images that the set does not have, and what `ImageSet.read` raises.
    """
    if not 0 <= start <= stop <= len(images):
        raise GenbenchError(
            f"images {start} to {stop} of {images.name} were asked for, which holds {len(images)}: "
            "ask for fewer"
        )
    ahead = max(1, ahead)
    spans = [(first, min(first + size, stop)) for first in range(start, stop, size)]
    pool = ThreadPoolExecutor(1, thread_name_prefix="genbench-read")
    try:
        waiting = [pool.submit(images.read, *span) for span in spans[:ahead]]
        for position in range(len(spans)):
            batch = waiting.pop(0).result()
            following = position + ahead
            if following < len(spans):
                waiting.append(pool.submit(images.read, *spans[following]))
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def open_image_set(spec: str, *, crop: str = "none", resolution: int = 0) -> ImageSet:
    """Open images by what the user calls them.

    spec: an .npz batch, a folder, a .zip, "bundled", "fashion-mnist:test" or
    "fashion-mnist:train", each optionally with a part, "[a:b]". crop: how images are brought to
    `resolution` (see genbench.crops); "none" wants them to have it already (0: any size). Raises
    GenbenchError for what cannot be read and UsageError for a bad name, part or crop, with the
    remedy.
    """
    from genbench.crops import check_crop

    check_crop(crop, resolution)
    if (part := _SLICE.match(spec)) and not _exists(spec):
        whole = open_image_set(part["spec"], crop=crop, resolution=resolution)
        return _part_of(whole, spec, part["start"], part["stop"])
    found = _open_whole(spec, crop, resolution)
    if resolution and found.size != (resolution, resolution):
        height, width = found.size
        if crop == "none":
            raise GenbenchError(
                f"{spec} holds images of {width}x{height}, not {resolution}x{resolution}: pass "
                "--crop adm or --crop resize to bring them to it"
            )
        found = Resized(found, crop, resolution)
    return found


def _exists(spec: str) -> bool:
    try:
        return bool(spec) and Path(spec).exists()
    except OSError as error:  # a name too long, or a folder that must not be looked into
        raise GenbenchError(
            f"cannot read {spec[:200]}: {error.strerror}; check the path"
        ) from error


def _part_of(whole: ImageSet, spec: str, start: str, stop: str) -> ImageSet:
    first, last, _ = slice(int(start) if start else None, int(stop) if stop else None).indices(
        len(whole)
    )
    if first >= last:
        raise UsageError(f"{spec} is empty: {whole.name} holds {len(whole)} images")
    if stop and int(stop) > len(whole):
        raise UsageError(
            f"{spec} goes beyond the {len(whole)} images of {whole.name}: end it there"
        )
    if last - first == len(whole):
        return whole
    return Part(whole, first, last)


def _open_whole(spec: str, crop: str, resolution: int) -> ImageSet:
    from genbench.datasets import NAMED, open_named
    from genbench.image_files import PictureFolder, PictureZip
    from genbench.npz import NpzImages

    if spec in NAMED:
        return open_named(spec)
    if not _exists(spec):
        raise UsageError(
            f"{spec or 'an empty name'} is neither a file nor a folder, and no image set has that "
            f"name; {suggestion(spec, [*NAMED, *_neighbours(spec)])}; a part of a set is "
            "SET[a:b]"
        )
    path = Path(spec)
    try:
        if path.is_dir():
            return PictureFolder(path, crop=crop, resolution=resolution)
        if path.suffix.lower() == ".npz":
            return NpzImages(path)
        if path.suffix.lower() == ".zip":
            return PictureZip(path, crop=crop, resolution=resolution)
    except OSError as error:
        raise GenbenchError(
            f"cannot read {spec}: {error.strerror}; check its permissions"
        ) from error
    raise UsageError(f"{spec} is not an .npz, a .zip or a folder: convert it to one of them")


def _neighbours(spec: str) -> list[str]:
    """What lies in the folder of a path that does not exist, the nearest names alone."""
    path = Path(spec)
    try:
        names = [found.name for found in path.parent.iterdir()]
    except (OSError, ValueError):  # no such folder either, or no possible path
        return []
    return [str(path.with_name(name)) for name in difflib.get_close_matches(path.name, names)]


def to_uint8(x: Tensor, rounding: Rounding = "truncate") -> Tensor:
    """Images in [-1, 1] (float [N, 3, H, W]; beyond is clipped) as uint8 0 … 255.

    "truncate" is ADM's ((x + 1) * 127.5).clamp(0, 255).to(uint8) (scripts/image_sample.py);
    "nearest" is EDM's (x * 127.5 + 128).clip(0, 255) (generate.py); "floor256" is
    clip((x + 1) / 2 * 256, 0, 255) of pytorch-pretrained-BigGAN (utils.py). They differ by a grey
    level, so the choice belongs to the model. Half precision is widened first, so that it costs no
    grey level. Raises GenbenchError for NaN, infinity and anything that is not floating-point.
    """
    if rounding not in get_args(Rounding):
        known = ", ".join(get_args(Rounding))
        raise UsageError(f"there is no rounding {rounding!r}: use one of {known}")
    if not x.is_floating_point():
        raise GenbenchError(
            f"images are {x.dtype}, not floating-point in [-1, 1]: scale them first"
        )
    if not bool(torch.isfinite(x).all()):
        count = int((~torch.isfinite(x)).flatten(1).any(dim=1).sum())
        raise GenbenchError(
            f"{count} of {x.shape[0]} images hold NaN or infinity: check the weights and the dtype "
            "(float16 overflows where bfloat16 and float32 do not)"
        )
    x = x.float() if x.dtype.itemsize < 4 else x
    if rounding == "truncate":
        scaled = (x + 1) * 127.5
    else:
        scaled = x * 127.5 + 128 if rounding == "nearest" else (x + 1) / 2 * 256
    return scaled.clamp(0, 255).to(torch.uint8)
