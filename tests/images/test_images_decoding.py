"""Pictures as cameras and programs really write them: read as they are, or refused for a reason."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from genbench.errors import GenbenchError
from genbench.images.decoding import decode, picture_size

GREY, COLOURED = 0, 2  # colour types of PNG
RNG = np.random.default_rng(0)


def png16(
    samples: NDArray[np.integer], kind: int, transparent: Sequence[int] = (),
    texts: Sequence[bytes] = (),
) -> bytes:  # fmt: skip
    """A 16-bit PNG, which PIL cannot write in colour. transparent: the colour that is."""
    height, width = samples.shape[:2]

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))]
    parts += [chunk(b"tEXt", b"Comment\0" + text) for text in texts]
    if transparent:
        parts.append(chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)))
    parts += [chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(("kind", "colour"), [(GREY, (1000,)), (COLOURED, (1000, 2000, 3000))])
def test_transparency_of_16_bit_pictures_is_seen(kind: int, colour: tuple[int, ...]) -> None:
    samples = RNG.integers(20_000, 65_536, (4, 5, len(colour))).squeeze()
    opaque = decode(png16(samples, kind, colour), "f.png")
    expected = np.broadcast_to((samples >> 8).reshape(4, 5, -1), (4, 5, 3))
    assert np.array_equal(opaque, expected)
    samples[2, 3] = colour if len(colour) > 1 else colour[0]
    assert decode(png16(samples, kind), "f.png")[2, 3].tolist() == list(np.resize(colour, 3) >> 8)
    with pytest.raises(GenbenchError, match=r"f\.png is partly transparent"):
        decode(png16(samples, kind, colour), "f.png")


def test_texts_of_any_length_are_passed_over() -> None:
    samples = RNG.integers(0, 65_536, (4, 5))
    plain = decode(png16(samples, GREY), "f.png")
    long = png16(samples, GREY, texts=[b"x" * (1 << 20)] * 70)
    assert np.array_equal(decode(long, "f.png"), plain)
    assert picture_size(long, "f.png") == (4, 5)
    packed = PngImagePlugin.PngInfo()
    packed.add_text("parameters", "b" * (5 << 20), zip=True)
    packed.add_itxt("parameters", "é" * (3 << 20), zip=True)
    written = io.BytesIO()
    Image.fromarray(plain).save(written, "PNG", pnginfo=packed)
    assert np.array_equal(decode(written.getvalue(), "f.png"), plain)


def test_the_first_picture_of_a_phones_jpeg_is_read() -> None:
    pictures = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    several, one = io.BytesIO(), io.BytesIO()
    pictures[0].save(several, "MPO", save_all=True, append_images=pictures[1:])
    pictures[0].save(one, "JPEG")
    assert np.array_equal(decode(several.getvalue(), "f.jpg"), decode(one.getvalue(), "f.jpg"))


def test_an_empty_file_is_called_empty() -> None:
    for read in (decode, picture_size):
        with pytest.raises(GenbenchError, match=r"f\.png is empty: write it again"):
            read(b"", "f.png")
