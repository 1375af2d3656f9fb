"""ADM .npz files: read in place, written in a stream, and every damage seen before it counts."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.npz_writing import write_samples
from genbench.images.opening import open_image_set
from genbench.images.sets import batches
from genbench.quality.statistics_files import read_reference_statistics

Pixels = NDArray[np.uint8]
RNG = np.random.default_rng(3)


def pixels(count: int = 12, height: int = 8, width: int = 8) -> Pixels:
    return RNG.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def planes(data: Pixels) -> Tensor:
    return torch.from_numpy(data.transpose(0, 3, 1, 2).copy())


def write_member(
    path: Path, data: bytes, shape: tuple[int, ...], compression: int = zipfile.ZIP_STORED
) -> None:
    """An arr_0 that says `shape` and holds `data`, with another array behind it."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with zipfile.ZipFile(path, "w", compression) as archive:
        with archive.open("arr_0.npy", "w") as member:
            np.lib.format.write_array_header_1_0(member, header)
            member.write(data)
        archive.writestr("later.npy", bytes(range(256)) * 40)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_version_of_the_header(
    version: tuple[int, int], compression: int, tmp_path: Path
) -> None:
    data = pixels()
    with zipfile.ZipFile(tmp_path / "x.npz", "w", compression) as archive:
        archive.writestr("first.npy", b"something else")
        with archive.open("arr_0.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, data, version=version)
    images = open_image_set(str(tmp_path / "x.npz"))
    assert torch.equal(images.read(5, 12), planes(data[5:12]))


def test_an_unknown_version_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pixels())
    content = bytearray((tmp_path / "x.npy").read_bytes())
    content[6] = 9
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("arr_0.npy", content)
    with pytest.raises(GenbenchError, match=r"unknown \.npy version"):
        open_image_set(str(tmp_path / "x.npz"))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("claimed", [5, 9])
def test_an_array_of_another_length_than_it_says(
    claimed: int, compression: int, tmp_path: Path
) -> None:
    """Reading by position would go on into the next member and call its bytes pixels."""
    write_member(tmp_path / "x.npz", pixels(6).tobytes(), (claimed, 8, 8, 3), compression)
    with pytest.raises(GenbenchError, match="not as long as its header says"):
        open_image_set(str(tmp_path / "x.npz"))


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((4, 8, 8), "numpy.repeat(x[..., None], 3, axis=3)"),
        ((4, 8, 8, 1), "numpy.repeat(x, 3, axis=3)"),
        ((4, 8, 8, 4), "background"),
        ((4, 3, 8, 8), "transpose(0, 2, 3, 1)"),
        ((4, 8, 8, 2), "convert to RGB"),
        ((12,), "convert to RGB"),
        ((0, 8, 8, 3), "empty"),
    ],
)
def test_other_shapes_come_with_their_remedy(
    shape: tuple[int, ...], remedy: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", np.zeros(shape, np.uint8))
    with pytest.raises(GenbenchError) as caught:
        open_image_set(str(tmp_path / "x.npz"))
    assert remedy in str(caught.value)
    assert "x.npz" in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, (",  # tokenize.TokenError
        "{'descr': '|u1', 'fortran_order': False, 1: 2}",  # TypeError
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 4, 4, 3)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 4, 4, 3)}",
    ],
)
def test_headers_that_numpy_stumbles_over(header: str, tmp_path: Path) -> None:
    content = header.ljust(117).encode() + b"\n"
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("arr_0.npy", b"\x93NUMPY\1\0" + struct.pack("<H", 118) + content + b"x")
    with pytest.raises(GenbenchError, match="is damaged or no"):
        open_image_set(str(tmp_path / "x.npz"))


def test_an_archive_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("mu.npy", "w") as member:
        header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 26,)}
        np.lib.format.write_array_header_1_0(member, header)
    content = path.read_bytes()
    at = content.index(b"PK\1\2") + 24  # the size of the only member
    size = struct.pack("<I", (1 << 29) + 128)
    path.write_bytes(content[:at] + size + content[at + 4 :])
    tracemalloc.start()
    with pytest.raises(GenbenchError, match="claims to be longer than the file can hold"):
        read_reference_statistics(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_one_pixel_images(tmp_path: Path) -> None:
    data = pixels(5, 1, 1)
    np.savez(tmp_path / "x.npz", data)
    assert torch.equal(open_image_set(str(tmp_path / "x.npz")).read(1, 4), planes(data[1:4]))


def test_an_encrypted_archive_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", pixels())
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[6] |= 1  # the flag of the local header …
    content[content.index(b"PK\x01\x02") + 8] |= 1  # … and of the central directory
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(GenbenchError, match="encrypted"):
        open_image_set(str(tmp_path / "x.npz"))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_no_damage_is_a_traceback(save: Any, tmp_path: Path) -> None:
    save(tmp_path / "x.npz", pixels(6), np.arange(6))
    content = (tmp_path / "x.npz").read_bytes()
    generator = np.random.default_rng(5)
    said: list[str] = []
    for trial in range(300):
        damaged = bytearray(content)
        near = trial % 2 == 0  # half of the blows fall on the headers
        damaged[generator.integers(0, 200 if near else len(damaged))] ^= generator.integers(1, 256)
        if trial % 10 == 9:
            del damaged[generator.integers(0, len(damaged)) :]
        (tmp_path / "y.npz").write_bytes(damaged)
        try:
            images = open_image_set(str(tmp_path / "y.npz"))
            images.read(0, len(images))
            images.digest()
        except GenbenchError as error:
            said.append(str(error))
    assert len(said) > 200
    assert not any("\n" in line for line in said)


def test_two_readers_of_one_deflated_file(tmp_path: Path) -> None:
    data = planes(pixels(800))
    np.savez_compressed(tmp_path / "x.npz", data.permute(0, 2, 3, 1).numpy())
    images = open_image_set(str(tmp_path / "x.npz"))
    wrong: list[object] = []

    def read(seed: int) -> None:
        for start in np.random.default_rng(seed).integers(0, 790, 40).tolist():
            try:
                if not torch.equal(images.read(start, start + 10), data[start : start + 10]):
                    wrong.append(start)
            except GenbenchError as error:
                wrong.append(error)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not wrong


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_reading_allocates_a_few_batches(compression: int, tmp_path: Path) -> None:
    count = 3000
    write_member(tmp_path / "x.npz", bytes(count * 64 * 64 * 3), (count, 64, 64, 3), compression)
    images = open_image_set(str(tmp_path / "x.npz"))
    tracemalloc.start()
    try:
        assert sum(len(batch) for batch in batches(images, 0, count, 30)) == count
        images.digest()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16e6 < count * 64 * 64 * 3 / 2  # blocks of 4 MiB, whatever the count


def test_a_batch_is_read_as_the_official_evaluator_reads_it(tmp_path: Path) -> None:
    """evaluations/evaluator.py: the member as a stream, magic 1.0, header, then rows in turn."""
    data = pixels(20)
    write_samples(tmp_path / "x.npz", torch.split(planes(data), 6), 20)
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        assert archive.getinfo("arr_0.npy").compress_type == zipfile.ZIP_STORED
        with archive.open("arr_0.npy") as member:
            assert np.lib.format.read_magic(member) == (1, 0)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
            assert (shape, fortran) == (data.shape, False)
            assert dtype == np.uint8
            assert member.read() == data.tobytes()


def test_equal_samples_make_equal_files(tmp_path: Path) -> None:
    data = planes(pixels(20))
    for name, size in (("a", 6), ("b", 20)):
        write_samples(tmp_path / f"{name}.npz", torch.split(data, size), 20, np.arange(20))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk; the write fails as it would there."""
    write_samples(tmp_path / "x.npz", [planes(pixels(4))], 4)
    old = (tmp_path / "x.npz").read_bytes()
    code = (
        "import resource, signal, sys, torch\n"
        "from pathlib import Path\n"
        "from genbench.errors import GenbenchError\n"
        "from genbench.images.npz_writing import write_samples\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "batch = torch.zeros(10, 3, 32, 32, dtype=torch.uint8)\n"
        "try: write_samples(Path(sys.argv[1]), [batch] * 100, 1000)\n"
        "except GenbenchError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "x.npz")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "x.npz" in run.stdout
    assert len(run.stdout.splitlines()) == 1
    assert (tmp_path / "x.npz").read_bytes() == old
    assert os.listdir(tmp_path) == ["x.npz"]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_write_that_breaks_off_leaves_nothing(failure: BaseException, tmp_path: Path) -> None:
    write_samples(tmp_path / "x.npz", [planes(pixels(4))], 4)
    old = (tmp_path / "x.npz").read_bytes()

    def broken() -> Iterator[Tensor]:
        yield planes(pixels(4))
        raise failure

    expected = GenbenchError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write_samples(tmp_path / "x.npz", broken(), 8)
    assert expected is KeyboardInterrupt or "no space left" in str(caught.value)
    assert (tmp_path / "x.npz").read_bytes() == old
    assert os.listdir(tmp_path) == ["x.npz"]
