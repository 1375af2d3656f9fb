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
_PNG = b"\x89PNG"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")  # and colour profiles, which no FID code applies
# 1 GiB while decoding and in the batch: up to 21 bytes a pixel (16-bit PNG), and 24 for WebP.
_MOST_PIXELS = {"PNG": 50_400_000, "JPEG": 50_400_000, "MPO": 50_400_000, "WEBP": 44_000_000}
_PLAIN = ("L", "1", "P", "CMYK", "YCbCr")


def decode(
    data: bytes, where: str, *, crop: str = "none", resolution: int = 0
) -> NDArray[np.uint8]:
    """The picture as uint8 [H, W, 3], RGB, cropped.

    Grey, bilevel, palette and CMYK become RGB; 16-bit samples keep their high byte; an alpha
    channel that hides nothing is dropped; of a phone's JPEG with others inside (MPO) the first is
    read; EXIF orientation is not applied (no FID code does). Raises GenbenchError naming `where`
    for transparency, animation, 32-bit and floating-point samples, damage, and other kinds of file.
    """
    data = _readable(data, where)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            _check_pixels(picture, where)
            if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
                raise GenbenchError(f"{where} is animated: save the frame you mean")
            picture.load()
            deep = data[:4] == _PNG and data[24] == 16
            return np.asarray(cropped(_rgb(picture, where, deep=deep), crop, resolution))
    except UnidentifiedImageError as error:
        raise GenbenchError(f"{where} is no PNG, JPEG or WebP image: move or convert it") from error
    except Image.DecompressionBombError as error:
        raise GenbenchError(f"{where} is suspiciously large ({error}): shrink it") from error
    except _DAMAGE as error:
        raise GenbenchError(f"{where} is damaged ({error}): copy or make it again") from error


def picture_size(data: bytes, where: str) -> tuple[int, int]:
    """(H, W) from the header alone. Raises GenbenchError for what is no image."""
    data = _readable(data, where)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            _check_pixels(picture, where)
            return picture.height, picture.width
    except UnidentifiedImageError as error:
        raise GenbenchError(f"{where} is no PNG, JPEG or WebP image: move or convert it") from error
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise GenbenchError(f"{where} is damaged ({error}): copy or make it again") from error


def _check_pixels(picture: Image.Image, where: str) -> None:
    """Raises GenbenchError for more pixels than memory should be taken for: a kilobyte can say that
    it is a picture of any size."""
    most = _MOST_PIXELS.get(str(picture.format), min(_MOST_PIXELS.values()))
    if picture.width * picture.height > most:
        raise GenbenchError(
            f"{where} is suspiciously large ({picture.width}x{picture.height}, over {most:,} "
            "pixels): shrink it"
        )


def _readable(data: bytes, where: str) -> bytes:
    """The file without what only stands in the way: PIL refuses PNGs whose texts are long."""
    if not data:
        raise GenbenchError(f"{where} is empty: write it again")
    if data[:4] != _PNG or not any(kind in data for kind in _TEXTS):
        return data
    kept, position = [data[:8]], 8
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 12 + length  # length, kind, content, checksum
        if data[position + 4 : position + 8] not in _TEXTS:
            kept.append(data[position:end])
        position = end
    return b"".join(kept)


def _hides_some(picture: Image.Image) -> bool:
    """Whether the colour that a 16-bit PNG calls transparent occurs, by its high bytes."""
    colour = np.asarray(picture.info["transparency"]) >> 8
    pixels = np.asarray(picture)
    high = pixels >> 8 if picture.mode.startswith("I;16") else pixels
    return bool((high == colour).reshape(*high.shape[:2], -1).all(axis=-1).any())


def _rgb(picture: Image.Image, where: str, *, deep: bool = False) -> Image.Image:
    """deep: whether the file has 16 bits a sample, of which PIL keeps 8 where there are colours."""
    if deep and "transparency" in picture.info:
        if _hides_some(picture):
            raise GenbenchError(f"{where} is partly transparent: put it on a background first")
        del picture.info["transparency"]
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
