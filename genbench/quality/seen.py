"""Images that came by in batches: their features and names are kept, the pictures are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genbench.detectors.contract import Detector
from genbench.errors import GenbenchError
from genbench.images.arrays import digest_of_images
from genbench.quality.features import DETECTOR_BATCH, image_digests, looked_at
from genbench.quality.source import sides
from genbench.records.measurement import Subject
from genbench.runtime.shards import shard_spans

_FORMAT = 1  # of a state; raised when the meaning of a part changes
_PARTS = {"format", "size", "detector", "features", "digests", "labels", "pending"}
State = dict[str, Any]


@dataclass
class Seen:
    """Features of the images that came, in their order, and the last of them that do not fill a
    batch of the detector yet: they wait as pictures, so that any batch size gives the same bits.

    detector: its layers are kept. size: (H, W); None before the first image. labels: int64 [count],
    or None for images without.
    """

    detector: Detector
    size: tuple[int, int] | None = None
    labels: Tensor | None = None
    _features: dict[str, list[Tensor]] = field(default_factory=dict, repr=False)  # [50, D] each
    _digests: list[Tensor] = field(default_factory=list, repr=False)  # uint8 [50, 32] each
    _pending: Tensor | None = field(default=None, repr=False)  # uint8 [0 … 49, 3, H, W]

    @property
    def count(self) -> int:
        """Images that came."""
        waiting = 0 if self._pending is None else len(self._pending)
        return waiting + sum(map(len, self._digests))

    def add(self, images: Tensor, labels: Tensor | None) -> None:
        """Images uint8 [n, 3, H, W] on any device, of the size of those before, with their labels
        int64 [n] where those had some. Raises GenbenchError for what the detector refuses."""
        came = images.detach().cpu()
        waiting = came if self._pending is None else torch.cat([self._pending, came])
        whole = len(waiting) - len(waiting) % DETECTOR_BATCH
        found = list(self._looked_at(waiting[:whole]))  # all of them, or none is kept
        for features, digests in found:
            for layer, rows in features.items():
                self._features.setdefault(layer, []).append(rows)
            self._digests.append(digests)
        if labels is not None:
            labels = labels.detach().cpu().to(torch.int64, copy=True)
            self.labels = labels if self.labels is None else torch.cat([self.labels, labels])
        self._pending = waiting[whole:].clone()
        self.size = (int(came.shape[2]), int(came.shape[3]))

    def _looked_at(self, images: Tensor) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Features by layer and digests of a batch of the detector after the other."""
        batches = iter(images.split(DETECTOR_BATCH) if len(images) else ())
        for batch, found in looked_at(self.detector, batches):
            # The detector computes in inference mode, whose tensors are for nothing else.
            features = {layer: rows.clone() for layer, rows in found.items()}
            yield features, torch.from_numpy(image_digests(batch))

    def described(self, name: str) -> tuple[SeenImages, SeenFeatures]:
        """What came so far as images to be measured, and as their features. Raises GenbenchError
        where nothing came."""
        if self.size is None or self._pending is None or not self.count:
            raise GenbenchError(f"{name}: no images came yet: call update with a batch first")
        last = list(self._looked_at(self._pending))
        digests = torch.cat([*self._digests, *(digests for _, digests in last)])
        each = (row.tobytes() for row in digests.numpy())
        digest = digest_of_images(each, self.size)
        features = {
            layer: [*self._features.get(layer, ()), *(rows[layer] for rows, _ in last)]
            for layer in self.detector.layers
        }
        return (
            SeenImages(name, self.count, self.size, digest, self.labels),
            SeenFeatures(name, digest, self.count, features),
        )

    def state(self) -> State:
        """All of it as tensors, numbers, texts, lists and dictionaries."""
        nothing = torch.empty(0, 32, dtype=torch.uint8)
        return {
            "format": _FORMAT,
            "size": list(self.size or ()),
            "detector": dict(self.detector.identity),
            "features": {layer: torch.cat(rows) for layer, rows in self._features.items()},
            "digests": torch.cat([nothing, *self._digests]),
            "labels": None if self.labels is None else self.labels.clone(),
            "pending": None if self._pending is None else self._pending.clone(),
        }


@dataclass(frozen=True)
class SeenImages:
    """What records tell of images that came (genbench.quality.source.Origin)."""

    name: str
    count: int | None
    size: tuple[int, int]
    content: str
    classes: Tensor | None
    counts_evaluations: bool = False

    def digest(self) -> str:
        """SHA-256 (hex) that names the images, as that of a tensor that holds them all."""
        return self.content

    def subject(self) -> Subject:
        """Their name and size."""
        return Subject(model=self.name, **sides(*self.size))

    def labels(self, start: int, stop: int) -> Tensor | None:
        """Labels int64 [stop - start] of images start … stop-1; None without."""
        return None if self.classes is None else self.classes[start:stop]


@dataclass(frozen=True)
class SeenFeatures:
    """Features of images that came (genbench.quality.features.FeatureSet): by layer, pieces of
    DETECTOR_BATCH rows, the last one shorter."""

    name: str
    digest: str
    count: int
    pieces: Mapping[str, Sequence[Tensor]] = field(repr=False)

    def chunks(self, layer: str, count: int | None = None) -> Iterator[Tensor]:
        """As `FeatureSet.chunks`, in the pieces in which features come from a disk: sums over them
        are then the same bits."""
        pieces = self.pieces[layer]
        for start, stop in shard_spans(self.count if count is None else count):
            first, last = start // DETECTOR_BATCH, -(-stop // DETECTOR_BATCH)
            yield torch.cat(list(pieces[first:last]))[: stop - start]


def restored(state: Mapping[str, Any], detector: Detector) -> Seen:
    """What `Seen.state` or `joined` gave, to go on from. Raises GenbenchError for anything else and
    for features of another detector."""
    _check(state)
    if dict(state["detector"]) != dict(detector.identity):
        raise GenbenchError(
            f"the state is of features of another detector than {detector.name} here (its weights, "
            "versions or device differ): build the Evaluator as it was, or begin anew"
        )
    held = {layer: list(rows.shape[1:]) for layer, rows in state["features"].items()}
    wanted = {layer: [width] for layer, width in detector.layers.items()}
    if len(state["digests"]) and held != wanted:
        raise GenbenchError(
            f"the state holds features {held} and not {wanted} of {detector.name}: build the "
            "Evaluator with the metrics that it had"
        )
    seen = Seen(detector, tuple(state["size"]) or None)
    for layer, rows in state["features"].items():
        seen._features[layer] = list(rows.clone().split(DETECTOR_BATCH)) if len(rows) else []
    digests = state["digests"].clone()
    seen._digests = list(digests.split(DETECTOR_BATCH)) if len(digests) else []
    if state["pending"] is not None:
        seen.add(state["pending"], None)  # of several processes they may be whole batches by now
    seen.labels = None if state["labels"] is None else state["labels"].clone()
    return seen


def joined(states: Sequence[Mapping[str, Any]]) -> State:
    """The states of several processes as one: first their whole batches in order, then the images
    that wait for one. Raises GenbenchError for states that do not go together."""
    for state in states:
        _check(state)
    filled = [state for state in states if state["size"]]
    if not filled:
        return dict(states[0])
    first = filled[0]
    for state in filled[1:]:
        if any(state[name] != first[name] for name in ("size", "detector")):
            raise GenbenchError(
                "the states are of images of several sizes, or of several detectors: build every "
                "process's Evaluator alike"
            )
        if (state["labels"] is None) != (first["labels"] is None):
            raise GenbenchError("some processes gave labels and others none: give all, or none")
    labels = None
    if first["labels"] is not None:
        cut = [(state["labels"], len(state["digests"])) for state in filled]
        labels = torch.cat([*(own[:at] for own, at in cut), *(own[at:] for own, at in cut)])
    whole = [state["features"] for state in filled if state["features"]]
    layers = list(whole[0]) if whole else []
    if any(set(features) != set(layers) for features in whole):
        raise GenbenchError(
            "the states are of several layers: build every process's Evaluator with the same "
            "metrics"
        )
    return {
        **first,
        "features": {layer: torch.cat([features[layer] for features in whole]) for layer in layers},
        "digests": torch.cat([state["digests"] for state in filled]),
        "labels": labels,
        "pending": torch.cat([state["pending"] for state in filled]),
    }


def _check(state: object) -> None:
    """Raises GenbenchError for what is no state."""
    if not isinstance(state, Mapping) or set(state) != _PARTS or state["format"] != _FORMAT:
        raise GenbenchError(
            "this is not the state of an Evaluator of this version: pass what state_dict() gave"
        )
    if not isinstance(state["features"], Mapping) or not isinstance(state["size"], list | tuple):
        raise GenbenchError("the state was altered: its features or its size are of another kind")
    held = [state["digests"], *state["features"].values()]
    held += [state[name] for name in ("labels", "pending") if state[name] is not None]
    if not all(isinstance(part, Tensor) and part.ndim for part in held):
        raise GenbenchError("the state was altered: a part of it is no tensor")
    digests, waiting, size = state["digests"], state["pending"], state["size"]
    shapes = [(digests, torch.uint8, (32,))]
    if waiting is not None:
        shapes.append((waiting, torch.uint8, (3, *size)))
    if bool(size) != (waiting is not None) or not all(
        part.dtype == dtype and part.shape[1:] == shape for part, dtype, shape in shapes
    ):
        raise GenbenchError(f"the state was altered: it is of no images of size {size}")
    rows = len(digests)
    count = rows + (0 if waiting is None else len(waiting))
    whole = all(len(part) == rows for part in state["features"].values())
    if not whole or (state["labels"] is not None and state["labels"].shape != (count,)):
        raise GenbenchError("the state was altered: its parts are not of one count")
