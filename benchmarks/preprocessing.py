"""Milliseconds that preprocessings take for 1,000 images: python preprocessing.py [--images 50]

Every row is one way of resizing, every column a size of images; batches are of 50.
"""

from __future__ import annotations

import argparse
import time

import torch

from genbench.detectors.preprocessing import Preprocessing
from genbench.detectors.published_preprocessing import PREPROCESSINGS
from genbench.detectors.resizing import prepared

SIZES = (32, 256, 512)
SHOWN = (
    "torch_fidelity", "pytorch_fid", "torchmetrics_antialias", "cleanfid_clean",
    "dgm_dinov2", "edm2_dinov2_torch", "openai_clip_224", "cmmd_google",
    "studiogan_InceptionV3_torch_friendly",
)  # fmt: skip
BATCH = 50


def milliseconds(preprocessing: Preprocessing, images: torch.Tensor) -> float:
    """For 1,000 images, the best of three passes."""
    passes = []
    for _ in range(3):
        start = time.perf_counter()
        for part in torch.split(images, BATCH):
            prepared(part, preprocessing, torch.device("cpu"))
        passes.append(time.perf_counter() - start)
    return min(passes) / len(images) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=BATCH, help="images that are timed")
    count = parser.parse_args().images
    print(f"ms for 1,000 images, {torch.get_num_threads()} threads, from {SIZES} pixels")
    for name in SHOWN:
        times = []
        for size in SIZES:
            generator = torch.Generator().manual_seed(size)
            shape = (count, 3, size, size)
            images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
            times.append(milliseconds(PREPROCESSINGS[name], images))
        told = "  ".join(f"{value:8.0f}" for value in times)
        print(f"{name:40} {told}   {PREPROCESSINGS[name].resize}")


if __name__ == "__main__":
    main()
