"""TFRecord files and LMDBs, written by tfrecord and lmdb."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
import webdataset
from pictures_made import encoded, folder_of, labels, pixels
from tfrecord import TFRecordWriter

from genbench.errors import GenbenchError, UsageError
from genbench.images.examples import features_of
from genbench.images.opening import open_image_set

Example = Mapping[str, tuple[Any, str]]


def records(path: Path, examples: Sequence[Example]) -> Path:
    writer = TFRecordWriter(str(path))
    for example in examples:
        writer.write(dict(example))
    writer.close()
    return path


def imagenet(number: int) -> Example:
    """Features of tensorflow/models' build_imagenet_data.py."""
    return {
        "image/height": (8, "int"),
        "image/class/label": (1 + number % 3, "int"),
        "image/class/synset": (f"n0{number % 3}".encode(), "byte"),
        "image/object/bbox/xmin": ([0.5, 0.25], "float"),
        "image/object/bbox/label": ([1, 300], "int"),
        "image/encoded": (encoded(number), "byte"),
    }


def raw(number: int, size: int = 4, label: int | None = None) -> Example:
    """Features of ProGAN's dataset_tool.py."""
    planes = np.full((3, size, size), number, np.uint8)
    planes[1] += np.arange(size, dtype=np.uint8)
    held: dict[str, tuple[Any, str]] = {
        "shape": ([3, size, size], "int"), "data": (planes.tobytes(), "byte"),
    }  # fmt: skip
    return held if label is None else {**held, "label": (label, "int")}


def test_records_of_imagenet(tmp_path: Path) -> None:
    for at in range(2):
        examples = [imagenet(number) for number in range(5 * at, 5 * at + 5)]
        records(tmp_path / f"train-{at:05d}-of-00002", examples)
    wanted = pixels(folder_of(tmp_path.parent / "imagenet", [encoded(at) for at in range(10)]))
    for spec in (
        str(tmp_path),
        f"{tmp_path}/train-*",
        f"{tmp_path}/train-{{00000..00001}}-of-00002",
    ):
        assert torch.equal(pixels(spec), wanted)
        assert labels(spec) == [number % 3 for number in range(10)]
        assert open_image_set(spec).class_names == ("n00", "n01", "n02")


def test_records_of_other_features(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    examples = [{"image": (encoded(at), "byte"), "label": (at, "int")} for at in range(3)]
    assert labels(records(path, examples)) == [0, 1, 2]
    records(path, [{"picture": (encoded(at), "byte"), "size": (8, "int")} for at in range(3)])
    with pytest.raises(UsageError, match=r"as a\.tfrecord#FEATURE \(it has picture, size\)"):
        open_image_set(str(path))
    assert pixels(f"{path}#picture")[:, 0, 3, 3].tolist() == [0, 1, 2]
    for name in ("size", "image"):
        with pytest.raises(GenbenchError, match=r"size holds 0 pictures|no feature image"):
            open_image_set(f"{path}#{name}")
    records(path, [imagenet(0), {**imagenet(1), "image/class/label": (0, "int")}])
    with pytest.raises(GenbenchError, match="count from 1: write the labels again"):
        open_image_set(str(path))
    records(path, [imagenet(0), {"image/encoded": (encoded(1), "byte")}])
    with pytest.raises(GenbenchError, match="no class in image/class/label as others have"):
        open_image_set(str(path))


def test_raw_pixels_are_those_of_an_npz(tmp_path: Path) -> None:
    path = records(tmp_path / "x-r02.tfrecords", [raw(at, label=at % 2) for at in range(7)])
    found = pixels(path)
    assert found[:, 0, 0, 0].tolist() == list(range(7))
    assert found[3, 1, 2].tolist() == [3, 4, 5, 6]
    assert labels(path) == [0, 1] * 3 + [0]
    np.savez(tmp_path / "same.npz", found.permute(0, 2, 3, 1).numpy())
    assert open_image_set(str(path)).digest() == open_image_set(f"{tmp_path}/same.npz").digest()
    assert pixels(f"{path}[2:5]", crop="adm", resolution=2).shape == (3, 3, 2, 2)
    records(path, [raw(1), raw(2, size=8)])
    with pytest.raises(GenbenchError, match="is 8x8 but the first is 4x4: name the file of one"):
        open_image_set(str(path))
    records(path, [{**raw(1), "shape": ([1, 4, 4], "int")}])
    with pytest.raises(GenbenchError, match=r"48 bytes of shape \[1, 4, 4\], not uint8 RGB"):
        open_image_set(str(path))


@pytest.mark.parametrize(
    "odd",
    [
        {"shape": ([3, 1 << 32, 1 << 32], "int"), "data": (b"", "byte")},
        {"data": ([b"1" * 24, b"2" * 24], "byte")},
    ],
)
def test_raw_pixels_of_an_odd_shape_are_refused(odd: Example, tmp_path: Path) -> None:
    path = records(tmp_path / "a.tfrecords", [{**raw(1), **odd}])
    with pytest.raises(GenbenchError, match=r"of shape \[.*, not uint8 RGB \[3, H, W\] in one"):
        open_image_set(str(path))


def test_a_label_of_two_thousand_million_names_no_classes(tmp_path: Path) -> None:
    held = {**imagenet(1), "image/class/label": ((1 << 31) - 1, "int")}
    found = open_image_set(str(records(tmp_path / "a.tfrecord", [held])))
    assert found.class_names == ()
    assert labels(tmp_path / "a.tfrecord") == [(1 << 31) - 2]


def test_damaged_records(tmp_path: Path) -> None:
    path = records(tmp_path / "a.tfrecord", [imagenet(at) for at in range(2)])
    whole = path.read_bytes()
    for length in (1, 11, 12, 100, len(whole) // 2 + 5, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(GenbenchError, match=r"a\.tfrecord is damaged .*cut short"):
            pixels(path)
    path.write_bytes(b"")
    with pytest.raises(GenbenchError, match="is empty"):
        open_image_set(str(path))
    middle = whole.index(b"IDAT") + 20
    for place in (
        0,
        8,
        middle,
        len(whole) - 1,
    ):  # length, its checksum, a pixel, the data's checksum
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(GenbenchError, match=r"checksum of the (length|record) at byte"):
            pixels(path)
    path.write_bytes(b"\x1f\x8b" + whole)
    with pytest.raises(GenbenchError, match="is compressed"):
        open_image_set(str(path))


def test_what_is_no_example() -> None:
    for record in (
        b"\xff" * 20,
        b"\x0a\x7f",
        b"\x0a\x03\x0a\x05x",
        b"\x0b",
        b"\x80" * 12,
        b"\x09ab",
    ):
        with pytest.raises(ValueError, match=r"field|number|message"):
            features_of(memoryview(record))
    assert features_of(memoryview(b"")) == {}
    # An Int64List may be packed (as all writers do) or not, and holds numbers below 0.
    minus = b"\x08" + b"\xff" * 9 + b"\x01"
    entry = (
        b"\x0a\x01a\x12"
        + bytes([len(minus) + 4])
        + b"\x1a"
        + bytes([len(minus) + 2])
        + minus
        + b"\x08\x05"
    )
    features = b"\x0a" + bytes([len(entry)]) + entry
    found = features_of(memoryview(b"\x0a" + bytes([len(features)]) + features))
    assert found["a"].numbers == [-1, 5]


def database(path: Path, entries: Mapping[bytes, bytes], *, subdir: bool = True) -> Path:
    with (
        lmdb.open(str(path), map_size=1 << 22, subdir=subdir) as opened,
        opened.begin(write=True) as into,
    ):
        for key, value in entries.items():
            into.put(key, value)
    return path


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # torch has threads
def test_an_lmdb_as_lsun_publishes_it(tmp_path: Path) -> None:
    keys = [b"ff01", b"0a2b", b"77"]
    path = database(tmp_path / "bedroom_val_lmdb",
                    {key: encoded(at, kind="WEBP") for at, key in enumerate(keys)})  # fmt: skip
    found = open_image_set(str(path))
    assert len(found) == 3
    assert found.labels is None
    ordered = [encoded(keys.index(key), kind="WEBP") for key in sorted(keys)]
    same = folder_of(tmp_path / "f", ordered)
    assert torch.equal(pixels(path), pixels(same))
    again = open_image_set(str(path / "data.mdb"))  # a second time in this process
    assert again.digest() == found.digest()
    child = os.fork()
    if not child:  # must not use the parent's
        equal = False
        try:
            equal = torch.equal(found.read(0, 3), again.read(0, 3))
        finally:
            os._exit(0 if equal else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_lmdb_with_other_entries(tmp_path: Path) -> None:
    entries = {b"8-%05d" % at: encoded(at) for at in range(3)}
    entries |= {b"16-%05d" % at: encoded(at, 16) for at in range(3)} | {b"length": b"3"}
    path = database(tmp_path / "a.lmdb", entries, subdir=False)
    with pytest.raises(GenbenchError, match=r"8-00000 is 8x8 but the first is 16x16"):
        pixels(path)
    assert pixels(f"{path}#8-")[:, 0, 3, 3].tolist() == [0, 1, 2]
    with pytest.raises(UsageError, match="no keys that begin with 32-"):
        open_image_set(f"{path}#32-")
    database(tmp_path / "b", {b"1": encoded(1), b"2": b"\x80\x04K\x01."})
    with pytest.raises(GenbenchError, match=r"b:2 is no PNG.*name it, as b#PREFIX"):
        open_image_set(str(tmp_path / "b"))


def test_what_is_no_lmdb(tmp_path: Path) -> None:
    path = database(tmp_path / "a", {b"%d" % at: encoded(at, 64) + bytes(9000) for at in range(20)})
    data = path / "data.mdb"
    whole = data.read_bytes()
    for length in (0, 100, 5000, len(whole) // 2, len(whole) - 4096):
        data.write_bytes(whole[:length])
        with pytest.raises(GenbenchError, match=r"damaged or no LMDB \("):
            open_image_set(str(path))
    data.write_bytes(b"x" * 9000)
    with pytest.raises(GenbenchError, match="damaged or no LMDB"):
        open_image_set(str(path))
    data.write_bytes(struct.pack("<Q", 0) * 2000)
    with pytest.raises(GenbenchError, match="damaged or no LMDB"):
        open_image_set(str(path))


def test_the_same_files_in_the_same_order_have_one_digest(tmp_path: Path) -> None:
    files = [encoded(at) for at in range(5)]
    folder_of(tmp_path / "f", files)
    (tmp_path / "a.txt").write_text("".join(f"f/{at:06d}.png\n" for at in range(5)))
    records(tmp_path / "a.tfrecord", [{"image": (data, "byte")} for data in files])
    database(tmp_path / "a", {b"%d" % at: data for at, data in enumerate(files)})
    pyarrow.parquet.write_table(pyarrow.table({"image": files}), tmp_path / "a.parquet")
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        for at, data in enumerate(files):
            writer.write({"__key__": str(at), "png": data, "cls": at})
    names = ("a.txt", "a.tfrecord", "a", "a.parquet", "a.tar")
    assert len({open_image_set(f"{tmp_path}/{name}").digest() for name in names}) == 1
    other = open_image_set(f"{tmp_path}/a.parquet", crop="adm", resolution=4).digest()
    assert other != open_image_set(f"{tmp_path}/a.parquet").digest()
    assert open_image_set(f"{tmp_path}/a", crop="adm", resolution=4).digest() == other
