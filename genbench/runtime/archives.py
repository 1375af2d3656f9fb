"""What a member of a zip says of itself, against what the file can hold."""

from __future__ import annotations

import zipfile

_MOST_INFLATED = 1100  # bytes of a byte: more than deflate can make of it


def claims_too_much(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    """Whether a stored or deflated member says that it is longer than it can be: whoever makes
    room for it believes that."""
    assert archive.fp is not None
    held = archive.fp.seek(0, 2)
    factor = 1 if info.compress_type == zipfile.ZIP_STORED else _MOST_INFLATED
    if info.compress_size > held:  # `read` makes room for as much before it finds less
        return True
    return info.file_size > factor * min(info.compress_size, held)
