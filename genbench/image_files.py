"""Folders and zips of pictures as image sets; class sub-folders become labels."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
from torch import Tensor

from genbench.core import GenbenchError
from genbench.images import ImageSet, to_channels_first
from genbench.pictures import SUFFIXES, decode, picture_size

_HEADER = 1 << 16  # bytes that hold a picture's size, but for rare JPEGs
_THREADS = 4  # PIL decodes without the interpreter lock …
_SMALL = 64 * 64  # … but below this many pixels threads mostly wait for it


class _Pictures(ImageSet):
    """Named pictures, in the order of their names."""

    def _take(self, names: Sequence[str], crop: str, resolution: int) -> None:
        where = self._where("")
        if not names:
            raise GenbenchError(f"{where} holds no PNG, JPEG or WebP images: check the path")
        self._names = sorted(names)
        self._crop, self._resolution = crop, resolution
        self._label()
        self.size = self._common_size() if crop == "none" else (resolution, resolution)

    def _label(self) -> None:
        paths = [PurePosixPath(name) for name in self._names]
        if all(len(path.parts) > 1 for path in paths):
            self.class_names = tuple(sorted({path.parts[0] for path in paths}))
            number = {name: label for label, name in enumerate(self.class_names)}
            self.labels = np.array([number[path.parts[0]] for path in paths], np.int64)

    def _common_size(self) -> tuple[int, int]:
        sizes = [self._size_of(name) for name in self._names]  # threads only wait for each other
        for name, size in zip(self._names, sizes, strict=True):
            if size != sizes[0]:
                (height, width), (first_height, first_width) = size, sizes[0]
                raise GenbenchError(
                    f"{self._where(name)} is {width}x{height} but {self._names[0]} is "
                    f"{first_width}x{first_height}: bring them to one size with --res R --crop adm"
                )
        return sizes[0]

    def _size_of(self, name: str) -> tuple[int, int]:
        try:
            return picture_size(self._bytes(name, _HEADER), self._where(name))
        except GenbenchError:  # some JPEGs carry more than a header's worth of thumbnails in front
            return picture_size(self._bytes(name), self._where(name))

    @abstractmethod
    def _where(self, name: str) -> str:
        """What to call a picture in a message."""

    @abstractmethod
    def _bytes(self, name: str, limit: int = -1) -> bytes:
        """A picture's file, or its first `limit` bytes."""

    def __len__(self) -> int:
        return len(self._names)

    def read(self, start: int, stop: int) -> Tensor:
        """As `ImageSet.read`."""
        names = self._names[start:stop]
        if self._crop == "none" and self.size[0] * self.size[1] < _SMALL:
            pictures = [self._decoded(name) for name in names]
        else:
            with ThreadPoolExecutor(_THREADS) as pool:
                pictures = list(pool.map(self._decoded, names))
        for name, picture in zip(names, pictures, strict=True):
            if picture.shape[:2] != self.size:  # the file was replaced after it was opened
                raise GenbenchError(f"{self._where(name)} changed its size during the run")
        return to_channels_first(np.stack(pictures))

    def _decoded(self, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return decode(
            self._bytes(name), self._where(name), crop=self._crop, resolution=self._resolution
        )

    def content_digest(self) -> str:
        """Digest of names and files in order, and of the crop."""
        hasher = hashlib.sha256(f"{self._crop} {self._resolution}\n".encode())
        for name in self._names:
            data = self._bytes(name)
            hasher.update(f"{name} {len(data)}\n".encode())
            hasher.update(data)
        return hasher.hexdigest()


def _is_side_file(path: PurePosixPath) -> bool:
    """Files and folders that systems leave behind; everything else must be a picture."""
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return hidden or path.name in ("Thumbs.db", "desktop.ini")


def _picture_names(names: Sequence[str], where: str) -> list[str]:
    found = []
    for name in names:
        path = PurePosixPath(name)
        if _is_side_file(path):
            continue
        if path.suffix.lower() not in SUFFIXES:
            raise GenbenchError(
                f"{where} holds {name}, which is no PNG, JPEG or WebP image: move it elsewhere"
            )
        found.append(name)
    return found


class PictureFolder(_Pictures):
    """The pictures of a folder and its sub-folders."""

    def __init__(self, path: Path, *, crop: str = "none", resolution: int = 0) -> None:
        self.path, self.name = path, path.resolve().name
        names: list[str] = []
        for folder, _, files in os.walk(path, onerror=self._unreadable, followlinks=True):
            relative = Path(folder).relative_to(path)
            names += [(relative / file).as_posix() for file in files]
        self._take(_picture_names(names, str(path)), crop, resolution)

    def _unreadable(self, error: OSError) -> None:
        raise GenbenchError(
            f"cannot read {error.filename}: {error.strerror}; check its permissions"
        ) from error

    def _where(self, name: str) -> str:
        return str(self.path / name)

    def _bytes(self, name: str, limit: int = -1) -> bytes:
        try:
            with (self.path / name).open("rb") as file:
                return file.read(limit)
        except OSError as error:
            self._unreadable(error)
            raise


class PictureZip(_Pictures):
    """The pictures of a zip, read in place; one folder around everything is not a class."""

    def __init__(self, path: Path, *, crop: str = "none", resolution: int = 0) -> None:
        self.path, self.name = path, path.name
        try:
            self._archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise GenbenchError(f"{path} is damaged or no zip ({error}): make it again") from error
        members = [info.filename for info in self._archive.infolist() if not info.is_dir()]
        names = _picture_names(members, str(path))
        self._root = _common_root(names)
        self._take([name.removeprefix(self._root) for name in names], crop, resolution)

    def _where(self, name: str) -> str:
        return f"{self.path}:{self._root}{name}" if name else str(self.path)

    def _bytes(self, name: str, limit: int = -1) -> bytes:
        try:
            with self._archive.open(self._root + name) as member:
                return member.read(limit)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise GenbenchError(
                f"{self._where(name)} is damaged ({error}): zip it again"
            ) from error
        except RuntimeError as error:  # what zipfile raises for an encrypted member
            raise GenbenchError(f"{self.path} is encrypted: zip it without a password") from error

    def __del__(self) -> None:
        if archive := getattr(self, "_archive", None):
            archive.close()


def _common_root(names: Sequence[str]) -> str:
    tops = {name.split("/", 1)[0] for name in names if "/" in name}
    alone = len(tops) == 1 and all("/" in name for name in names)
    return tops.pop() + "/" if alone else ""
