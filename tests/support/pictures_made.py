"""Small pictures as encoded files, for tests of the containers they lie in."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from genbench.images.opening import open_image_set


@cache
def encoded(value: int, size: int = 8, kind: str = "PNG") -> bytes:
    """A picture whose red is `value`, with a corner that shows which way round it is."""
    picture = Image.new("RGB", (size, size), (value, 20, 200))
    picture.putpixel((1, 0), (0, 255, value))
    buffer = io.BytesIO()
    picture.save(buffer, format=kind)
    return buffer.getvalue()


def folder_of(root: Path, files: Sequence[bytes]) -> Path:
    """A folder that holds the pictures in their order."""
    root.mkdir(parents=True)
    for number, data in enumerate(files):
        (root / f"{number:06d}.png").write_bytes(data)
    return root


def pixels(spec: str | Path, **options: object) -> Tensor:
    """All images of a set, uint8 [N, 3, H, W], read in pieces that leave no piece out."""
    images = open_image_set(str(spec), **options)  # type: ignore[arg-type]
    whole = images.read(0, len(images))
    backwards = [images.read(index, index + 1) for index in reversed(range(len(images)))]
    assert torch.equal(whole, torch.cat(backwards[::-1])), "reading depends on what was read before"
    return whole


def labels(spec: str | Path) -> list[int] | None:
    found = open_image_set(str(spec)).labels
    return None if found is None else found.tolist()
