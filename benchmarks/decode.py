"""Image files to uint8 batches: genbench's reader against torch-fidelity's, taking turns.

python benchmarks/decode.py [COUNT]     prints images/s of each and their ratio
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch_fidelity.datasets import ImagesPathDataset

from genbench.images import batches, open_image_set

ROUNDS = 5
BATCH = 50


def make(folder: Path, count: int, size: int, suffix: str) -> None:
    generator = np.random.default_rng(0)
    for number in range(count):
        coarse = generator.integers(0, 256, (size // 4, size // 4, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:05d}.{suffix}")


def ours(folder: Path) -> int:
    images = open_image_set(str(folder))
    return sum(len(batch) for batch in batches(images, 0, len(images), BATCH))


def theirs(folder: Path) -> int:
    """As torch_fidelity.utils.get_featuresdict_from_dataset builds it."""
    paths = sorted(str(path) for path in folder.iterdir())
    workers = min(4, 2 * multiprocessing.cpu_count())
    loader = DataLoader(ImagesPathDataset(paths), batch_size=BATCH, num_workers=workers)
    return sum(len(batch) for batch in loader)


def seconds(read: Callable[[Path], int], folder: Path) -> float:
    start = time.perf_counter()
    read(folder)
    return time.perf_counter() - start


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for size, suffix in ((32, "png"), (128, "png"), (256, "jpg")):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make(folder, count, size, suffix)
            times: dict[str, list[float]] = {"genbench": [], "torch-fidelity": []}
            for _ in range(ROUNDS):
                times["genbench"].append(seconds(ours, folder))
                times["torch-fidelity"].append(seconds(theirs, folder))
        ratios = [b / a for a, b in zip(*times.values(), strict=True)]
        rates = ", ".join(f"{who} {count / median(spent):.0f}/s" for who, spent in times.items())
        print(f"{size} px {suffix}: {rates}; genbench is {median(ratios):.2f}x as fast")
    print(f"{torch.get_num_threads()} threads, {count} images, median of {ROUNDS} rounds in turn")


if __name__ == "__main__":
    main()
