"""Every layout that images are read from, against decoding the same pictures from a folder.

python benchmarks/readers.py [COUNT] [SIZE]

Prints, for each layout: seconds to open it, images/s of reading all in batches of 50 (decoding
included), and the ratio of both to the folder's, the medians of rounds in turn. The same JPEGs lie
in each; CIFAR's and ProGAN's layouts hold pixels and have a line of their own, of 32 px.
"""

from __future__ import annotations

import io
import pickle
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import lmdb
import numpy as np
import pyarrow
import pyarrow.parquet
import torch
import webdataset
from PIL import Image
from tfrecord import TFRecordWriter

from genbench.images.opening import open_image_set
from genbench.images.sets import batches

ROUNDS, BATCH = 3, 50


def pictures(count: int, size: int) -> list[bytes]:
    generator, made = np.random.default_rng(0), list[bytes]()
    for _ in range(count):
        coarse = generator.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        picture.save(buffer, format="JPEG", quality=90)
        made.append(buffer.getvalue())
    return made


def folder(root: Path, files: list[bytes]) -> str:
    root.mkdir()
    for number, data in enumerate(files):
        (root / f"{number:06d}.jpg").write_bytes(data)
    return str(root)


def listing(root: Path, files: list[bytes]) -> str:
    names = "\n".join(f"folder/{number:06d}.jpg" for number in range(len(files)))
    root.with_suffix(".txt").write_text(names)
    return str(root.with_suffix(".txt"))


def tar(root: Path, files: list[bytes]) -> str:
    with tarfile.open(root.with_suffix(".tar"), "w") as archive:
        for number, data in enumerate(files):
            info = tarfile.TarInfo(f"{number:06d}.jpg")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(root.with_suffix(".tar"))


def shards(root: Path, files: list[bytes]) -> str:
    root.mkdir()
    for shard in range(4):
        with webdataset.TarWriter(str(root / f"{shard:03d}.tar")) as writer:
            for number in range(shard, len(files), 4):
                key = f"{number:06d}"
                writer.write({"__key__": key, "jpg": files[number], "cls": number % 10})
    return str(root)


def table(files: list[bytes]) -> pyarrow.Table:
    rows = [{"bytes": data, "path": None} for data in files]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    labels = [number % 10 for number in range(len(files))]
    return pyarrow.table({"image": pyarrow.array(rows, kind), "label": labels})


def parquet(root: Path, files: list[bytes]) -> str:
    pyarrow.parquet.write_table(table(files), root.with_suffix(".parquet"), row_group_size=100)
    return str(root.with_suffix(".parquet"))


def one_group(root: Path, files: list[bytes]) -> str:
    pyarrow.parquet.write_table(table(files), root.with_suffix(".parquet"), row_group_size=1 << 20)
    return str(root.with_suffix(".parquet"))


def arrow(root: Path, files: list[bytes]) -> str:
    held = table(files)
    with pyarrow.ipc.new_stream(root.with_suffix(".arrow"), held.schema) as stream:
        stream.write_table(held, max_chunksize=100)
    return str(root.with_suffix(".arrow"))


def records(root: Path, files: list[bytes]) -> str:
    writer = TFRecordWriter(str(root.with_suffix(".tfrecord")))
    for number, data in enumerate(files):
        writer.write({"image/encoded": (data, "byte"), "image/class/label": (number % 10, "int")})
    writer.close()
    return str(root.with_suffix(".tfrecord"))


def database(root: Path, files: list[bytes]) -> str:
    with lmdb.open(str(root), map_size=1 << 36) as opened, opened.begin(write=True) as into:
        for number, data in enumerate(files):
            into.put(f"{number:06d}".encode(), data)
    return str(root)


def raw(root: Path, count: int) -> str:
    writer = TFRecordWriter(str(root.with_suffix(".tfrecords")))
    for data in np.random.default_rng(0).integers(0, 256, (count, 3072), dtype=np.uint8):
        writer.write({"shape": ([3, 32, 32], "int"), "data": (data.tobytes(), "byte")})
    writer.close()
    return str(root.with_suffix(".tfrecords"))


def cifar(root: Path, count: int) -> str:
    root.mkdir()
    data = np.random.default_rng(0).integers(0, 256, (count, 3072), dtype=np.uint8)
    for number, rows in enumerate(np.array_split(data, 5), 1):
        held = {"data": rows, "labels": [0] * len(rows)}
        (root / f"data_batch_{number}").write_bytes(pickle.dumps(held, protocol=2))
    (root / "batches.meta").write_bytes(pickle.dumps({"label_names": ["x"]}))
    return str(root)


def measured(spec: str, count: int) -> tuple[float, float]:
    """Seconds to open a set and to read all of it."""
    start = time.perf_counter()
    images = open_image_set(spec)
    opened = time.perf_counter()
    assert sum(len(batch) for batch in batches(images, 0, count, BATCH)) == count == len(images)
    return opened - start, time.perf_counter() - opened


def compared(specs: dict[str, str], count: int) -> None:
    """Print each set's times beside those of the first."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in specs}
    for _ in range(ROUNDS):
        for name, spec in specs.items():
            times[name].append(measured(spec, count))
    base = next(iter(times.values()))
    for name, spent in times.items():
        opening, reading = (median(column) for column in zip(*spent, strict=True))
        ratios = [median(b[at] / a[at] for a, b in zip(base, spent, strict=True)) for at in (0, 1)]
        print(
            f"{name:24} open {opening:7.3f} s ({ratios[0]:5.2f} of the folder's)   read "
            f"{count / reading:8.0f}/s ({1 / ratios[1]:4.2f}x the folder's rate)"
        )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 128
    makers: dict[str, Callable[[Path, list[bytes]], str]] = {
        "folder": folder, "list of paths": listing, "tar": tar, "webdataset, 4 shards": shards,
        "parquet, groups of 100": parquet, "parquet, one group": one_group, "arrow": arrow,
        "tfrecord": records, "lmdb": database,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        root, files = Path(name), pictures(count, size)
        places = {
            maker: "folder" if maker == "folder" else f"s{at}" for at, maker in enumerate(makers)
        }
        specs = {maker: make(root / places[maker], files) for maker, make in makers.items()}
        wanted = open_image_set(specs["folder"]).read(0, 100)
        for maker, spec in specs.items():
            if maker != "webdataset, 4 shards":  # which deals them out in turn
                assert torch.equal(open_image_set(spec).read(0, 100), wanted), maker
        print(f"{count} JPEGs of {size} px, median of {ROUNDS} rounds in turn")
        compared(specs, count)
        made = open_image_set(cifar(root / "cifar", count))
        (root / "png").mkdir()
        for number, image in enumerate(made.read(0, count).permute(0, 2, 3, 1).numpy()):
            Image.fromarray(image).save(root / "png" / f"{number:06d}.png")
        print(f"{count} images of 32 px")
        compared({"folder of PNGs": str(root / "png"), "cifar-10 (python)": str(root / "cifar"),
                  "tfrecord, pixels": raw(root / "raw", count)}, count)  # fmt: skip


if __name__ == "__main__":
    main()
