"""Bringing images to one size: named, since the way decides the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.errors import UsageError, suggestion

if TYPE_CHECKING:
    from PIL import Image

CROPS = {
    "none": "images must have the resolution already",
    "adm": "ADM's centre crop: halved by box filter while twice as large, bicubic, centre",
    "resize": "bicubic (antialiased) to the square, without a crop",
}


def check_crop(crop: str, resolution: int) -> None:
    """Raise UsageError for an unknown crop, or one without a resolution."""
    if crop not in CROPS:
        raise UsageError(f"there is no --crop {crop}; {suggestion(crop, CROPS)}")
    if resolution < 0:
        raise UsageError(f"--res {resolution} must be at least 1")
    if crop != "none" and not resolution:
        raise UsageError(f"--crop {crop} needs to know the size: pass --res")


def cropped(picture: Image.Image, crop: str, resolution: int) -> Image.Image:
    """An RGB image as `crop` makes it of `resolution` x `resolution`; "none" leaves it alone."""
    if crop == "adm":
        return _centre_crop(picture, resolution)
    if crop == "resize":
        from PIL import Image

        return picture.resize((resolution, resolution), Image.Resampling.BICUBIC)
    return picture


def _centre_crop(picture: Image.Image, resolution: int) -> Image.Image:
    """`center_crop_arr` of guided-diffusion (image_datasets.py), the crop of every ADM model."""
    from PIL import Image

    while min(picture.size) >= 2 * resolution:
        halves = (picture.size[0] // 2, picture.size[1] // 2)
        picture = picture.resize(halves, Image.Resampling.BOX)
    scale = resolution / min(picture.size)
    size = (round(picture.size[0] * scale), round(picture.size[1] * scale))
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = (picture.size[0] - resolution) // 2, (picture.size[1] - resolution) // 2
    return picture.crop((left, top, left + resolution, top + resolution))
