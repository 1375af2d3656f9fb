"""Folders and zips of pictures: what is passed over, followed, converted, refused, and in which
order."""

from __future__ import annotations

import json
import os
import struct
import threading
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from genbench.errors import GenbenchError
from genbench.images import decoding, pictures
from genbench.images.opening import open_image_set
from genbench.images.sets import batches

Pixels = NDArray[np.uint8]


def save(path: Path, value: int = 0, size: int = 8, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (value, 0, 0)).save(path, **options)
    return path


def values(path: Path) -> list[int]:
    """The red of each picture."""
    images = open_image_set(str(path))
    found: list[int] = images.read(0, len(images))[:, 0, 0, 0].tolist()
    return found


def only_picture(path: Path) -> Pixels:
    found: Pixels = open_image_set(str(path)).read(0, 1)[0].permute(1, 2, 0).numpy()
    return found


def zipped(folder: Path, prefix: str = "", compression: int = zipfile.ZIP_DEFLATED) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", compression) as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return target


def test_order_is_that_of_the_paths_in_folders_and_zips(tmp_path: Path) -> None:
    names = ["b.png", "B.PNG", "a/z.png", "a/b/c.png", "a-b/x.png", "10.png", "9.png"]
    for number, name in enumerate(names):
        save(tmp_path / "f" / name, number)
    expected = [names.index(name) for name in sorted(names)]
    assert values(tmp_path / "f") == expected
    assert values(zipped(tmp_path / "f")) == expected
    assert open_image_set(str(tmp_path / "f")).labels is None  # some lie outside any sub-folder


@pytest.mark.parametrize("prefix", ["", "all/"])
def test_a_zip_of_class_folders_is_the_folder(prefix: str, tmp_path: Path) -> None:
    for name, value in (("n02/x.png", 7), ("n01/y.png", 8), ("n01/deep/z.png", 9)):
        save(tmp_path / "f" / name, value)
    folder = open_image_set(str(tmp_path / "f"))
    archive = open_image_set(str(zipped(tmp_path / "f", prefix)))
    assert archive.class_names == folder.class_names == ("n01", "n02")
    assert archive.labels is not None
    assert archive.labels.tolist() == [0, 0, 1]
    assert archive.digest() == folder.digest()
    assert torch.equal(archive.read(0, 3), folder.read(0, 3))


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    save(tmp_path / "f" / "a" / "1.png", 5)
    for name in (".DS_Store", "__MACOSX/a/1.png", ".git/x/config", "a/Thumbs.db", "desktop.ini"):
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "f" / name).write_text("left behind")
    for path in (tmp_path / "f", zipped(tmp_path / "f")):
        images = open_image_set(str(path))
        assert len(images) == 1
        assert images.read(0, 1)[0, 0, 0, 0] == 5


@pytest.mark.parametrize("name", ["notes.txt", "a/labels.json", "scan.tiff", "noending"])
def test_any_other_file_is_named_with_the_remedy(name: str, tmp_path: Path) -> None:
    save(tmp_path / "f" / "a" / "1.png")
    (tmp_path / "f" / name).write_text("x")
    for path in (tmp_path / "f", zipped(tmp_path / "f")):
        with pytest.raises(GenbenchError, match=f"{name}.*move or convert it"):
            open_image_set(str(path))


def test_the_content_decides_what_a_picture_is(tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8), "green")
    for name, kind in (("jpeg.png", "JPEG"), ("webp.jpg", "WEBP")):  # wrongly named, but known
        (tmp_path / "f").mkdir(exist_ok=True)
        picture.save(tmp_path / "f" / name, format=kind)
    assert len(values(tmp_path / "f")) == 2
    picture.save(tmp_path / "f" / "x.png", format="BMP")
    with pytest.raises(GenbenchError, match=r"x\.png is no PNG, JPEG or WebP image"):
        open_image_set(str(tmp_path / "f"))


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    save(tmp_path / "elsewhere" / "cats" / "1.png", 3)
    save(tmp_path / "f" / "dogs" / "1.png", 4)
    (tmp_path / "f" / "cats").symlink_to(tmp_path / "elsewhere" / "cats")
    (tmp_path / "f" / "cats2").symlink_to(tmp_path / "f" / "cats")
    assert values(tmp_path / "f") == [3, 3, 4]
    (tmp_path / "f" / "dogs" / "up").symlink_to(tmp_path / "f")
    with pytest.raises(GenbenchError, match="dogs/up is a link in a circle"):
        open_image_set(str(tmp_path / "f"))
    for one, other in (("a", "b"), ("b", "a")):  # two folders that link to each other
        (tmp_path / "ring" / one).mkdir(parents=True)
        (tmp_path / "ring" / one / "l").symlink_to(f"../{other}")
    with pytest.raises(GenbenchError, match=r"a/l/l is a link in a circle"):
        open_image_set(str(tmp_path / "ring"))


def test_what_is_no_file_is_named_and_never_waited_for(tmp_path: Path) -> None:
    save(tmp_path / "f" / "1.png")
    os.mkfifo(tmp_path / "f" / "2.png")
    with pytest.raises(GenbenchError, match=r"2\.png is a device or a pipe, no file: remove it"):
        open_image_set(str(tmp_path / "f"))
    save(tmp_path / "g" / "1.png")
    (tmp_path / "g" / "2.png").write_bytes(b"")
    with pytest.raises(GenbenchError, match=r"2\.png is empty: write it again"):
        open_image_set(str(tmp_path / "g"))


def test_members_of_a_zip_may_begin_with_a_dot(tmp_path: Path) -> None:
    save(tmp_path / "f" / "a" / "1.png", 7)
    save(tmp_path / "f" / "b" / "2.png", 8)
    assert values(zipped(tmp_path / "f", "./")) == [7, 8]
    archive = open_image_set(str(zipped(tmp_path / "f", "./")))
    assert archive.class_names == ("a", "b")
    assert archive.digest() == open_image_set(str(tmp_path / "f")).digest()


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    save(tmp_path / "f" / "1.png", 6)
    os.replace(tmp_path / "f" / "1.png", os.fsencode(tmp_path / "f") + b"/\xff.png")
    assert values(tmp_path / "f") == [6]
    assert len(open_image_set(str(tmp_path / "f")).digest()) == 64


def test_unreadable_files_and_folders_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "f" / "1.png")
    (tmp_path / "f" / "2.png").symlink_to("nowhere")
    with pytest.raises(GenbenchError, match=r"2\.png is a broken link: remove it"):
        open_image_set(str(tmp_path / "f"))

    def denied(path: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(GenbenchError, match=r"cannot read .*f: Permission denied; check its perm"):
        open_image_set(str(tmp_path / "f"))


def test_a_picture_twice_in_a_zip(tmp_path: Path) -> None:
    path = save(tmp_path / "1.png")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(path, "1.png")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.write(path, "1.png")
    with pytest.raises(GenbenchError, match=r"1\.png twice"):
        open_image_set(str(tmp_path / "x.zip"))


def test_encrypted_damaged_and_empty_zips(tmp_path: Path) -> None:
    save(tmp_path / "f" / "1.png")
    whole = zipped(tmp_path / "f").read_bytes()
    encrypted = bytearray(whole)
    encrypted[6] |= 1
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    empty = b"PK\x05\x06" + bytes(18)
    for content, complaint in (
        (bytes(encrypted), "encrypted"),
        (whole[:-30], "damaged or no zip"),
        (b"no zip at all", "damaged or no zip"),
        (empty, "no PNG, JPEG or WebP"),
    ):
        (tmp_path / "x.zip").write_bytes(content)
        with pytest.raises(GenbenchError, match=complaint) as caught:
            open_image_set(str(tmp_path / "x.zip"))
        assert "x.zip" in str(caught.value)


def test_sixteen_bits_keep_the_high_byte_in_grey_and_colour(tmp_path: Path) -> None:
    """PIL cannot write 16-bit RGB, so the file is put together here."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    high = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    for kind, channels in ((2, 3), (0, 1)):
        deep = high[..., :channels].astype(">u2") * 256 + 200
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
        header = struct.pack(">IIBBBBB", 5, 4, 16, kind, 0, 0, 0)
        content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
        content += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        (tmp_path / "f").mkdir(exist_ok=True)
        (tmp_path / "f" / "x.png").write_bytes(content)
        expected = np.broadcast_to(high[..., :channels], high.shape)
        assert np.array_equal(only_picture(tmp_path / "f"), expected)


def test_cmyk_becomes_rgb_and_the_camera_s_turn_is_not_applied(tmp_path: Path) -> None:
    grey = np.arange(0, 240, 5, dtype=np.uint8).reshape(6, 8)
    picture = Image.fromarray(np.repeat(grey[..., None], 3, axis=2))
    (tmp_path / "c").mkdir()
    picture.convert("CMYK").save(tmp_path / "c" / "x.jpg", quality=100)
    found = only_picture(tmp_path / "c")
    assert np.abs(found.astype(int) - np.asarray(picture)).max() < 8
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    (tmp_path / "e").mkdir()
    picture.save(tmp_path / "e" / "x.png", exif=exif)
    assert np.array_equal(only_picture(tmp_path / "e"), np.asarray(picture))


def test_an_opaque_palette_with_alpha_is_rgb(tmp_path: Path) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    palette = Image.fromarray(colours).quantize(32)
    (tmp_path / "f").mkdir()
    palette.save(tmp_path / "f" / "x.png", transparency=bytes([255] * 32))
    assert np.array_equal(only_picture(tmp_path / "f"), np.asarray(palette.convert("RGB")))


def test_a_jpeg_whose_size_comes_late(tmp_path: Path) -> None:
    """Some cameras put a thumbnail of more than 64 KiB before the picture's own header."""
    path = save(tmp_path / "f" / "x.jpg", 200, quality=95)
    content = path.read_bytes()
    comment = b"\xff\xfe" + (60_002).to_bytes(2, "big") + bytes(60_000)
    path.write_bytes(content[:2] + comment * 3 + content[2:])
    images = open_image_set(str(tmp_path / "f"))
    assert images.size == (8, 8)
    assert len(images.read(0, 1)) == 1


@pytest.mark.parametrize("size", [8, 80])  # below and above what threads are used for
def test_the_first_bad_picture_is_the_one_named(size: int, tmp_path: Path) -> None:
    for number in range(40):
        path = save(tmp_path / "f" / f"{number:02d}.png", number, size)
        if number in (11, 12, 13, 30):
            path.write_bytes(path.read_bytes()[:50])
    images = open_image_set(str(tmp_path / "f"))
    for _ in range(5):
        with pytest.raises(GenbenchError, match=r"11\.png is damaged"):
            images.read(0, 20)
    assert len(images.read(14, 30)) == 16


def test_a_picture_replaced_during_the_run(tmp_path: Path) -> None:
    save(tmp_path / "f" / "1.png")
    images = open_image_set(str(tmp_path / "f"))
    save(tmp_path / "f" / "1.png", size=9)
    with pytest.raises(GenbenchError, match=r"1\.png changed its size"):
        images.read(0, 1)


def test_digests_see_names_bytes_and_crop(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png"):
        save(tmp_path / name)
    found = [open_image_set(str(tmp_path / "a")).digest()]
    found += [open_image_set(str(tmp_path / "a"), crop="adm", resolution=4).digest()]
    found += [open_image_set(str(tmp_path / "a"), crop="resize", resolution=4).digest()]
    (tmp_path / "a" / "2.png").rename(tmp_path / "a" / "3.png")
    found += [open_image_set(str(tmp_path / "a")).digest()]
    save(tmp_path / "a" / "3.png", 1)
    found += [open_image_set(str(tmp_path / "a")).digest()]
    assert len(set(found)) == 5


def test_every_number_is_worked_on_once_and_threads_end() -> None:
    seen: list[int] = []
    pictures.for_each(seen.append, 1000, threads=5)
    assert sorted(seen) == list(range(1000))

    def fail(number: int) -> None:
        time.sleep(0.001)
        seen.append(number)
        raise GenbenchError(str(number))

    seen.clear()
    with pytest.raises(GenbenchError):
        pictures.for_each(fail, 1000, threads=5)
    assert len(seen) <= 5
    assert not [t for t in threading.enumerate() if t.name.startswith("ThreadPool")]


def test_an_interrupt_ends_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt  # as ^C does while the caller waits

    def work(number: int) -> None:
        time.sleep(0.005)
        done.append(number)

    monkeypatch.setattr("concurrent.futures.Future.result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pictures.for_each(work, 2000, threads=4)
    assert len(done) < 100


def test_decoding_uses_several_threads_for_large_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        save(tmp_path / "f" / f"{number:02d}.jpg", size=96)
    used: set[str] = set()
    decode = decoding.decode

    def noted(*arguments: Any, **options: Any) -> Any:
        used.add(threading.current_thread().name)
        time.sleep(0.01)
        return decode(*arguments, **options)

    monkeypatch.setattr(pictures, "decode", noted)
    images = open_image_set(str(tmp_path / "f"))
    assert sum(len(batch) for batch in batches(images, 0, 12, 12)) == 12
    assert len(used) >= 4


def test_labels_of_dataset_json(tmp_path: Path) -> None:
    """As EDM's dataset_tool.py writes them beside the folders of its images."""
    for number in range(3):
        save(tmp_path / "f" / "00000" / f"img{number}.png", number)
    names = [f"00000/img{number}.png" for number in range(3)]
    listing = tmp_path / "f" / "dataset.json"
    listing.write_text(json.dumps({"labels": [[name, 7 - at] for at, name in enumerate(names)]}))
    for path in (tmp_path / "f", zipped(tmp_path / "f")):
        opened = open_image_set(str(path))
        assert len(opened) == 3
        assert opened.labels is not None
        assert opened.labels.tolist() == [7, 6, 5]
    listing.write_text('{"labels": null}')
    assert open_image_set(str(tmp_path / "f")).labels is not None  # of the one sub-folder
    for wrong in ("[", '{"labels": [["00000/img0.png", 1]]}', '{"labels": 3}', "[1]",
                  json.dumps({"labels": [[name, 1.5] for name in names]})):  # fmt: skip
        listing.write_text(wrong)
        with pytest.raises(GenbenchError, match=r"dataset\.json"):
            open_image_set(str(tmp_path / "f"))


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    save(tmp_path / "f" / "1.png")
    (tmp_path / "f" / "self.png").symlink_to("self.png")
    with pytest.raises(GenbenchError, match=r"self\.png is a (link in a circle|broken link)"):
        open_image_set(str(tmp_path / "f"))


def test_members_above_the_zip_are_pictures_too(tmp_path: Path) -> None:
    save(tmp_path / "f" / "1.png", 5)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "f" / "1.png", "../1.png")
    assert values(tmp_path / "x.zip") == [5]


@pytest.mark.parametrize(
    ("offset", "change"),
    [(6, b"\xff\0"), (28, b"\0\0")],  # the version that is needed to unzip it; no name
)
def test_a_zip_that_no_program_made(offset: int, change: bytes, tmp_path: Path) -> None:
    save(tmp_path / "f" / "a.png")
    path = zipped(tmp_path / "f")
    content = path.read_bytes()
    at = content.rindex(b"PK\1\2") + offset
    path.write_bytes(content[:at] + change + content[at + 2 :])
    with pytest.raises(GenbenchError, match=r"f\.zip"):
        open_image_set(str(path))


def test_a_zip_whose_dictionary_could_be_of_any_size(tmp_path: Path) -> None:
    save(tmp_path / "f" / "a.png")
    path = zipped(tmp_path / "f", compression=zipfile.ZIP_LZMA)
    with pytest.raises(GenbenchError, match="compressed by LZMA: zip it the usual way"):
        open_image_set(str(path))


@pytest.mark.parametrize(("kind", "side"), [("png", 8700), ("webp", 7500)])
def test_a_kilobyte_that_is_a_huge_picture_takes_no_memory(
    kind: str, side: int, tmp_path: Path
) -> None:
    (tmp_path / "f").mkdir()
    save(tmp_path / "f" / f"a.{kind}", size=8, **({"lossless": True} if kind == "webp" else {}))
    path = tmp_path / "f" / f"a.{kind}"
    content = bytearray(path.read_bytes())
    if kind == "png":
        content[16:24] = struct.pack(">II", side, side)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    else:  # 14 bits each, less one, behind the signature of VP8L
        at = content.index(b"VP8L") + 9
        content[at : at + 4] = struct.pack("<I", (side - 1) | (side - 1) << 14)
    path.write_bytes(content)
    with pytest.raises(GenbenchError, match="suspiciously large"):
        open_image_set(str(tmp_path / "f"))


def test_a_member_that_says_it_is_longer_than_the_zip(tmp_path: Path) -> None:
    save(tmp_path / "f" / "a.png")
    path = zipped(tmp_path / "f", compression=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\1\2") + 20  # the compressed size in the directory
    content[at : at + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    with pytest.raises(GenbenchError, match=r"longer than it can be|damaged"):
        open_image_set(str(path))
