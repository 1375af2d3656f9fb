"""Image sets by name: what is misspelt, missing or out of range is said with the remedy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.images.opening import open_image_set
from genbench.images.rounding import to_uint8
from genbench.images.sets import ImageSet, batches


class Counting(ImageSet):
    """Images whose every pixel is their number; remembers how far it was read, and by whom."""

    def __init__(self, count: int) -> None:
        self.name, self.size, self.count = "counting", (2, 2), count
        self.furthest = 0
        self.threads: set[str] = set()
        self.patience = 0.0

    def __len__(self) -> int:
        return self.count

    def read(self, start: int, stop: int) -> Tensor:
        time.sleep(self.patience)
        self.furthest = stop
        self.threads.add(threading.current_thread().name)
        numbers = torch.arange(start, stop).to(torch.uint8)
        return numbers.reshape(-1, 1, 1, 1).repeat(1, 3, 2, 2)

    def content_digest(self) -> str:
        return "0"


def reading_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith(("genbench", "ThreadPool"))]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", ("an empty name", "bundled")),
        ("bundeld", ("did you mean bundled?",)),
        ("bundled[5]", ("did you mean bundled?", "SET[a:b]")),
        ("bundled[::0]", ("every 0th image",)),
        ("bundled[::x]", ("SET[a:b:step]",)),
        ("bundled[9000:20000]", ("beyond the 10000 images",)),
        ("bundled[7:7]", ("empty",)),
        ("bundled[20000:]", ("empty",)),
        ("x" * 5000, ("too long",)),
        ("nul\0byte", ("neither a file nor a folder",)),
    ],
)
def test_what_cannot_be_opened(spec: str, words: tuple[str, ...]) -> None:
    with pytest.raises(GenbenchError) as caught:
        open_image_set(spec)
    for word in words:
        assert word in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_misspelt_path_suggests_what_lies_beside(tmp_path: Path) -> None:
    np.savez(tmp_path / "samples_256.npz", np.zeros((2, 4, 4, 3), np.uint8))
    with pytest.raises(UsageError) as caught:
        open_image_set(str(tmp_path / "sample_256.npz"))
    assert f"did you mean {tmp_path / 'samples_256.npz'}?" in str(caught.value)
    (tmp_path / "pictures.rar").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"pictures\.rar is not an \.npz, a \.zip, a \.tar"):
        open_image_set(str(tmp_path / "pictures.rar"))


def test_a_folder_that_must_not_be_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, **_: bool) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "exists", denied)
    with pytest.raises(GenbenchError, match=r"secret/x\.npz: Permission denied"):
        open_image_set("secret/x.npz")


def test_a_name_that_looks_like_a_part_is_a_file_first(tmp_path: Path) -> None:
    path = tmp_path / "set[0:2]"
    path.mkdir()
    for number in range(5):
        Image.new("RGB", (4, 4)).save(path / f"{number}.png")
    assert len(open_image_set(str(path))) == 5
    assert len(open_image_set(f"{path}[1:3]")) == 2


def test_parts_count_from_either_end_and_nest() -> None:
    whole = open_image_set("bundled")
    assert whole.labels is not None
    for spec, rows in (
        ("bundled[:5]", slice(0, 5)),
        ("bundled[-5:]", slice(9995, 10_000)),
        ("bundled[100:200][5:7]", slice(105, 107)),
        ("bundled[0:10][:-4]", slice(0, 6)),
        ("bundled[3:40:4]", slice(3, 40, 4)),
        ("bundled[::2][3:]", slice(6, 10_000, 2)),
    ):
        part = open_image_set(spec)
        chosen = range(10_000)[rows]
        assert len(part) == len(chosen)
        read = part.read(max(len(part) - 3, 0), len(part))
        assert torch.equal(read, torch.cat([whole.read(at, at + 1) for at in chosen[-3:]]))
        assert part.labels is not None
        assert np.array_equal(part.labels, whole.labels[rows])
        assert part.class_names == whole.class_names


def test_digests_of_parts_and_crops() -> None:
    specs = ("bundled", "bundled[:5000]", "bundled[5000:]", "bundled[::2]")
    digests = {open_image_set(spec).digest() for spec in specs}
    for crop, resolution in (("adm", 16), ("resize", 16), ("adm", 8)):
        digests.add(open_image_set("bundled", crop=crop, resolution=resolution).digest())
    assert len(digests) == 7
    # A part that leaves nothing out, and a crop that changes nothing, are the set itself.
    assert open_image_set("bundled[:]").digest() == open_image_set("bundled").digest()
    assert open_image_set("bundled[0:10000]").name == "bundled"
    same = open_image_set("bundled", crop="adm", resolution=32)
    assert same.digest() == open_image_set("bundled").digest()


@pytest.mark.parametrize(
    ("crop", "resolution", "complaint"),
    [
        ("none", 64, "--crop adm or --crop resize"),
        ("none", -5, "--res -5"),
        ("amd", 16, "did you mean adm"),
        ("adm", 0, "pass --res"),
    ],
)
def test_crops_that_cannot_be(crop: str, resolution: int, complaint: str) -> None:
    with pytest.raises(GenbenchError, match=complaint):
        open_image_set("bundled", crop=crop, resolution=resolution)


def test_resized_sets_are_what_pil_makes() -> None:
    whole = open_image_set("bundled[:3]")
    picture = Image.fromarray(whole.read(1, 2)[0].permute(1, 2, 0).numpy())
    expected = {
        "adm": picture.resize((16, 16), Image.Resampling.BOX),  # 32 is twice 16: halved once
        "resize": picture.resize((16, 16), Image.Resampling.BICUBIC),
    }
    for crop, wanted in expected.items():
        images = open_image_set("bundled[:3]", crop=crop, resolution=16)
        assert images.size == (16, 16)
        found = images.read(1, 2)[0].permute(1, 2, 0).numpy()
        assert np.array_equal(found, np.asarray(wanted))


@pytest.mark.parametrize(("size", "ahead"), [(7, 4), (1, 1), (64, 0), (5, 100)])
def test_batches_are_the_images_in_order(size: int, ahead: int) -> None:
    images = Counting(40)
    found = list(batches(images, 3, 38, size, ahead))
    assert torch.cat(found)[:, 0, 0, 0].tolist() == list(range(3, 38))
    assert all(len(batch) == size for batch in found[:-1])
    assert images.threads
    assert threading.current_thread().name not in images.threads
    assert not reading_threads()


def test_reading_ahead_is_bounded() -> None:
    images = Counting(100)
    reading = batches(images, 0, 100, 5, ahead=3)
    next(reading)
    time.sleep(0.2)
    assert images.furthest == 20  # the batch taken, and three more
    reading.close()  # type: ignore[attr-defined]


def test_batches_beyond_the_set_are_refused() -> None:
    part = open_image_set("bundled[:7]")  # the images behind its end exist, and are not its own
    for start, stop in ((0, 8), (-1, 3), (5, 3)):
        with pytest.raises(GenbenchError, match="holds 7"):
            next(batches(part, start, stop, 4))
    assert list(batches(part, 7, 7, 4)) == []


def consume_until(interrupt: type[BaseException], images: ImageSet) -> None:
    reading: Iterator[Tensor] = batches(images, 0, len(images), 1)
    for number, _ in enumerate(reading):
        if number == 2:
            raise interrupt


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GenbenchError])
def test_an_interrupted_consumer_leaves_no_thread(interrupt: type[BaseException]) -> None:
    images = Counting(10_000)
    images.patience = 0.02
    start = time.perf_counter()
    with suppress(interrupt):  # drops the traceback, which holds the iterator
        consume_until(interrupt, images)
    assert not reading_threads()
    assert images.furthest < 20
    assert time.perf_counter() - start < 5


def test_uint8_takes_floating_point_in_a_named_rounding() -> None:
    for images in (torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.zeros(1, 3, 2, 2).long()):
        with pytest.raises(GenbenchError, match="not a floating-point tensor"):
            to_uint8(images)
    with pytest.raises(UsageError, match="truncate, nearest, floor256"):
        to_uint8(torch.zeros(1, 3, 2, 2), "round")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_costs_no_grey_level(dtype: torch.dtype) -> None:
    images = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64).to(dtype)
    for rounding in ("truncate", "nearest"):
        exact = to_uint8(images.double(), rounding)
        assert torch.equal(to_uint8(images, rounding), exact)
