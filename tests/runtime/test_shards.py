"""Shards: atomic, and sure to notice damage."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from genbench.errors import GenbenchError
from genbench.runtime import files
from genbench.runtime.shards import SHARD_ROWS, ShardFolder, shard_spans


def test_shards_keep_their_arrays_by_key_and_layer(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(SHARD_ROWS, 3)).astype(np.float32)
    folder = ShardFolder(tmp_path, {"seed": 0})
    folder.write(0, {"pool": data})
    again = ShardFolder(tmp_path, {"seed": 0}).read(0, "pool", 7)
    assert again is not None
    assert np.array_equal(again, data[:7])
    assert ShardFolder(tmp_path, {"seed": 1}).read(0, "pool", 7) is None
    assert folder.read(0, "spatial", 7) is None
    assert folder.read(1, "pool", 7) is None


def test_a_short_shard_is_absent_when_more_rows_are_wanted(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path, {})
    folder.write(0, {"pool": np.zeros((5, 2), np.float32)})
    assert folder.holds(0, ["pool"], 5)
    assert not folder.holds(0, ["pool"], 6)
    assert shard_spans(SHARD_ROWS + 3) == [(0, SHARD_ROWS), (SHARD_ROWS, SHARD_ROWS + 3)]


def test_a_shard_of_more_rows_is_not_cut(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path, {})
    folder.write(0, {"pool": np.ones((7, 2), np.float32)})
    folder.write(0, {"pool": np.ones((5, 2), np.float32), "spatial": np.ones((5, 2), np.float32)})
    assert folder.holds(0, ["pool"], 7)
    assert folder.holds(0, ["pool", "spatial"], 5)


@pytest.mark.parametrize(
    "damage", ["truncate", "flip", "empty", "text", "long", "objects", "text array"]
)
def test_a_damaged_shard_is_noticed_and_removed(tmp_path: Path, damage: str) -> None:
    folder = ShardFolder(tmp_path, {})
    folder.write(0, {"pool": np.ones((5, 64), np.float32)})
    path = next(folder.path.glob("*.npz"))
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        del content[len(content) // 2 :]
    elif damage == "flip":
        content[len(content) // 2] ^= 0x10
    elif damage == "long":  # 4 TB, for which no memory is taken
        with zipfile.ZipFile(path, "w") as archive, archive.open("data.npy", "w") as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
            np.lib.format.write_array_header_1_0(member, header)
        content = bytearray(path.read_bytes())
    elif damage in ("objects", "text array"):
        held = np.array([None] * 5 if damage == "objects" else ["a"] * 5)
        np.savez(path, data=held)
        content = bytearray(path.read_bytes())
    else:
        content = bytearray(b"" if damage == "empty" else b"hello")
    path.write_bytes(content)
    assert folder.read(0, "pool", 5) is None
    assert folder.corrupt == [path]
    assert not path.exists()


def test_a_full_disk_is_one_line_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(GenbenchError, match=r"no space left.*kept\.txt"),
        files.replacing(path) as temporary,
    ):
        temporary.write_text("new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["kept.txt"]


def test_an_error_while_writing_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "new.txt"
    with pytest.raises(ZeroDivisionError), files.replacing(path) as temporary:
        temporary.write_text(f"half {1 // 0}")
    assert os.listdir(tmp_path) == []


def test_leftovers_of_killed_runs_are_tidied_once_old(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path, {})
    old, young = folder.path / ".a.tmp", folder.path / ".b.tmp"
    old.write_text("x")
    young.write_text("x")
    os.utime(old, (0, 0))
    ShardFolder(tmp_path, {})
    assert not old.exists()
    assert young.exists()
