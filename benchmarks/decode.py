"""Image files to uint8 batches: genbench's reader against torch-fidelity's, taking turns.

python benchmarks/decode.py [COUNT]     prints images/s of each and their ratio
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch_fidelity.datasets import ImagesPathDataset

from genbench.images.opening import open_image_set
from genbench.images.sets import batches

ROUNDS = 5
BATCH = 50


def make(folder: Path, count: int, size: int, suffix: str) -> None:
    generator = np.random.default_rng(0)
    for number in range(count):
        coarse = generator.integers(0, 256, (size // 4, size // 4, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:05d}.{suffix}")


def ours(folder: Path) -> Iterable[Tensor]:
    images = open_image_set(str(folder))
    return batches(images, 0, len(images), BATCH)


def theirs(folder: Path) -> Iterable[Tensor]:
    """As torch_fidelity.utils.get_featuresdict_from_dataset builds it."""
    paths = sorted(str(path) for path in folder.iterdir())
    workers = min(4, 2 * multiprocessing.cpu_count())
    return DataLoader(ImagesPathDataset(paths), batch_size=BATCH, num_workers=workers)


def seconds(read: Callable[[Path], Iterable[Tensor]], folder: Path, count: int) -> float:
    """From the folder's name to the last batch: listing files and starting workers included."""
    start = time.perf_counter()
    read_images = sum(len(batch) for batch in read(folder))
    spent = time.perf_counter() - start
    assert read_images == count
    return spent


def main() -> None:
    warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for size, suffix in ((32, "png"), (128, "png"), (256, "jpg")):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make(folder, count, size, suffix)
            assert all(map(torch.equal, ours(folder), theirs(folder))), "other pixels"
            times: dict[str, list[float]] = {"genbench": [], "torch-fidelity": []}
            for _ in range(ROUNDS):
                times["genbench"].append(seconds(ours, folder, count))
                times["torch-fidelity"].append(seconds(theirs, folder, count))
        ratios = [b / a for a, b in zip(*times.values(), strict=True)]
        rates = ", ".join(f"{who} {count / median(spent):.0f}/s" for who, spent in times.items())
        print(f"{size} px {suffix}: {rates}; genbench is {median(ratios):.2f}x as fast")
    print(f"{torch.get_num_threads()} threads, {count} images, median of {ROUNDS} rounds in turn")


if __name__ == "__main__":
    main()
