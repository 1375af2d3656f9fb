"""CIFAR and ImageNet as torchvision has them, lists of paths, videos, and what stands behind #."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures_made import encoded, folder_of, labels, pixels
from torchvision.datasets import CIFAR10, CIFAR100, ImageFolder

from genbench.errors import GenbenchError, UsageError
from genbench.images.opening import open_image_set

EACH = 4


def batch(seed: int, classes: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "data": rng.integers(0, 256, (EACH, 3072), dtype=np.uint8),
        "labels": rng.integers(0, classes, EACH).tolist(),
        "filenames": [f"{seed}_{number}.png" for number in range(EACH)],
    }


def python_2(held: dict[str, Any]) -> bytes:
    """A batch as Python 2's cPickle wrote CIFAR's: texts and pixels as byte strings."""

    def text(value: bytes) -> bytes:
        short = len(value) < 256
        return (
            b"U" + bytes([len(value)]) if short else b"T" + len(value).to_bytes(4, "little")
        ) + value

    def items(values: list[Any]) -> bytes:
        said = [text(v.encode()) if isinstance(v, str) else b"K" + bytes([v]) for v in values]
        return b"](" + b"".join(said) + b"e"

    data = held["data"]
    dtype = (
        b"cnumpy\ndtype\n("
        + text(b"u1")
        + b"K\0K\x01tR(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    shape = b"(M" + len(data).to_bytes(2, "little") + b"M\0\x0ct"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0t"
        + text(b"b")
        + b"tR(K\x01"
        + shape
        + dtype
        + b"\x89"
        + text(data.tobytes())
        + b"tb"
    )
    parts = b"".join(
        text(key.encode()) + (array if key == "data" else items(value))
        for key, value in held.items()
    )
    return b"\x80\x02}(" + parts + b"u."


def cifar10(root: Path, *, old: bool = False) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{at}" for at in range(1, 6)), "test_batch"]):
        held = batch(number, 10)
        (folder / name).write_bytes(python_2(held) if old else pickle.dumps(held, protocol=2))
    names = {"label_names": [f"class {number}" for number in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names))
    return folder


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision takes batches that are not the published ones."""
    for kind in (CIFAR10, CIFAR100):
        monkeypatch.setattr(kind, "_check_integrity", lambda self: True)
        monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore:dtype.*align:")
def test_cifar_10_is_what_torchvision_reads(old: bool, tmp_path: Path) -> None:
    folder = cifar10(tmp_path, old=old)
    for split in ("train", "test"):
        theirs = CIFAR10(tmp_path, train=split == "train")
        spec = f"{tmp_path}#{split}"
        assert torch.equal(pixels(spec), torch.from_numpy(theirs.data).permute(0, 3, 1, 2))
        assert labels(spec) == theirs.targets
        assert list(open_image_set(spec).class_names) == theirs.classes
    assert open_image_set(str(folder)).digest() == open_image_set(f"{folder}#train").digest()
    assert open_image_set(str(folder)).name == "cifar-10-batches-py#train"
    assert len(open_image_set(f"{folder}#train[5:15]")) == 10
    with pytest.raises(UsageError, match="CIFAR has #train and #test"):
        open_image_set(f"{folder}#val")


@pytest.mark.usefixtures("unchecked")
def test_cifar_100_has_the_fine_labels(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for number, name in enumerate(("train", "test")):
        held = batch(number, 100)
        held["fine_labels"], held["coarse_labels"] = held.pop("labels"), [0] * EACH
        (folder / name).write_bytes(pickle.dumps(held, protocol=2))
    assert len(open_image_set(str(cifar10(tmp_path)))) == 20
    names = {"fine_label_names": [str(at) for at in range(100)], "coarse_label_names": ["x"] * 20}
    (folder / "meta").write_bytes(pickle.dumps(names))
    theirs = CIFAR100(tmp_path, train=False)
    assert torch.equal(pixels(f"{folder}#test"), torch.from_numpy(theirs.data).permute(0, 3, 1, 2))
    assert labels(f"{folder}#test") == theirs.targets
    with pytest.raises(UsageError, match="holds cifar-10-batches-py and cifar-100-python: name"):
        open_image_set(str(tmp_path))


def test_cifar_binaries_are_the_pickles(tmp_path: Path) -> None:
    pickles = cifar10(tmp_path / "a")
    folder = tmp_path / "b" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for number in range(5):
        held = batch(number, 10)
        rows = np.concatenate([np.array(held["labels"], np.uint8)[:, None], held["data"]], axis=1)
        rows.tofile(folder / f"data_batch_{number + 1}.bin")
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
    assert open_image_set(str(folder)).digest() == open_image_set(str(pickles)).digest()
    assert labels(folder) == labels(pickles)
    assert open_image_set(str(folder)).class_names == tuple("abcdefghij")
    for file in (pickles / "data_batch_3", folder / "data_batch_3.bin"):
        whole = file.read_bytes()
        file.write_bytes(whole[:-100])
        with pytest.raises(GenbenchError, match=r"data_batch_3.* (no pickle|no file of CIFAR)"):
            open_image_set(str(file.parent))
        file.unlink()
        with pytest.raises(GenbenchError, match=r"data_batch_3.* is missing: unpack"):
            open_image_set(str(file.parent))


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "run")


@pytest.mark.parametrize("wrong", ["code", "shape", "labels", "other"])
def test_a_batch_that_holds_other_things(wrong: str, tmp_path: Path) -> None:
    folder = cifar10(tmp_path)
    held: Any = batch(0, 10)
    if wrong == "code":
        held["labels"] = Hostile(tmp_path / "written")
    elif wrong == "shape":
        held["data"] = held["data"][:, :100]
    elif wrong == "labels":
        held["labels"] = held["labels"][1:]
    else:
        held = [1, 2]
    (folder / "data_batch_1").write_bytes(pickle.dumps(held, protocol=2))
    with pytest.raises(
        GenbenchError, match=r"data_batch_1 is (no pickle of plain|damaged or no fi)"
    ):
        open_image_set(str(folder))
    assert not (tmp_path / "written").exists()


def test_imagenet_as_torchvision_lays_it_out(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for number, wnid in enumerate(("n02084071", "n01440764")):
            folder_of(tmp_path / split / wnid, [encoded(number), encoded(number + 5)])
    folder_of(tmp_path / "train" / "n02084071" / "deeper", [encoded(77)])
    with pytest.raises(UsageError, match=r"holds train and val, no classes: name one of them"):
        open_image_set(str(tmp_path))
    theirs = ImageFolder(tmp_path / "train")
    assert sorted(theirs.targets) == labels(tmp_path / "train") == [0, 0, 1, 1, 1]
    assert list(open_image_set(f"{tmp_path}/train").class_names) == theirs.classes
    assert (
        open_image_set(f"{tmp_path}/val").digest() != open_image_set(f"{tmp_path}/train").digest()
    )


def test_a_list_of_paths(tmp_path: Path) -> None:
    folder_of(tmp_path / "a b", [encoded(at) for at in range(4)])
    listing = tmp_path / "list.txt"
    paths = [f"a b/{at:06d}.png" for at in (2, 0, 2)]
    listing.write_text("\n".join(paths))
    assert pixels(listing)[:, 0, 3, 3].tolist() == [2, 0, 2]
    assert labels(listing) is None
    same = folder_of(tmp_path / "same", [encoded(at) for at in (2, 0, 2)])
    assert torch.equal(pixels(listing), pixels(same))
    for behind in ("\t7", " 7", "   7\r"):
        listing.write_text("\n\n".join(path + behind for path in paths) + "\n")
        assert labels(listing) == [7, 7, 7]
    listing.write_text(f"{tmp_path}/{paths[0]}\towl hen\n{paths[1]} cat\n")
    assert labels(listing) == [1, 0]
    assert open_image_set(str(listing)).class_names == ("cat", "owl hen")
    digest = open_image_set(str(listing)).digest()
    listing.write_text(f"{paths[0]}\n{paths[1]}\n")
    assert open_image_set(str(listing)).digest() == digest  # wherever it lies


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "list.txt is empty"),
        ("1.png 3\n1.png\n", r"1\.png has no label as others"),
        ("1.png\nnotes\n", "line 2: 'notes' names no PNG"),
        ("1.png\n9.png\n", r"cannot read .*9\.png, which list\.txt names: No such file"),
        ("1.png\n2.png\n", r"2\.png is 9x9 but the first is 8x8: bring them"),
        ("1.png\0", "no text"),
    ],
)
def test_lists_that_cannot_be_read(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(encoded(1))
    (tmp_path / "2.png").write_bytes(encoded(1, 9))
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(GenbenchError, match=complaint):
        pixels(tmp_path / "list.txt")


@pytest.mark.parametrize("name", ["a.mp4", "a.AVI", "a.mov", "a.webm", "a.mkv", "a.gif"])
def test_videos_are_refused_wherever_they_lie(name: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", [encoded(1)])
    (folder / name).write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.write(folder / name, name)
    for spec in (folder, folder / name, tmp_path / "f.zip"):
        with pytest.raises(UsageError, match=rf"{name} (is a video|may be animated): .*ffmpeg"):
            open_image_set(str(spec))


def test_a_mark_that_means_nothing_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", [encoded(1)])
    shutil.make_archive(str(folder), "zip", folder)
    for spec in (f"{folder}#image", f"{folder}.zip#image"):
        with pytest.raises(UsageError, match=r"#image: # names a column.*leave it out"):
            open_image_set(spec)
    folder.rename(tmp_path / "f#1")  # a name first
    assert len(open_image_set(f"{tmp_path}/f#1")) == 1
    (tmp_path / "a.mp3").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"only tars, Parquet or Arrow files, or TFRecords"):
        open_image_set(f"{tmp_path}/*.mp3")
