"""ADM sample batches: .npz files whose images are read without loading the whole array."""

from __future__ import annotations

import hashlib
import lzma
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.sets import ImageSet, Labels, to_channels_first
from genbench.runtime import arrays
from genbench.runtime.arrays import ArrayHeader
from genbench.runtime.files import refuse_special

_CHUNK = 1 << 22  # bytes read at once
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, struct.error,
           NotImplementedError)  # fmt: skip


@contextmanager
def opened_npz(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, with every kind of damage turned into one line."""
    refuse_special(path)
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    except RuntimeError as error:  # what zipfile raises for an encrypted member
        raise GenbenchError(f"{path} is encrypted: save it without a password") from error
    except OSError as error:
        reason = error.strerror or error  # bz2 and lzma give no number
        raise GenbenchError(f"cannot read {path}: {reason}; check the path") from error


def _damaged(path: Path, error: Exception) -> GenbenchError:
    reason = str(error) or type(error).__name__
    return GenbenchError(f"{path} is damaged or no .npz ({reason}): copy or write it again")


def array_header(path: Path, archive: zipfile.ZipFile, name: str) -> ArrayHeader | None:
    """The header of array `name`; None when there is no such array. Never unpickles anything."""
    try:
        header = arrays.array_header(archive, name)
    except ValueError as error:
        raise _damaged(path, error) from error
    if header and header.dtype.hasobject:
        raise GenbenchError(
            f"{path}: {name} holds pickled Python objects, which genbench never loads: save "
            "plain numbers"
        )
    return header


class NpzImages(ImageSet):
    """An ADM sample batch: `arr_0` uint8 [N, H, W, 3], optionally `arr_1`, the labels [N].

    Stored arrays (numpy.savez) are read by position; deflated ones (savez_compressed) in a stream.
    The zip's checksum is verified by `content_digest`, which sees all of the array.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        with opened_npz(path) as archive:
            header = array_header(path, archive, "arr_0")
            self._header = self._checked(header, archive)
            self._count, height, width, _ = self._header.shape
            self.size = (height, width)
            info = archive.getinfo("arr_0.npy")
            self._stored = info.compress_type == zipfile.ZIP_STORED
            self._first = _data_offset(path, info) + self._header.offset
            self.labels = self._read_labels(archive)
        self._stream = _Stream(path, self._header.offset)

    def _checked(self, header: ArrayHeader | None, archive: zipfile.ZipFile) -> ArrayHeader:
        if header is None:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            known = ", ".join(names[:6]) + ", …" * (len(names) > 6) or "nothing"
            raise GenbenchError(
                f"{self.path} has no arr_0 (it holds {known}): save the images as "
                "numpy.savez(path, images), uint8 [N, H, W, 3]"
            )
        shape, dtype = header.shape, header.dtype
        wanted = f"{self.path}: arr_0 must be uint8 NHWC [N, H, W, 3], not {dtype} {list(shape)}"
        if len(shape) == 4 and shape[1] == 3 and shape[3] != 3:
            raise GenbenchError(f"{wanted}: the channels come second; use transpose(0, 2, 3, 1)")
        if len(shape) == 3 or (len(shape) == 4 and shape[3] == 1):
            grey = "x[..., None]" if len(shape) == 3 else "x"
            raise GenbenchError(
                f"{wanted}: make grey images RGB with numpy.repeat({grey}, 3, axis=3)"
            )
        if len(shape) == 4 and shape[3] == 4:
            raise GenbenchError(f"{wanted}: put the images on a background and save RGB alone")
        if len(shape) != 4 or shape[3] != 3:
            raise GenbenchError(f"{wanted}: convert to RGB images of one size")
        if dtype != np.uint8:
            raise GenbenchError(f"{wanted}: {self._about_values(header, archive)}")
        if header.fortran:
            raise GenbenchError(f"{self.path}: arr_0 is in Fortran order: save a C-ordered copy")
        if 0 in shape:
            raise GenbenchError(
                f"{self.path}: arr_0 is empty {list(shape)}: save at least one image"
            )
        # Reading by position must not run on into what follows the array.
        if not header.whole:
            raise _damaged(self.path, EOFError("arr_0 is not as long as its header says"))
        return header

    def _about_values(self, header: ArrayHeader, archive: zipfile.ZipFile) -> str:
        remedy = "scale to 0 … 255 and convert to uint8"
        if header.dtype.kind != "f":
            return remedy
        with archive.open("arr_0.npy") as member:
            member.read(header.offset)
            while block := member.read(_CHUNK - _CHUNK % header.dtype.itemsize):
                if not np.isfinite(np.frombuffer(block, header.dtype)).all():
                    return f"it holds NaN or infinity; find out why, then {remedy}"
        return remedy

    def _read_labels(self, archive: zipfile.ZipFile) -> Labels | None:
        header = array_header(self.path, archive, "arr_1")
        if header is None:
            return None
        if header.shape != (self._count,) or header.dtype.kind not in "iu":
            raise GenbenchError(
                f"{self.path}: arr_1 must hold one integer label an image ([{self._count}]), not "
                f"{header.dtype} {list(header.shape)}: correct it or leave it out"
            )
        if not header.whole:
            raise _damaged(self.path, EOFError("arr_1 is not as long as its header says"))
        return arrays.read_array(archive, "arr_1", header).astype(np.int64)

    def __len__(self) -> int:
        return self._count

    def read(self, start: int, stop: int) -> Tensor:
        """As `ImageSet.read`; memory is that of the images asked for."""
        height, width = self.size
        each = height * width * 3
        if self._stored:
            try:
                with self.path.open("rb") as file:
                    file.seek(self._first + start * each)
                    data = file.read((stop - start) * each)
            except OSError as error:
                raise GenbenchError(f"cannot read {self.path}: {error.strerror}") from error
        else:
            data = self._stream.read(start * each, stop * each)
        if len(data) != (stop - start) * each:
            raise _damaged(self.path, EOFError("it ends within its images"))
        pictures = np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)
        return to_channels_first(pictures)

    def content_digest(self) -> str:
        """Digest of the array's shape and bytes; its checksum is verified on the way."""
        hasher = hashlib.sha256(str(self._header.shape).encode())
        with opened_npz(self.path) as archive, archive.open("arr_0.npy") as member:
            member.read(self._header.offset)
            while block := member.read(_CHUNK):
                hasher.update(block)
        return hasher.hexdigest()


def stored_digest(images: ImageSet) -> str:
    """The content digest that a set's images will have as `arr_0` of a file."""
    hasher = hashlib.sha256(str((len(images), *images.size, 3)).encode())
    for batch in images:
        hasher.update(np.ascontiguousarray(batch.permute(0, 2, 3, 1).numpy()).tobytes())
    return hasher.hexdigest()


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: after its local header, whose extra field may differ."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(30)
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    return info.header_offset + 30 + int(name_length) + int(extra_length)


class _Stream:
    """Forward reading of a deflated array; going back starts again from its beginning."""

    def __init__(self, path: Path, skip: int) -> None:
        self._path, self._skip = path, skip
        self._alone = threading.Lock()  # the position is shared by all who read
        self._archive: zipfile.ZipFile | None = None
        self._member: IO[bytes] | None = None
        self._position = 0

    def read(self, start: int, stop: int) -> bytes:
        """Bytes start … stop-1 of the array's data."""
        with self._alone:
            return self._read(start, stop)

    def _read(self, start: int, stop: int) -> bytes:
        try:
            if self._member is None or start < self._position:
                self._restart()
            assert self._member is not None
            while self._position < start:
                skipped = self._member.read(min(_CHUNK, start - self._position))
                if not skipped:
                    break
                self._position += len(skipped)
            data = self._member.read(stop - start)
        except _DAMAGE as error:
            raise _damaged(self._path, error) from error
        except OSError as error:
            raise GenbenchError(f"cannot read {self._path}: {error.strerror}") from error
        self._position += len(data)
        return data

    def _restart(self) -> None:
        self.close()
        self._archive = zipfile.ZipFile(self._path)
        self._member = self._archive.open("arr_0.npy")
        self._member.read(self._skip)
        self._position = 0

    def close(self) -> None:
        """Close the file."""
        for handle in (self._member, self._archive):
            if handle is not None:
                handle.close()
        self._member = self._archive = None

    def __del__(self) -> None:
        self.close()
