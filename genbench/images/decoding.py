"""One PNG, JPEG or WebP file to an RGB array, every unusual kind converted as stated or refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from genbench.errors import GenbenchError
from genbench.images.crops import cropped

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_FORMATS = ("PNG", "JPEG", "WEBP")
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
_PLAIN = ("L", "1", "P", "CMYK", "YCbCr")


def decode(
    data: bytes, where: str, *, crop: str = "none", resolution: int = 0
) -> NDArray[np.uint8]:
    """The picture as uint8 [H, W, 3], RGB, cropped.

    Grey, bilevel, palette and CMYK become RGB; 16-bit samples keep their high byte; an alpha
    channel that hides nothing is dropped; EXIF orientation is not applied (no FID code does).
    Raises GenbenchError naming `where` for transparency, animation, 32-bit and floating-point
    samples, damage, and files of another kind.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if getattr(picture, "n_frames", 1) > 1:
                raise GenbenchError(f"{where} is animated: save the frame you mean")
            picture.load()
            return np.asarray(cropped(_rgb(picture, where), crop, resolution))
    except UnidentifiedImageError as error:
        raise GenbenchError(f"{where} is no PNG, JPEG or WebP image: move or convert it") from error
    except Image.DecompressionBombError as error:
        raise GenbenchError(f"{where} is suspiciously large ({error}): shrink it") from error
    except _DAMAGE as error:
        raise GenbenchError(f"{where} is damaged ({error}): copy or make it again") from error


def picture_size(data: bytes, where: str) -> tuple[int, int]:
    """(H, W) from the header alone. Raises GenbenchError for what is no image."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            return picture.height, picture.width
    except UnidentifiedImageError as error:
        raise GenbenchError(f"{where} is no PNG, JPEG or WebP image: move or convert it") from error
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise GenbenchError(f"{where} is damaged ({error}): copy or make it again") from error


def _rgb(picture: Image.Image, where: str) -> Image.Image:
    if "transparency" in picture.info and picture.mode in ("P", "L", "RGB", "1"):
        picture = picture.convert("RGBA")
    if picture.mode == "RGB":
        return picture
    if picture.mode in _PLAIN:
        return picture.convert("RGB")
    if picture.mode.startswith("I;16"):
        high: NDArray[Any] = (np.asarray(picture) >> 8).astype(np.uint8)
        return Image.fromarray(high).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA"):
        rgba = picture.convert("RGBA")
        if np.asarray(rgba)[..., 3].min() == 255:
            return rgba.convert("RGB")
        raise GenbenchError(f"{where} is partly transparent: put it on a background first")
    raise GenbenchError(f"{where} has samples of kind {picture.mode}: save 8-bit RGB or grey")
