"""Samples as pictures: the strip beside the records, and nearest references from the cache."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.opening import open_image_set
from genbench.images.png_writing import image_grid
from genbench.quality.samples import LAYER
from genbench.quality.strips import cached_strips, strip_in, strips_folder
from genbench.records.kinds import QualityRecord
from genbench.runtime.digests import canonical_digest
from genbench.runtime.shards import ShardFolder, shard_spans

COLUMNS = 8
SHOWN = 16  # samples of one picture, in rows of COLUMNS
_TILE = 64  # pixels of the screen that a sample has at least


@dataclass(frozen=True)
class Picture:
    """A PNG file's bytes as base64, and how wide to show it, in pixels of the screen."""

    data: str
    width: int


@dataclass(frozen=True)
class Strip:
    """The first samples of what a record measured."""

    picture: Picture
    count: int


def strip_of(record: QualityRecord, files: Iterable[Path], cache: Path) -> Strip | None:
    """The first samples of a record, in rows of COLUMNS: as `genbench fid` kept them beside one of
    the record files or in the cache, else as `genbench sample` drew them; None where they are
    nowhere."""
    folders = [*map(strips_folder, files), cached_strips(cache)]
    for path in (strip_in(folder, record.samples_digest) for folder in folders):
        tiles = _tiles(path, record)
        if tiles is not None:
            return Strip(picture_of(image_grid(tiles, COLUMNS)), len(tiles))
    drawn = _samples(record, cache)
    if drawn is None or not len(drawn):
        return None
    return Strip(picture_of(image_grid(drawn, COLUMNS)), len(drawn))


def picture_of(image: Image.Image) -> Picture:
    """A picture of COLUMNS samples a row, ready to stand in the page."""
    file = io.BytesIO()
    image.save(file, format="PNG")
    return Picture(base64.b64encode(file.getvalue()).decode(), max(image.width, COLUMNS * _TILE))


def _tiles(path: Path, record: QualityRecord) -> Tensor | None:
    """The samples uint8 [n, 3, H, W] of a strip; None where there is none, or another picture."""
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    height, width = record.size or (record.resolution, record.resolution)
    if not height or not width:
        return None
    across = max(1, round(pixels.shape[0] * width / height))
    if pixels.shape[1] % across:
        return None
    tiles = np.split(pixels, pixels.shape[1] // across, axis=1)
    return torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Pairs:
    """A picture: a row of samples above the row of each one's nearest reference, and so on."""

    picture: Image.Image
    nearest: tuple[int, ...]  # index of the nearest reference image, one a sample
    distances: tuple[float, ...]  # Euclidean, between the detector's pool features


def pairs_of(record: QualityRecord, cache: Path) -> Pairs | None:
    """Samples of a record's model with their nearest references; None where the cache has not the
    samples and the features of both, or the reference's images are not here."""
    samples = _samples(record, cache)
    found = None if samples is None else _nearest(record, len(samples), cache)
    if samples is None or found is None:
        return None
    nearest, distances, references = found
    rows = []
    for start in range(0, len(samples), COLUMNS):
        span = slice(start, start + COLUMNS)
        rows += [samples[span], references[span]]
    return Pairs(image_grid(torch.cat(rows), COLUMNS), nearest, distances)


def _samples(record: QualityRecord, cache: Path) -> Tensor | None:
    for folder, key in _folders(cache / "samples"):
        if canonical_digest(key["source"]) == record.samples_digest:
            drawn = folder.read(0, LAYER, 1)
            if drawn is not None:
                return torch.from_numpy(_first(folder, LAYER, SHOWN))
    return None


def _nearest(
    record: QualityRecord, count: int, cache: Path
) -> tuple[tuple[int, ...], tuple[float, ...], Tensor] | None:
    own = other = None
    for folder, key in _folders(cache / "features"):
        source, detector = key["source"], dict(key["detector"])
        detector.pop("name", None)
        if detector != dict(record.detector_identity):
            continue
        if canonical_digest(source) == record.samples_digest:
            own = folder
        if source.get("content") == record.reference_digest:
            other = folder
    if own is None or other is None:
        return None
    try:
        images = open_image_set(record.reference)
    except GenbenchError:  # the reference was a file that is not here
        return None
    features = _first(own, "pool", count)
    pool = np.concatenate(list(_all(other, "pool", len(images))))
    if len(features) < count or len(pool) < len(images):
        return None
    apart = torch.cdist(torch.from_numpy(features).double(), torch.from_numpy(pool).double())
    distances, nearest = apart.min(dim=1)
    chosen = torch.cat([images.read(int(i), int(i) + 1) for i in nearest])
    return tuple(map(int, nearest)), tuple(map(float, distances)), chosen


def _folders(root: Path) -> Iterator[tuple[ShardFolder, Mapping[str, Any]]]:
    for path in sorted(root.glob("*/key.json")):
        try:
            key = json.loads(path.read_text())
            named = canonical_digest(key)[:32]
        except (OSError, RecursionError, ValueError):  # a cache half removed
            continue
        if named == path.parent.name:  # else opening it would make a new one
            yield ShardFolder(root, key), key


def _first(folder: ShardFolder, layer: str, rows: int) -> NDArray[Any]:
    """Up to `rows` rows of the first shard."""
    for wanted in range(rows, 0, -1):
        data = folder.read(0, layer, wanted)
        if data is not None:
            return data
    return np.empty((0, 0), np.float32)


def _all(folder: ShardFolder, layer: str, rows: int) -> Iterator[NDArray[Any]]:
    for shard, (start, stop) in enumerate(shard_spans(rows)):
        data = folder.read(shard, layer, stop - start)
        if data is not None:
            yield data
