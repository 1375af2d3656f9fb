"""Tars of pictures and WebDataset's shards, written by tarfile, tar and webdataset."""

from __future__ import annotations

import gc
import gzip
import io
import subprocess
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import webdataset
from pictures_made import encoded, folder_of, labels, pixels

from genbench.errors import GenbenchError, UsageError
from genbench.images.opening import open_image_set


def tar_of(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def shard(path: Path, first: int, count: int, **more: object) -> Path:
    with webdataset.TarWriter(str(path)) as writer:
        for number in range(first, first + count):
            sample = {"__key__": f"{number:05d}", "png": encoded(number), "cls": number % 3}
            writer.write({**sample, **more})
    return path


def test_a_tar_of_class_folders_is_the_folder(tmp_path: Path) -> None:
    folder_of(tmp_path / "f" / "n02", [encoded(1), encoded(2)])
    folder_of(tmp_path / "f" / "n01", [encoded(3)])
    (tmp_path / "f" / ".DS_Store").write_text("left behind")
    path = tmp_path / "f.tar"
    subprocess.run(["tar", "-cf", path, "-C", tmp_path, "f"], check=True)
    folder, tar = open_image_set(str(tmp_path / "f")), open_image_set(str(path))
    assert torch.equal(pixels(path), pixels(tmp_path / "f"))
    assert tar.digest() == folder.digest()
    assert tar.class_names == folder.class_names == ("n01", "n02")
    assert labels(path) == [0, 1, 1]


@pytest.mark.filterwarnings("ignore:unclosed file")  # webdataset leaves its shards open
def test_shards_of_webdataset(tmp_path: Path) -> None:
    for number in range(3):
        shard(tmp_path / f"data-{number:03d}.tar", 4 * number, 4, txt="a caption")
    wanted = pixels(folder_of(tmp_path / "f", [encoded(number) for number in range(12)]))
    spec = f"{tmp_path}/data-{{000..002}}.tar"
    for named in (spec, f"{tmp_path}/data-*.tar", f"{tmp_path}/data-{{000,001,002}}.tar"):
        assert torch.equal(pixels(named), wanted)
        assert labels(named) == [number % 3 for number in range(12)]
    assert torch.equal(pixels(f"{spec}[5:9]"), wanted[5:9])
    assert torch.equal(
        pixels(f"{tmp_path}/data-{{002..001}}.tar"), wanted[[8, 9, 10, 11, *range(4, 8)]]
    )
    theirs = webdataset.WebDataset(spec, shardshuffle=False).decode("torchrgb8")
    assert [int(sample["png"][0, 3, 3]) for sample in theirs] == wanted[:, 0, 3, 3].tolist()
    del theirs
    gc.collect()
    (tmp_path / "g").mkdir()
    for number in range(3):
        (tmp_path / f"data-{number:03d}.tar").rename(tmp_path / "g" / f"data-{number:03d}.tar")
    assert torch.equal(pixels(tmp_path / "g"), wanted)
    assert open_image_set(str(tmp_path / "g"), crop="adm", resolution=4).size == (4, 4)


def test_labels_in_json_and_of_folders(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    tar_of(path, {"x/1.jpg": encoded(1, kind="JPEG"), "x/1.json": b'{"label": 7, "w": 8}',
                  "x/2.JSON": b'{"label": 5}', "x/2.webp": encoded(2, kind="WEBP")})  # fmt: skip
    assert labels(path) == [7, 5]
    tar_of(path, {"b/1.png": encoded(1), "b/1.json": b'{"w": 8}',
                  "a/1.png": encoded(2), "a/1.json": b"{}"})  # fmt: skip
    assert labels(path) == [1, 0]
    assert open_image_set(str(path)).class_names == ("a", "b")


def test_several_pictures_a_sample(tmp_path: Path) -> None:
    files = {"1.in.png": encoded(1), "1.out.png": encoded(2), "1.cls": b"0"}
    path = tar_of(tmp_path / "a.tar", files)
    with pytest.raises(UsageError, match=r"2 pictures, \.in\.png and \.out\.png.*a\.tar#in\.png"):
        open_image_set(str(path))
    assert int(pixels(f"{path}#out.png")[0, 0, 3, 3]) == 2
    with pytest.raises(UsageError, match=r"has no \.png \(only cls, in\.png, out\.png\)"):
        open_image_set(f"{path}#png")


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "holds no PNG, JPEG or WebP images"),
        ({"1.png": encoded(1), "1.cls": b"0", "2.png": encoded(2)}, r"a\.tar:2 has no label"),
        ({"1.png": encoded(1), "1.cls": b"cat"}, r"1\.cls is no cls"),
        ({"1.png": encoded(1), "1.cls": b"-1"}, r"1\.cls holds no class but '-1'"),
        ({"1.png": encoded(1), "1.json": b'{"label": 1'}, r"1\.json is no json"),
        ({"1.cls": b"0"}, r"1 has no PNG, JPEG or WebP picture, only \.cls"),
        ({"1.mp4": b"x"}, r"1\.mp4 is a video: .*ffmpeg"),
        ({"1.png": encoded(1), "a/../1.png": encoded(1)}, r"1\.png twice"),
        ({"1.png": encoded(1), "2.png": encoded(1, 9)}, r"2\.png is 9x9 but 1\.png is 8x8.*--crop"),
        ({"1.png": encoded(1)[:60]}, r"a\.tar:1\.png is damaged"),
    ],
)
def test_what_is_wrong_is_named(files: dict[str, bytes], complaint: str, tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", files)
    with pytest.raises(GenbenchError, match=complaint):
        pixels(path)


def test_mixed_sizes_in_shards_are_said_when_they_are_read(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", {"1.png": encoded(1), "1.cls": b"0",
                                       "2.png": encoded(1, 9), "2.cls": b"0"})  # fmt: skip
    images = open_image_set(str(path))
    with pytest.raises(GenbenchError, match=r"a\.tar:2 is 9x9 but the first is 8x8.*--res R"):
        images.read(0, 2)
    assert pixels(path, crop="adm", resolution=4).shape == (2, 3, 4, 4)


def test_a_tar_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    whole = shard(tmp_path / "a.tar", 0, 3).read_bytes()
    end = whole.rstrip(b"\0")
    path = tmp_path / "b.tar"
    for length in [*range(1, len(end), 211), len(end) // 512 * 512, 512, 1024]:
        path.write_bytes(whole[:length])
        with pytest.raises(GenbenchError, match=r"b\.tar is damaged or no tar \("):
            open_image_set(str(path))


def test_tars_that_other_tools_would_read_in_part(tmp_path: Path) -> None:
    whole = shard(tmp_path / "a.tar", 0, 3).read_bytes()
    path = tmp_path / "b.tar"
    path.write_bytes(whole + whole)
    with pytest.raises(GenbenchError, match="goes on behind its end mark"):
        open_image_set(str(path))
    header = bytearray(whole)
    header[1024 + 150] ^= 255  # in the header of the second file
    path.write_bytes(header)
    with pytest.raises(GenbenchError, match=r"no header at byte 1024|invalid header"):
        open_image_set(str(path))
    path.write_bytes(gzip.compress(whole))
    with pytest.raises(GenbenchError, match=r"is compressed.*gunzip"):
        open_image_set(str(path))
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("1.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(GenbenchError, match=r"1\.png is a link.*tar -h"):
        open_image_set(str(path))


def test_a_second_name_of_a_file_is_read_where_the_file_lies(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", [encoded(1)])
    (folder / "000001.png").hardlink_to(folder / "000000.png")
    subprocess.run(["tar", "-cf", tmp_path / "f.tar", "-C", tmp_path, "f"], check=True)
    assert pixels(tmp_path / "f.tar")[:, 0, 3, 3].tolist() == [1, 1]


def test_many_threads_read_one_set(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", 0, 24)
    images, wanted = open_image_set(str(path)), pixels(path)
    wrong: list[int] = []

    def read(first: int) -> None:
        for index in range(first, 24):
            if not torch.equal(images.read(index, index + 1)[0], wanted[index]):
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_folder_of_several_sets_is_asked_about(tmp_path: Path) -> None:
    for name in ("train-0.tar", "train-1.tar", "val-0.tar"):
        shard(tmp_path / name, 0, 2)
    with pytest.raises(UsageError, match=r"files of 2 sets \(train-0\.tar, val-0\.tar\)"):
        open_image_set(str(tmp_path))
    assert len(open_image_set(f"{tmp_path}/train-*.tar")) == 4
    for spec, complaint in (
        (f"{tmp_path}/train-{{0..2}}.tar", r"train-2\.tar of .* is missing"),
        (f"{tmp_path}/x-*.tar", "fits no file"),
        (f"{tmp_path}/x-{{0..9999999}}.tar", "10000000 files: shorten"),
    ):
        with pytest.raises(UsageError, match=complaint):
            open_image_set(spec)
