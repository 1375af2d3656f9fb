"""Images written for people: a folder of PNG files, or one grid."""

from __future__ import annotations

import math
import os
import shutil
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genbench.errors import UsageError
from genbench.runtime.files import TEMPORARY, replacing, write_error

_THUMBNAIL = 64  # pixels at which an image can be seen


def write_folder(path: Path, images: Iterable[Tensor]) -> None:
    """Write batches uint8 [n, 3, H, W] as path/000000.png … ; the folder appears whole.

    Raises UsageError when `path` is there and holds anything.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} is already there: choose a new folder")
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{TEMPORARY}")
    try:
        temporary.mkdir(parents=True)
        number = 0
        with ThreadPoolExecutor(4) as pool:
            for batch in images:
                pictures = list(batch.permute(0, 2, 3, 1).numpy())
                names = [temporary / f"{number + i:06d}.png" for i in range(len(pictures))]
                list(pool.map(_save, names, pictures))
                number += len(pictures)
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _save(path: Path, picture: NDArray[np.uint8]) -> None:
    Image.fromarray(picture).save(path)


def image_grid(images: Tensor, columns: int = 0) -> Image.Image:
    """uint8 [N, 3, H, W] side by side, row by row; columns 0: about as wide as high. Raises
    UsageError for no images at all."""
    count, _, height, width = images.shape
    if not count:
        raise UsageError("a grid of no images cannot be drawn: ask for one sample or more")
    across = columns or math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    canvas = np.zeros((down * height, across * width, 3), np.uint8)
    for position, picture in enumerate(images.permute(0, 2, 3, 1).numpy()):
        top, left = position // across * height, position % across * width
        canvas[top : top + height, left : left + width] = picture
    return Image.fromarray(canvas)


def save_grid(path: Path, images: Tensor, columns: int = 0, *, enlarged: bool = True) -> None:
    """Write `image_grid` of uint8 [N, 3, H, W] as a PNG file, whole or not at all.

    enlarged: pixels of images smaller than a thumbnail become squares, to be looked at.
    """
    grid = image_grid(images, columns)
    times = math.ceil(_THUMBNAIL / max(images.shape[2:])) if enlarged else 1
    size = (grid.width * times, grid.height * times)
    with replacing(path) as temporary:
        grid.resize(size, Image.Resampling.NEAREST).save(temporary, format="PNG")
