"""Make the bundled reference, genbench/data/fashion-mnist-test.npz, anew.

    python benchmarks/bundled_images.py OUT.npz

Equal images, equal files: the digest that is printed is the one that records carry.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from genbench.errors import GenbenchError
from genbench.images.datasets import GreyImages, open_named
from genbench.runtime.files import replacing


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/bundled_images.py OUT.npz")
    out = Path(sys.argv[1])
    try:
        images = open_named("fashion-mnist:test")
        assert isinstance(images, GreyImages)
        labels = np.asarray(images.labels).astype(np.uint8)
        with replacing(out) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, images=images.grey, labels=labels)
    except GenbenchError as error:
        sys.exit(f"error: {error}")
    print(out, images.digest())


if __name__ == "__main__":
    main()
