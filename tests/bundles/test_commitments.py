"""Merkle roots, chances of being caught, and moments in half the space."""

from __future__ import annotations

import hashlib
from math import comb

import numpy as np
import pytest
import torch

from genbench.bundles.chances import caught, largest_missed
from genbench.bundles.leaves import root_of, row_digests
from genbench.bundles.merkle import merkle_root
from genbench.bundles.moments import packed, unpacked
from genbench.errors import GenbenchError
from genbench.metrics.moments import stream_moments


def test_the_root_is_that_of_rfc_6962() -> None:
    """The known answers of certificate transparency's reference implementation."""
    leaves = [bytes.fromhex(text) for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )]  # fmt: skip
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for count, root in roots.items():
        assert merkle_root(leaves[:count]).hex() == root
    assert merkle_root([]) == hashlib.sha256(b"").digest()


def test_any_change_of_the_leaves_changes_the_root() -> None:
    leaves = np.random.default_rng(0).integers(0, 256, (7, 64), dtype=np.uint8)
    root = root_of(leaves)
    changed = leaves.copy()
    changed[3, 5] ^= 1
    others = [changed, leaves[:-1], leaves[::-1], np.concatenate([leaves, leaves[-1:]]),
              leaves[[1, 0, 2, 3, 4, 5, 6]]]  # fmt: skip
    assert len({root, *(root_of(other) for other in others)}) == 6


def test_rows_are_named_by_all_their_layers() -> None:
    rng = np.random.default_rng(1)
    rows = {"pool": rng.normal(size=(3, 4)).astype(np.float32),
            "logits": rng.normal(size=(3, 2)).astype(np.float32)}  # fmt: skip
    first = hashlib.sha256(rows["logits"][0].tobytes() + rows["pool"][0].tobytes()).digest()
    digests = row_digests(rows)
    assert digests[0].tobytes() == first
    assert len({digest.tobytes() for digest in digests}) == 3


@pytest.mark.parametrize(("units", "changed", "looked"), [(20, 3, 5), (50, 1, 10), (9, 9, 1)])
def test_the_chance_of_being_caught_is_hypergeometric(
    units: int, changed: int, looked: int
) -> None:
    exact = 1 - comb(units - changed, looked) / comb(units, looked)
    assert caught(units, changed, looked) == pytest.approx(exact)
    rng = np.random.default_rng(2)
    drawn = rng.hypergeometric(changed, units - changed, looked, size=4000) > 0
    assert drawn.mean() == pytest.approx(exact, abs=0.03)


def test_what_may_have_been_missed() -> None:
    assert largest_missed(100, 100) == 0.0
    share = largest_missed(1000, 20)
    assert caught(1000, round(share * 1000), 20) < 0.95 <= caught(1000, round(share * 1000) + 1, 20)
    with pytest.raises(ValueError, match="changed"):
        caught(5, 6, 1)


def test_moments_come_back_bit_for_bit_and_damage_is_told() -> None:
    rows = torch.randn(50, 6, generator=torch.Generator().manual_seed(3))
    moments = stream_moments(iter([rows]), [50])[50]
    arrays = packed("samples/pool/50", moments)
    assert arrays["samples/pool/50/scatter"].shape == (21,)
    again = unpacked("samples/pool/50", arrays)
    assert again.count == 50
    assert torch.equal(again.mean, moments.mean)
    assert torch.equal(again.scatter.tril(), moments.scatter.tril())
    with pytest.raises(GenbenchError, match="not written whole"):
        unpacked("samples/pool/51", arrays)
    arrays["samples/pool/50/scatter"] = np.zeros(20)
    with pytest.raises(GenbenchError, match="damaged"):
        unpacked("samples/pool/50", arrays)
