"""One digest that commits to every sample in its place: the Merkle tree hash of RFC 6962."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_LEAF, _NODE = b"\x00", b"\x01"  # so that no node can pass for a leaf


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over `leaves` in their order (RFC 6962, section 2.1), 32 bytes; the SHA-256 of
    nothing where there are none. A leaf changed, left out, added or moved changes it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = [hashlib.sha256(_LEAF + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        paired = [
            hashlib.sha256(_NODE + level[place] + level[place + 1]).digest()
            for place in range(0, len(level) - 1, 2)
        ]
        level = paired + level[len(paired) * 2 :]
    return level[0]
