"""Stores: a folder, and what fsspec opens, alike in all that shards and leases rest on."""

from __future__ import annotations

import errno
import os
import sys
import uuid
from pathlib import Path

import fsspec
import numpy as np
import pytest

from genbench.errors import GenbenchError, UsageError
from genbench.runtime import files
from genbench.runtime.addresses import address_in, without_secrets
from genbench.runtime.folders import cache_folder
from genbench.runtime.shards import ShardFolder
from genbench.runtime.stores import AddressStore, FolderStore, Store, store_at

KINDS = ("folder", "memory", "file")


def place(kind: str, tmp_path: Path) -> Path:
    """A path as the command line makes it of an address: of two slashes one is left."""
    if kind == "folder":
        return tmp_path / "a"
    return Path(f"memory://{uuid.uuid4().hex}/a" if kind == "memory" else f"file://{tmp_path}/a")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return store_at(place(request.param, tmp_path))


def test_a_store_is_files_by_name(store: Store) -> None:
    assert store.read("x") is None
    assert store.modified("x") is None
    assert store.names() == []
    assert not store.remove("x")
    store.write("x", b"1")
    store.write("x", b"22")
    store.write("y", b"")
    assert store.read("x") == b"22"
    assert store.names() == ["x", "y"]
    assert store.remove("x")
    assert store.names() == ["y"]


def test_of_two_that_create_one_succeeds(store: Store) -> None:
    assert store.create("x", b"first")
    assert not store.create("x", b"second")
    assert store.read("x") == b"first"


def test_files_are_dated_by_the_clock_that_the_store_tells(store: Store) -> None:
    store.write("x", b"1")
    written = store.modified("x")
    assert written is not None
    store.touch("x")
    touched = store.modified("x")
    assert touched is not None
    assert written <= touched <= store.now() <= touched + 60
    assert store.names() == ["x"]  # nothing is left of the look at the clock


@pytest.mark.parametrize("kind", KINDS)
def test_shards_lie_in_any_store(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "near"))
    root, data = place(kind, tmp_path), np.arange(10.0).reshape(5, 2)
    ShardFolder(root, {"a": 1}).write(0, {"pool": data})
    again = ShardFolder(root, {"a": 1})
    assert again.holds(0, ["pool"], 5)
    found = again.read(0, "pool", 4)
    assert found is not None
    assert np.array_equal(found, data[:4])
    again.store.write("000000-pool.npz", b"damaged")
    assert not again.holds(0, ["pool"], 5)
    assert len(again.corrupt) == 1
    assert not again.store.read("000000-pool.npz")


def test_shards_of_an_address_are_read_again_from_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    folder = ShardFolder(place("memory", tmp_path), {})
    folder.write(0, {"pool": np.ones((5, 2))})
    assert folder.holds(0, ["pool"], 5)
    monkeypatch.setattr(folder.store, "read", lambda name: pytest.fail("read twice"))
    assert folder.read(0, "pool", 5) is not None
    monkeypatch.undo()
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    folder.write(0, {"pool": np.ones((7, 2))})  # a longer shard is no copy's
    assert folder.read(0, "pool", 7) is not None


def test_a_folder_of_others_is_left_as_it_is(tmp_path: Path) -> None:
    ShardFolder(tmp_path / "a" / "features", {}).write(0, {"pool": np.ones((5, 2))})
    own = ShardFolder(tmp_path / "b" / "features", {})
    other = own.of_cache(tmp_path / "a")
    next(other.path.glob("*.npz")).write_bytes(b"damaged")
    before = sorted(tmp_path.rglob("*"))
    assert other.read(0, "pool", 5) is None
    assert own.of_cache(tmp_path / "nowhere").read(0, "pool", 5) is None
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_backend_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UsageError, match=r"s3://bucket/x: s3:// needs a library.*s3fs"):
        AddressStore("s3://key:secret@bucket/x")
    with pytest.raises(UsageError, match=r"nosuch://a: no store can be opened"):
        AddressStore("nosuch://a")


def test_a_store_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    store = AddressStore(f"memory://{uuid.uuid4().hex}")

    def refused(*_: object, **__: object) -> None:
        raise RuntimeError("403 for memory://u:secret@b?token=1")

    for name in ("pipe_file", "cat_file", "rm_file", "modified"):
        monkeypatch.setattr(fsspec.get_filesystem_class("memory"), name, refused)
    for call in (
        lambda: store.read("x"), lambda: store.write("x", b""), lambda: store.create("x", b""),
        lambda: store.remove("x"), lambda: store.modified("x"),
    ):  # fmt: skip
        with pytest.raises(GenbenchError, match=r"cannot .*403.*credentials") as told:
            call()
        assert "secret" not in str(told.value)
        assert "token" not in str(told.value)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        ("gs:/bucket", "gs://bucket"),
        ("file:///data/x", "file:///data/x"),
        ("/data/x", ""),
        ("C:/x", ""),
        ("a:b", ""),
        ("runs/a.jsonl", ""),
    ],
)
def test_addresses_survive_being_paths(path: str, address: str) -> None:
    assert address_in(Path(path)) == address
    assert address_in(path) == address


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("s3://key:secret@bucket/x", "s3://bucket/x"),
        ("--records=s3://k:sec/ret@bucket/x", "--records=s3://bucket/x"),
        (
            "https://host:8080/a@v1/f.pt?token=abc#sha256=12",
            "https://host:8080/a@v1/f.pt#sha256=12",
        ),
        ("hf:repo/file@rev", "hf:repo/file@rev"),
        ("samples.npz", "samples.npz"),
    ],
)
def test_no_secret_is_told(text: str, told: str) -> None:
    assert without_secrets(text) == told


def test_the_usual_cache_is_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", "s3://bucket")
    with pytest.raises(UsageError, match="--store"):
        cache_folder()


def test_a_rename_whose_answer_was_lost_is_a_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.replace

    def lost(source: Path, target: Path) -> None:
        rename(source, target)
        rename(source, target)  # as NFS repeats it

    monkeypatch.setattr(os, "replace", lost)
    with files.replacing(tmp_path / "x") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "x").read_text() == "new"
    monkeypatch.setattr(os, "replace", lambda source, target: rename(tmp_path / "gone", target))
    with pytest.raises(GenbenchError, match="cannot write"), files.replacing(tmp_path / "x") as new:
        new.write_text("newer")
    assert (tmp_path / "x").read_text() == "new"


def test_a_file_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, read, failures = FolderStore(tmp_path), Path.read_bytes, [errno.ESTALE]
    store.write("x", b"new")

    def stale(path: Path) -> bytes:
        if failures:
            raise OSError(failures.pop(), "stale")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", stale)
    assert store.read("x") == b"new"
    failures[:] = [errno.EIO]
    with pytest.raises(OSError, match="stale"):
        store.read("x")
