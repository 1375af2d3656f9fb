"""Image sets: every format gives the same pixels, lazily; every unusual picture is converted or
refused as documented."""

from __future__ import annotations

import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from genbench.errors import GenbenchError, UsageError
from genbench.images.crops import cropped
from genbench.images.npz_writing import write_samples
from genbench.images.opening import open_image_set
from genbench.images.png_writing import image_grid, save_grid, write_folder
from genbench.images.rounding import to_uint8
from genbench.images.sets import ImageSet, batches

Pixels = NDArray[np.uint8]


def pixels(count: int = 12, height: int = 8, width: int = 8) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def as_folder(path: Path, data: Pixels) -> Path:
    path.mkdir()
    for number, picture in enumerate(data):
        Image.fromarray(picture).save(path / f"{number:03d}.png")
    return path


def as_zip(path: Path, data: Pixels) -> Path:
    folder = as_folder(path.with_suffix(""), data)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"pictures/{file.name}")
    return path


def as_stored(path: Path, data: Pixels) -> Path:
    np.savez(path, data)
    return path


def as_deflated(path: Path, data: Pixels) -> Path:
    np.savez_compressed(path, data)
    return path


FORMATS: dict[str, Callable[[Path, Pixels], Path]] = {
    "folder": as_folder,
    "set.zip": as_zip,
    "stored.npz": as_stored,
    "deflated.npz": as_deflated,
}


def everything(images: ImageSet) -> Pixels:
    whole: Pixels = torch.cat(list(images)).permute(0, 2, 3, 1).numpy()
    return whole


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_pixels(form: str, tmp_path: Path) -> None:
    data = pixels(150, height=6, width=9)
    images = open_image_set(str(FORMATS[form](tmp_path / form, data)))
    assert (len(images), images.size) == (150, (6, 9))
    batch = images.read(3, 5)
    assert batch.dtype == torch.uint8
    assert batch.shape == (2, 3, 6, 9)
    assert batch.is_contiguous()
    assert np.array_equal(everything(images), data)
    # Any order of reading, backwards too.
    for start, stop in ((140, 150), (0, 1), (7, 70)):
        again = images.read(start, stop).permute(0, 2, 3, 1).numpy()
        assert np.array_equal(again, data[start:stop])


@pytest.mark.parametrize("form", FORMATS)
def test_digests_name_the_content_not_the_place(form: str, tmp_path: Path) -> None:
    data = pixels()
    for name in "ab":
        (tmp_path / name).mkdir()
    one = open_image_set(str(FORMATS[form](tmp_path / "a" / form, data)))
    same = open_image_set(str(FORMATS[form](tmp_path / "b" / form, data)))
    assert one.digest() == same.digest()
    assert one.digest() != open_image_set(f"{tmp_path / 'a' / form}[:5]").digest()
    changed = data.copy()
    changed[-1, -1, -1, -1] ^= 1
    (tmp_path / "c").mkdir()
    assert (
        one.digest() != open_image_set(str(FORMATS[form](tmp_path / "c" / form, changed))).digest()
    )


def test_compression_changes_no_npz_digest(tmp_path: Path) -> None:
    paths = [as_stored(tmp_path / "a.npz", pixels()), as_deflated(tmp_path / "b.npz", pixels())]
    assert len({open_image_set(str(path)).digest() for path in paths}) == 1


def test_parts(tmp_path: Path) -> None:
    data = pixels()
    np.savez(tmp_path / "x.npz", data, np.arange(12))
    part = open_image_set(f"{tmp_path / 'x.npz'}[3:-2]")
    assert len(part) == 7
    assert np.array_equal(everything(part), data[3:10])
    assert part.labels is not None
    assert part.labels.tolist() == list(range(3, 10))
    for spec, complaint in (("[5:5]", "empty"), ("[0:13]", "beyond")):
        with pytest.raises(GenbenchError, match=complaint):
            open_image_set(f"{tmp_path / 'x.npz'}{spec}")


def test_class_folders_become_labels(tmp_path: Path) -> None:
    for name, value in (("dog", 1), ("cat", 2), ("dog/deep", 3)):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (value, 0, 0)).save(tmp_path / name / f"{value}.png")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.txt").write_text("ignored")
    (tmp_path / "Thumbs.db").write_text("ignored")
    images = open_image_set(str(tmp_path))
    assert images.class_names == ("cat", "dog")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 1, 1]
    assert images.read(0, 3)[:, 0, 0, 0].tolist() == [2, 1, 3]


def test_other_files_in_a_folder_are_named(tmp_path: Path) -> None:
    as_folder(tmp_path / "f", pixels(2))
    (tmp_path / "f" / "notes.txt").write_text("x")
    with pytest.raises(GenbenchError, match=r"notes\.txt"):
        open_image_set(str(tmp_path / "f"))


def picture(tmp_path: Path, image: Image.Image, name: str = "x.png", **options: Any) -> Pixels:
    (tmp_path / "one").mkdir(exist_ok=True)
    image.save(tmp_path / "one" / name, **options)
    decoded: Pixels = everything(open_image_set(str(tmp_path / "one")))[0]
    return decoded


def test_unusual_pictures_are_converted_as_documented(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    as_rgb = np.repeat(grey[..., None], 3, axis=2)
    assert np.array_equal(picture(tmp_path, Image.fromarray(grey)), as_rgb)
    deep = grey.astype(np.uint16) * 256 + 77  # the high byte is kept
    assert np.array_equal(picture(tmp_path, Image.fromarray(deep)), as_rgb)
    opaque = Image.fromarray(as_rgb).convert("RGBA")
    assert np.array_equal(picture(tmp_path, opaque), as_rgb)
    assert np.array_equal(picture(tmp_path, opaque.convert("LA")), as_rgb)
    bilevel = picture(tmp_path, Image.fromarray(grey > 100))
    assert set(np.unique(bilevel)) == {0, 255}
    palette = Image.fromarray(as_rgb).quantize(64)
    assert np.array_equal(picture(tmp_path, palette), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        (Image.new("RGBA", (8, 8), (1, 2, 3, 200)), "transparent"),
        (Image.new("LA", (8, 8), (1, 0)), "transparent"),
        (Image.new("P", (8, 8)), "transparent"),
    ],
)
def test_transparency_is_refused(image: Image.Image, complaint: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"transparency": 0} if image.mode == "P" else {}
    with pytest.raises(GenbenchError, match=complaint):
        picture(tmp_path, image, **options)


def test_animations_are_refused(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    with pytest.raises(GenbenchError, match="animated"):
        picture(tmp_path, frames[0], "x.webp", save_all=True, append_images=frames[1:])


def test_jpeg_and_webp_decode_as_pil_does(tmp_path: Path) -> None:
    smooth = Image.fromarray(pixels(1, 4, 4)[0]).resize((32, 32))
    for name in ("a.jpg", "b.JPEG", "c.webp"):
        smooth.save(tmp_path / name, quality=90)
    found = everything(open_image_set(str(tmp_path)))
    for number, name in enumerate(("a.jpg", "b.JPEG", "c.webp")):
        with Image.open(tmp_path / name) as expected:
            assert np.array_equal(found[number], np.asarray(expected.convert("RGB")))


def test_the_adm_crop_is_the_published_arithmetic(tmp_path: Path) -> None:
    """guided-diffusion's steps, written out for one size: 50x34 -> 25x17 -> 24x16 -> centre."""
    original = Image.fromarray(pixels(1, 34, 50)[0])
    halved = original.resize((25, 17), Image.Resampling.BOX)
    scaled = np.asarray(halved.resize((24, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(np.asarray(cropped(original, "adm", 16)), scaled[:, 4:20])
    as_folder(tmp_path / "f", np.stack([np.asarray(original)]))
    as_stored(tmp_path / "f.npz", np.stack([np.asarray(original)]))
    for name in ("f", "f.npz"):
        images = open_image_set(str(tmp_path / name), crop="adm", resolution=16)
        assert np.array_equal(everything(images)[0], scaled[:, 4:20])
        assert images.digest() != open_image_set(str(tmp_path / name)).digest()


def test_mixed_sizes_with_a_crop_are_one_size(tmp_path: Path) -> None:
    for number, size in enumerate(((40, 20), (20, 30), (17, 16))):
        Image.new("RGB", size, "green").save(tmp_path / f"{number}.png")
    with pytest.raises(GenbenchError, match=r"1\.png is 20x30 but 0\.png is 40x20.*--crop adm"):
        open_image_set(str(tmp_path))
    for crop in ("adm", "resize"):
        assert everything(open_image_set(str(tmp_path), crop=crop, resolution=16)).shape[1] == 16


def test_adm_batches_are_what_numpy_reads(tmp_path: Path) -> None:
    data = torch.from_numpy(pixels().transpose(0, 3, 1, 2).copy())
    write_samples(tmp_path / "x.npz", iter(torch.split(data, 5)), 12, np.arange(12) % 3)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["arr_0", "arr_1"]
        assert np.array_equal(file["arr_0"], pixels())
        assert file["arr_0"].dtype == np.uint8
        assert file["arr_1"].dtype == np.int64
    images = open_image_set(str(tmp_path / "x.npz"))
    assert images.labels is not None
    assert images.labels.tolist() == [0, 1, 2] * 4
    with pytest.raises(GenbenchError, match="12 of 13"):
        write_samples(tmp_path / "y.npz", iter(torch.split(data, 5)), 13)
    assert not (tmp_path / "y.npz").exists()


def test_folders_and_grids_round_trip(tmp_path: Path) -> None:
    data = torch.from_numpy(pixels().transpose(0, 3, 1, 2).copy())
    write_folder(tmp_path / "out", iter(torch.split(data, 5)))
    assert np.array_equal(everything(open_image_set(str(tmp_path / "out"))), pixels())
    with pytest.raises(GenbenchError, match="already there"):
        write_folder(tmp_path / "out", iter([data]))
    assert image_grid(data[:5], columns=3).size == (24, 16)
    with pytest.raises(UsageError, match="no images"):
        image_grid(data[:0])
    save_grid(tmp_path / "grid.png", data[:5], columns=3)
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (24 * 8, 16 * 8)  # images of 8 pixels can be seen at 64
        assert np.array_equal(np.asarray(grid)[64:128:8, 64:128:8], pixels()[4])
        assert np.array_equal(np.asarray(grid)[71:128:8, 71:128:8], pixels()[4])


BAD_ARRAYS: dict[str, tuple[dict[str, object], str]] = {
    "no arr_0": ({"images": pixels()}, "has no arr_0"),
    "grey": ({"arr_0": pixels()[..., :1]}, "RGB"),
    "rank 3": ({"arr_0": pixels()[0]}, "NHWC"),
    "float": ({"arr_0": pixels().astype(np.float32)}, "scale to 0"),
    "NaN": ({"arr_0": np.full((2, 4, 4, 3), np.nan)}, "NaN"),
    "fortran": ({"arr_0": np.asfortranarray(pixels())}, "Fortran"),
    "labels": ({"arr_0": pixels(), "arr_1": np.arange(11)}, "arr_1"),
    "label kind": ({"arr_0": pixels(), "arr_1": np.zeros(12)}, "arr_1"),
    "objects": ({"arr_0": np.array([print], dtype=object)}, "pickled"),
    "label objects": ({"arr_0": pixels(), "arr_1": np.array([print] * 12)}, "pickled"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_are_refused(case: str, tmp_path: Path) -> None:
    arrays, complaint = BAD_ARRAYS[case]
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(GenbenchError, match=complaint):
        open_image_set(str(tmp_path / "x.npz"))


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_inside_an_npz_is_found_before_it_counts(compressed: bool, tmp_path: Path) -> None:
    path = (as_deflated if compressed else as_stored)(tmp_path / "x.npz", pixels(50, 32, 32))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(GenbenchError, match="damaged"):
        open_image_set(str(path)).digest()


def test_damage_inside_a_zip_names_the_picture(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "x.zip", pixels(3, 64, 64))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(GenbenchError, match=r"pictures/001\.png is damaged"):
        everything(open_image_set(str(path)))


def test_reading_a_large_batch_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.npz"
    chunk = torch.zeros(500, 3, 128, 128, dtype=torch.uint8)
    write_samples(path, (chunk for _ in range(8)), 4000)
    code = (
        "import resource, sys; from genbench.images.opening import open_image_set\n"
        "from genbench.images.sets import batches\n"
        "images = open_image_set(sys.argv[1])\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak()\n"
        "assert sum(len(b) for b in batches(images, 0, len(images), 50)) == 4000\n"
        "images.digest()\n"
        "print(peak() - before)"
    )
    command = [sys.executable, "-c", code, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert path.stat().st_size > 180e6
    assert float(run.stdout) < 60  # MiB


def reading_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith(("genbench", "ThreadPool"))]


def test_abandoned_reading_leaves_no_thread(tmp_path: Path) -> None:
    images = open_image_set(str(as_folder(tmp_path / "f", pixels(40))))
    reading = batches(images, 0, 40, 2)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert not reading_threads()
    for _ in batches(images, 0, 40, 2):
        break
    assert not reading_threads()


def test_an_error_while_reading_ahead_reaches_the_caller(tmp_path: Path) -> None:
    folder = as_folder(tmp_path / "f", pixels(40))
    images = open_image_set(str(folder))
    (folder / "020.png").write_bytes((folder / "020.png").read_bytes()[:60])
    reading = batches(images, 0, 40, 5)
    for _ in range(4):
        assert len(next(reading)) == 5
    with pytest.raises(GenbenchError, match=r"020\.png"):
        next(reading)
    assert not reading_threads()


def test_uint8_conversions_are_the_two_published_ones() -> None:
    x = torch.linspace(-1.2, 1.2, 4001).reshape(1, 1, 1, -1)
    truncated = ((x + 1) * 127.5).clamp(0, 255).to(torch.uint8)
    assert torch.equal(to_uint8(x, "truncate"), truncated)
    nearest = (x * 127.5 + 128).clip(0, 255).to(torch.uint8)
    assert torch.equal(to_uint8(x, "nearest"), nearest)
    assert not torch.equal(truncated, nearest)
    x[..., 7] = float("nan")
    with pytest.raises(GenbenchError, match="1 of 1 images hold NaN"):
        to_uint8(x)


def test_the_bundled_set_is_fashion_mnist() -> None:
    images = open_image_set("bundled")
    assert (len(images), images.size) == (10_000, (32, 32))
    assert images.labels is not None
    assert np.bincount(images.labels).tolist() == [1000] * 10
    assert images.labels[:5].tolist() == [9, 2, 1, 1, 6]  # as published
    some = images.read(0, 100)
    assert torch.equal(some[:, 0], some[:, 2])
    border = some.clone()
    border[:, :, 2:-2, 2:-2] = 0
    assert int(border.max()) == 0


def test_fashion_mnist_is_read_from_the_folder_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    bundled = open_image_set("bundled")
    grey = bundled.read(0, 10_000)[:, 0, 2:-2, 2:-2].numpy().tobytes()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + grey, 1))
    labels = np.asarray(bundled.labels, np.uint8).tobytes()
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + labels))
    monkeypatch.setenv("GENBENCH_FASHION_MNIST", str(tmp_path))
    images = open_image_set("fashion-mnist:test")
    assert images.digest() == bundled.digest()
    assert torch.equal(images.read(50, 60), bundled.read(50, 60))
    with pytest.raises(GenbenchError, match="GENBENCH_FASHION_MNIST"):
        open_image_set("fashion-mnist:train")
    with pytest.raises(GenbenchError, match="did you mean fashion-mnist:test"):
        open_image_set("fashion-mnist:tst")
