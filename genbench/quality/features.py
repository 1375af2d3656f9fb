"""Images to features: extraction in fixed batches, kept in shards, read back as one set.

The detector always sees batches of DETECTOR_BATCH images that start at a multiple of it, the last
one filled up with black: batch size, rank, resuming and the sample count change no bit of a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.detectors.checked import BegunFeatures, CheckedDetector
from genbench.detectors.contract import Detector
from genbench.errors import GenbenchError
from genbench.quality.source import DrawsOnDevice, Source
from genbench.records.provenance import package_versions
from genbench.runtime.distributed import World
from genbench.runtime.host_copies import HostCopy, copied_to_host
from genbench.runtime.progress import Reporter
from genbench.runtime.resumable import fill_shards
from genbench.runtime.shards import PART_ROWS, SHARD_ROWS, ShardFolder, shard_spans
from genbench.runtime.sharing import ALONE, Sharing

EVALUATIONS = "evaluations"  # the layer of a model's shards that counts its network calls
DIGESTS = "digests"  # the layer that names each image: SHA-256, uint8 [n, 32]
DETECTOR_BATCH = PART_ROWS  # so that a shard taken over half filled goes on with whole batches
_FORMAT = 1  # changes when the meaning of a shard changes


class FeatureSet(Protocol):
    """Features of `count` images, by layer."""

    @property
    def name(self) -> str:
        """Short name of the images, for tables."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 (hex) that names the images."""
        ...

    @property
    def count(self) -> int:
        """Number of images."""
        ...

    def chunks(self, layer: str, count: int | None = None) -> Iterator[Tensor]:
        """The first `count` rows (all by default) in order, as float32 [n, D] pieces."""
        ...


def rows(features: FeatureSet, layer: str, count: int | None = None) -> Tensor:
    """The first `count` rows (all by default) of a layer as one float32 [count, D] tensor. Raises
    GenbenchError when there are none."""
    wanted = features.count if count is None else count
    whole: Tensor | None = None
    filled = 0
    for chunk in features.chunks(layer, wanted):  # one copy at a time: cat would hold two
        if whole is None:
            whole = torch.empty(wanted, chunk.shape[1], dtype=torch.float32)
        whole[filled : filled + chunk.shape[0]] = chunk
        filled += chunk.shape[0]
    if whole is None:
        raise GenbenchError(f"{features.name} holds no features: pass at least one image")
    return whole


@dataclass(frozen=True)
class ArrayFeatures:
    """Features somebody else extracted, read from a file: `arrays` maps layer to [N, D]."""

    name: str
    digest: str
    arrays: Mapping[str, NDArray[Any]]

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self.arrays["pool"].shape[0])

    def chunks(self, layer: str, count: int | None = None) -> Iterator[Tensor]:
        """As `FeatureSet.chunks`, SHARD_ROWS at a time. Raises GenbenchError for a layer that the
        file lacks."""
        if layer not in self.arrays:
            key = "features" if layer == "pool" else layer
            raise GenbenchError(
                f"{self.name} has no `{key}` array: add it, or leave its metric out"
            )
        for start, stop in shard_spans(self.count if count is None else count):
            yield torch.from_numpy(np.ascontiguousarray(self.arrays[layer][start:stop], np.float32))


@dataclass(frozen=True)
class ShardFeatures:
    """Features genbench extracted, read from their shards."""

    name: str
    digest: str
    count: int
    folder: ShardFolder = field(repr=False)

    def chunks(self, layer: str, count: int | None = None) -> Iterator[Tensor]:
        """As `FeatureSet.chunks`, a shard at a time. Raises GenbenchError for a shard that was lost
        since."""
        for start, stop in shard_spans(self.count if count is None else count):
            data = self.folder.read(start // SHARD_ROWS, layer, stop - start)
            if data is None:
                raise GenbenchError(
                    f"shard {start // SHARD_ROWS} of {self.folder.path} was lost or damaged during "
                    "the run: run the same command again, it computes that shard anew"
                )
            yield torch.from_numpy(data)


def extract_features(
    source: Source,
    detector: Detector,
    layers: Sequence[str],
    count: int,
    *,
    root: Path,
    world: World,
    reporter: Reporter,
    first: Callable[[Tensor], object] | None = None,
    sharing: Sharing = ALONE,
) -> ShardFeatures:
    """Features of the first `count` images of `source`, computing only the shards not yet kept.

    Every process of `world` computes its share; afterwards rank 0 can read all of them. The network
    calls of a model's samples lie beside their features, since a resumed run draws only what is
    missing. first: called with the first batch uint8 [n, 3, H, W] in the process that draws it.
    sharing: what this process computes of it. Raises GenbenchError for bad images and for a full
    disk; finished shards stay.
    """
    folder = ShardFolder(root, feature_key(source, detector))

    def produce(start: int, stop: int) -> Iterator[dict[str, NDArray[Any]]]:
        images = source.drawn if isinstance(source, DrawsOnDevice) else source.images
        for batch, found in looked_at(detector, rebatched(images(start, stop), DETECTOR_BATCH)):
            if start == 0 and first is not None:
                first(batch)
            rows: dict[str, NDArray[Any]] = {layer: found[layer].numpy() for layer in layers}
            rows[DIGESTS] = image_digests(batch)
            following = start + len(batch)
            if source.counts_evaluations:
                rows[EVALUATIONS] = source.evaluations(start, following)
            yield rows
            start = following

    label = f"{source.name} → {detector.name}"
    kept = [*layers, DIGESTS, *([EVALUATIONS] if source.counts_evaluations else [])]
    fill_shards(
        folder, kept, count, produce, label=label, world=world, reporter=reporter, sharing=sharing
    )
    return ShardFeatures(source.name, source.digest(), count, folder)


def image_digests(images: Tensor) -> NDArray[np.uint8]:
    """SHA-256 of each image uint8 [n, 3, H, W] as it goes to the detector: uint8 [n, 32]. Of its
    bytes in the order channel, row, column; the shape is not in it."""
    content = images.contiguous().cpu().numpy()
    digests = [hashlib.sha256(image.tobytes()).digest() for image in content]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), 32).copy()


def mean_evaluations(features: FeatureSet, count: int) -> tuple[float, float]:
    """Network calls a sample, over the first `count` samples of a model that counts them: of the
    networks that make the image, and of those that guide."""
    total = torch.zeros(2, dtype=torch.float64)
    for chunk in features.chunks(EVALUATIONS, count):
        total += chunk.double().sum(dim=0)
    made, guided = (total / count).tolist()
    return made, guided


def feature_key(source: Source, detector: Detector) -> dict[str, Any]:
    """Everything that the features of a source depend on."""
    return {
        "kind": "features",
        "format": _FORMAT,
        "source": dict(source.identity()),
        "detector": {"name": detector.name, **detector.identity},
        "batch": DETECTOR_BATCH,
        "shard": SHARD_ROWS,
        "versions": package_versions(),
    }


def rebatched(images: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    """The same images [n, 3, H, W] cut into batches of `size`; the last one may be shorter."""
    held: list[Tensor] = []
    for batch in images:
        held.append(batch)
        while sum(part.shape[0] for part in held) >= size:
            joined = torch.cat(held)
            yield joined[:size]
            held = [joined[size:]] if joined.shape[0] > size else []
    if held:
        yield torch.cat(held)


def looked_at(
    detector: Detector, batches: Iterator[Tensor]
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Batches uint8 [n, 3, H, W] of at most DETECTOR_BATCH images, each with its features, float32
    [n, width] a layer, all on the CPU.

    What a GPU is asked for is waited for when the next batch is under way: copies and digests take
    none of its time. On a CPU each batch comes as soon as it is done.
    """
    begun: tuple[HostCopy, BegunFeatures] | None = None
    for batch in batches:
        following = (copied_to_host(batch), _begin(detector, batch))
        if begun is not None:
            yield _arrived(*begun)
        begun = following
        if begun[1].here:
            yield _arrived(*begun)
            begun = None
    if begun is not None:
        yield _arrived(*begun)


def _begin(detector: Detector, batch: Tensor) -> BegunFeatures:
    if len(batch) < DETECTOR_BATCH:
        filling = batch.new_zeros(DETECTOR_BATCH - len(batch), *batch.shape[1:])
        batch = torch.cat([batch, filling])
    if isinstance(detector, CheckedDetector):
        return detector.begin(batch)
    found = detector(batch)
    return BegunFeatures(detector.name, {layer: HostCopy(found[layer]) for layer in found})


def _arrived(images: HostCopy, features: BegunFeatures) -> tuple[Tensor, dict[str, Tensor]]:
    batch = images.wait()
    return batch, {layer: rows[: len(batch)] for layer, rows in features.wait().items()}
