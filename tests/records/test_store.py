"""Records and shards: append-only, atomic, and sure to notice damage."""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from genbench.errors import GenbenchError
from genbench.records.measurement import Measurement
from genbench.records.store import append_records, read_records
from genbench.runtime import files
from genbench.runtime.shards import SHARD_ROWS, ShardFolder, shard_spans


def measurement(value: float = 1.0, run: str = "r") -> Measurement:
    return Measurement(
        model="toy", resolution=32, metric="fd", value=value, unit="", samples=10,
        detector="efficientnet-lite0", protocol="bundled", protocol_digest="0", checkpoint="",
        seed=0, run=run, environment={"torch": "x"}, notes=("n",), low=0.1,
    )  # fmt: skip


def test_records_come_back_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.jsonl"
    kept = [measurement(0.1 + 0.2), measurement(1e-300)]
    append_records(path, kept[:1])
    append_records(path, kept[1:])
    assert read_records(path) == kept
    assert read_records(tmp_path / "none.jsonl") == []


def test_a_torn_last_line_is_dropped_and_a_foreign_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_records(path, [measurement()])
    whole = path.read_text()
    path.write_text(whole + whole[:40])
    append_records(path, [measurement(2.0)])
    assert [item.value for item in read_records(path)] == [1.0, 2.0]
    path.write_text(whole + '{"model": "x", "colour": 1}\n')
    with pytest.raises(GenbenchError, match="colour"):
        read_records(path)
    path.write_text(whole + "what\n")
    with pytest.raises(GenbenchError, match="line 2"):
        read_records(path)


def test_a_nan_is_never_recorded() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        dataclasses.replace(measurement(), value=float("nan")).to_json()


def _append_many(path: str, name: str) -> None:
    for number in range(50):
        append_records(Path(path), [measurement(float(number), name)])


def test_two_runs_append_to_one_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(str(path), name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_records(path)) == 100


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


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "text"])
def test_a_damaged_shard_is_noticed_and_removed(tmp_path: Path, damage: str) -> None:
    folder = ShardFolder(tmp_path, {})
    folder.write(0, {"pool": np.ones((5, 64), np.float32)})
    path = next(folder.path.glob("*.npz"))
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        del content[len(content) // 2 :]
    elif damage == "flip":
        content[len(content) // 2] ^= 0x10
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
