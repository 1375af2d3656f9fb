"""TFRecord files as image sets: encoded pictures as ImageNet's, raw pixels as ProGAN's."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.images.byte_ranges import ByteRanges
from genbench.images.examples import Feature, features_of
from genbench.images.npz import stored_digest
from genbench.images.pictures import Pictures
from genbench.images.sets import ImageSet, Labels, to_channels_first
from genbench.images.tfrecord_files import record_at, records

_ENCODED = ("image/encoded", "image", "image_raw", "jpeg", "png")
_LABELS = ("image/class/label", "label")
_SYNSET = "image/class/synset"
_PIXELS, _SHAPE = "data", "shape"
_SHOWN = 8
_MOST_CLASSES = 1 << 16  # that are named: the greatest label alone decides how many there would be


def open_tfrecords(
    paths: Sequence[Path], name: str, *, feature: str = "", crop: str = "none", resolution: int = 0
) -> ImageSet:
    """Images of TFRecord files, in the order of the files and of their records.

    The first record tells the layout: pixels in `data` with their `shape` (ProGAN's and StyleGAN's
    dataset_tool.py), or an encoded picture in `image/encoded` (ImageNet's) or `image` (TFDS's).
    feature: the encoded picture's feature where it has another name. Raises GenbenchError or
    UsageError with the remedy.
    """
    path = paths[0]
    with closing(records(path)) as held:
        known = _features(path, *next(held))  # a file that is empty was refused
    if not feature and _PIXELS in known and _SHAPE in known:
        return RawRecords(paths, name)
    if feature and feature not in known:
        raise UsageError(
            f"{path} has no feature {feature} (it has {_listed(known)}): correct the name behind #"
        )
    chosen = feature or next((one for one in _ENCODED if one in known), "")
    if not chosen:
        raise UsageError(
            f"{path} has no image/encoded, and no data with a shape: say which feature holds the "
            f"encoded picture, as {name}#FEATURE (it has {_listed(known)})"
        )
    return EncodedRecords(paths, name, chosen, crop=crop, resolution=resolution)


def _listed(known: dict[str, Feature]) -> str:
    names = sorted(known)
    return ", ".join(names[:_SHOWN]) + ", …" * (len(names) > _SHOWN) or "nothing"


def _features(path: Path, first: int, record: memoryview) -> dict[str, Feature]:
    try:
        return features_of(record)
    except ValueError as error:
        raise GenbenchError(
            f"{path}: the record at byte {first} is no tf.train.Example ({error}): write it again"
        ) from error


class _Records:
    """Where the records of several files lie. Memory: 20 bytes a record."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.ranges = ByteRanges(paths)

    def read(self, index: int) -> bytes:
        path, first, size = self.ranges.place(index)
        return record_at(path, first, size)

    def where(self, index: int) -> str:
        path, first, _ = self.ranges.place(index)
        return f"{path}, record at byte {first}"


class EncodedRecords(Pictures):
    """Records that hold an encoded picture each.

    Labels are those of `image/class/label` or `label`, as they stand; where records have an
    `image/class/synset`, ImageNet's labels count from 1 (0 is no class) and become 0 … 999, and the
    synsets are the classes' names, up to 65,536.
    """

    def __init__(
        self, paths: Sequence[Path], name: str, feature: str, *, crop: str = "none",
        resolution: int = 0,
    ) -> None:  # fmt: skip
        self.name = name
        super().__init__(crop, resolution)
        self._records = _Records(paths)
        self._begin, self._end = array("q"), array("q")  # of the picture in its record
        labels, synsets = _LabelColumn(), dict[int, str]()
        for number, path in enumerate(paths):
            for first, record in records(path):
                found = _features(path, first, record)
                pieces = found[feature].pieces if feature in found else []
                if len(pieces) != 1:
                    raise GenbenchError(
                        f"{path}, record at byte {first}: {feature} holds {len(pieces)} pictures, "
                        "not one: write it again"
                    )
                begin, end = pieces[0]
                self._records.ranges.add(number, first, len(record))
                self._begin.append(begin)
                self._end.append(end)
                label = labels.take(found, f"{path}, record at byte {first}")
                if label is not None and _SYNSET in found:
                    for one, other in found[_SYNSET].pieces[:1]:
                        synsets[label] = bytes(record[one:other]).decode(errors="replace")
        self.labels = labels.array(counted_from=1 if synsets else 0)
        if synsets and self.labels is not None and self.labels.max() < _MOST_CLASSES:
            names = (synsets.get(label + 1, "") for label in range(int(self.labels.max()) + 1))
            self.class_names = tuple(names)
        self._take_size()

    def __len__(self) -> int:
        return len(self._begin)

    def _where(self, index: int) -> str:
        return self._records.where(index)

    def _bytes(self, index: int, limit: int = -1) -> bytes:
        return self._records.read(index)[self._begin[index] : self._end[index]]


class RawRecords(ImageSet):
    """Records that hold uint8 pixels [3, H, W] in `data`, and [3, H, W] in `shape`."""

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.name = name
        self._records = _Records(paths)
        shape: tuple[int, ...] | None = None
        labels = _LabelColumn()
        for number, path in enumerate(paths):
            for first, record in records(path):
                found = _features(path, first, record)
                place = f"{path}, record at byte {first}"
                shape = self._checked(found, shape, place)
                self._records.ranges.add(number, first, len(record))
                labels.take(found, place)
        assert shape is not None
        self.size = (shape[1], shape[2])
        self.labels = labels.array()

    def _checked(
        self, found: dict[str, Feature], before: tuple[int, ...] | None, place: str
    ) -> tuple[int, ...]:
        """The shape of one record, which must be that of the ones before."""
        pixels, given = found.get(_PIXELS, Feature()), found.get(_SHAPE, Feature())
        shape = tuple(given.numbers)
        lengths = [last - first for first, last in pixels.pieces]
        if len(shape) != 3 or min(shape) < 1 or shape[0] != 3 or lengths != [math.prod(shape)]:
            raise GenbenchError(
                f"{place} holds {sum(lengths)} bytes of shape {list(shape)}, not uint8 RGB "
                "[3, H, W] in one piece: write it again"
            )
        if before is not None and shape != before:
            raise GenbenchError(
                f"{place} is {shape[2]}x{shape[1]} but the first is {before[2]}x{before[1]}: name "
                "the file of one resolution alone, as NAME-r08.tfrecords"
            )
        return shape

    def __len__(self) -> int:
        return len(self._records.ranges)

    def read(self, start: int, stop: int) -> Tensor:
        """As `ImageSet.read`."""
        height, width = self.size
        pictures = np.empty((len(range(len(self))[start:stop]), height, width, 3), np.uint8)
        for number, index in enumerate(range(len(self))[start:stop]):
            data = self._records.read(index)
            first, last = features_of(memoryview(data))[_PIXELS].pieces[0]
            planes = np.frombuffer(data[first:last], np.uint8).reshape(3, height, width)
            pictures[number] = planes.transpose(1, 2, 0)
        return to_channels_first(pictures)

    def content_digest(self) -> str:
        """Digest of the pixels, as an .npz of the same images has it."""
        return stored_digest(self)


class _LabelColumn:
    """One whole number a record, or none in all of them."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._key: str | None = None
        self._first = True

    def take(self, found: dict[str, Feature], place: str) -> int | None:
        """The label of the next record, which the first one says whether there is."""
        if self._first:
            self._first = False
            self._key = next((key for key in _LABELS if found.get(key, Feature()).numbers), None)
        if self._key is None:
            return None
        numbers = found.get(self._key, Feature()).numbers
        if len(numbers) != 1 or not 0 <= numbers[0] < 1 << 31:
            raise GenbenchError(f"{place} has no class in {self._key} as others have: correct it")
        self._numbers.append(numbers[0])
        return numbers[0]

    def array(self, counted_from: int = 0) -> Labels | None:
        """The labels int64 [N], counted from 0; None where there are none."""
        if self._key is None:
            return None
        if min(self._numbers) < counted_from:
            raise GenbenchError(
                f"{self._key} holds {min(self._numbers)}, but ImageNet's labels (beside "
                f"{_SYNSET}) count from {counted_from}: write the labels again"
            )
        return np.array(self._numbers, np.int64) - counted_from


def is_tfrecord(path: Path) -> bool:
    """Whether a file's name is a TFRecord's: .tfrecord(s), or ImageNet's train-00000-of-01024."""
    if path.suffix.lower() in (".tfrecord", ".tfrecords"):
        return True
    stem, of, total = path.name.rpartition("-of-")
    return bool(of) and total.isdigit() and os.path.basename(stem).rpartition("-")[2].isdigit()
