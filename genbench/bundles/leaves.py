"""What a bundle commits to of every sample: its index, its image's digest, its features' digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from genbench.bundles.merkle import merkle_root
from genbench.quality.features import DIGESTS, ShardFeatures

LEAF = 64  # bytes of a row of leaves: SHA-256 of the image, SHA-256 of the features


def leaves_of(features: ShardFeatures, layers: Sequence[str]) -> NDArray[np.uint8]:
    """The leaves of all samples, uint8 [N, 64]."""
    pieces = [
        np.concatenate([digests, row_digests(rows)], axis=1)
        for digests, rows in _chunks(features, layers)
    ]
    return np.concatenate(pieces)


def _chunks(
    features: ShardFeatures, layers: Sequence[str]
) -> Iterator[tuple[NDArray[np.uint8], dict[str, NDArray[np.float32]]]]:
    streams = {layer: features.chunks(layer) for layer in layers}
    for digests in features.chunks(DIGESTS):
        yield digests.numpy(), {layer: next(stream).numpy() for layer, stream in streams.items()}


def row_digests(rows: dict[str, NDArray[np.float32]]) -> NDArray[np.uint8]:
    """SHA-256 of each sample's features: of float32 little-endian, layers in the order of their
    names. rows: layer -> [n, D]. Returns uint8 [n, 32]."""
    parts = [np.ascontiguousarray(rows[layer], "<f4") for layer in sorted(rows)]
    digests = [
        hashlib.sha256(b"".join(part[place].tobytes() for part in parts)).digest()
        for place in range(len(parts[0]))
    ]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32).copy()


def root_of(leaves: NDArray[np.uint8]) -> str:
    """The Merkle root (hex) over leaves uint8 [N, 64], each with its index before it."""
    placed = [place.to_bytes(8, "big") + leaf.tobytes() for place, leaf in enumerate(leaves)]
    return merkle_root(placed).hex()
