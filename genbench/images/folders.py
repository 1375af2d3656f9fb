"""Folders and zips of pictures as image sets; class sub-folders become labels."""

from __future__ import annotations

import hashlib
import lzma
import os
import posixpath
import struct
import threading
import zipfile
import zlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images import dataset_json
from genbench.images.decoding import SUFFIXES, decode, picture_size
from genbench.images.sets import ImageSet
from genbench.runtime.archives import claims_too_much
from genbench.runtime.files import refuse_special
from genbench.runtime.processors import usable_processors

_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
_HEADER = 1 << 16  # bytes that hold a picture's size, but for rare JPEGs
_FEWEST_THREADS, _MOST_THREADS = 4, 16  # PIL decodes without the interpreter lock …
_SMALL = 64 * 64  # … but below this many pixels threads mostly wait for it


class _Pictures(ImageSet):
    """Named pictures, in the order of their names."""

    def _take(self, names: list[str], crop: str, resolution: int) -> None:
        where = self._where("")
        if not names or names == [dataset_json.NAME]:
            raise GenbenchError(f"{where} holds no PNG, JPEG or WebP images: check the path")
        self._listed = dataset_json.NAME in names
        self._names = [name for name in names if name != dataset_json.NAME]
        self._crop, self._resolution = crop, resolution
        self._label()
        self.size = self._common_size() if crop == "none" else (resolution, resolution)

    def _label(self) -> None:
        """The labels of dataset.json, else those of the sub-folders."""
        if self._listed:
            where = self._where(dataset_json.NAME)
            content = self._bytes(dataset_json.NAME)
            self.labels = dataset_json.listed_labels(content, self._names, where)
        if self.labels is None and all("/" in name for name in self._names):
            classes = [name.split("/", 1)[0] for name in self._names]
            self.class_names = tuple(sorted(set(classes)))
            number = {name: label for label, name in enumerate(self.class_names)}
            self.labels = np.array([number[name] for name in classes], np.int64)

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
        batch = torch.empty(len(names), 3, *self.size, dtype=torch.uint8)
        planes = batch.numpy()

        def decode_one(number: int) -> None:
            name = names[number]
            where = self._where(name)
            picture = decode(self._bytes(name), where, crop=self._crop, resolution=self._resolution)
            if picture.shape[:2] != self.size:  # the file was replaced after it was opened
                raise GenbenchError(f"{where} changed its size during the run: run it again")
            planes[number] = picture.transpose(2, 0, 1)

        small = self._crop == "none" and self.size[0] * self.size[1] < _SMALL
        _for_each(decode_one, len(names), threads=1 if small else _thread_count())
        return batch

    def content_digest(self) -> str:
        """Digest of names and files in order, and of the crop."""
        hasher = hashlib.sha256(f"{self._crop} {self._resolution}\n".encode())
        for name in self._names:
            data = self._bytes(name)
            hasher.update(f"{name} {len(data)}\n".encode(errors="surrogateescape"))
            hasher.update(data)
        return hasher.hexdigest()


def _thread_count() -> int:
    """One for each core this process may use; four at the least, some of which wait for files."""
    return min(max(_FEWEST_THREADS, usable_processors()), _MOST_THREADS)


def _for_each(work: Callable[[int], None], count: int, *, threads: int) -> None:
    """work(0) … work(count - 1) in threads, each taking the next number when it is free.

    The first failure ends all of them; of several, that of the lowest number is raised.
    """
    if threads == 1:
        for number in range(count):
            work(number)
        return
    numbers = iter(range(count))
    failures: dict[int, GenbenchError] = {}
    stopped = threading.Event()

    def take() -> None:
        for number in numbers:
            if stopped.is_set():
                return
            try:
                work(number)
            except GenbenchError as error:
                failures[number] = error
                stopped.set()

    with ThreadPoolExecutor(threads) as pool:
        try:
            for future in [pool.submit(take) for _ in range(min(threads, count))]:
                future.result()
        finally:
            stopped.set()  # on KeyboardInterrupt too
    if failures:
        raise failures[min(failures)]


def _is_side_file(name: str) -> bool:
    """Files and folders that systems leave behind; everything else must be a picture."""
    parts = name.split("/")
    return any(map(_is_hidden, parts)) or parts[-1] in ("Thumbs.db", "desktop.ini")


def _is_hidden(name: str) -> bool:
    return (name.startswith(".") and name != "..") or name == "__MACOSX"


def _picture_names(names: Sequence[str], where: str) -> list[str]:
    """The pictures among `names`, sorted by code points, whatever the system's language."""
    found = sorted(name for name in names if not _is_side_file(name))
    for name in found:
        if os.path.basename(name) == dataset_json.NAME and name.count("/") <= 1:
            continue
        if os.path.splitext(name)[1].lower() not in SUFFIXES:
            raise GenbenchError(
                f"{where} holds {name}, which is no PNG, JPEG or WebP image: move or convert it"
            )
    return found


class PictureFolder(_Pictures):
    """The pictures of a folder and its sub-folders, links followed.

    Hidden files and folders, __MACOSX, Thumbs.db and desktop.ini are passed over; any other file
    that is no picture is an error. When every picture lies in a sub-folder, the sub-folders of the
    root, sorted, are the classes.
    """

    def __init__(self, path: Path, *, crop: str = "none", resolution: int = 0) -> None:
        self.path, self.name = path, path.resolve().name
        self._take(_picture_names(list(self._files("", ())), str(path)), crop, resolution)

    def _files(self, within: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
        """The files of a folder and of those in it. above: the folders it was reached through."""
        try:
            here = os.stat(self._where(within))
            entries = sorted(os.scandir(self._where(within)), key=lambda entry: entry.name)
        except OSError as error:
            self._unreadable(error)
            raise
        own = (here.st_dev, here.st_ino)
        if own in above:
            raise GenbenchError(
                f"{self._where(within)} is a link in a circle, to a folder it lies in: remove it"
            )
        for entry in entries:
            name = f"{within}/{entry.name}" if within else entry.name
            if _is_side_file(entry.name):
                continue
            if self._leads_to_a_folder(entry, name):
                yield from self._files(name, (*above, own))
                continue
            if not entry.is_file():
                broken = entry.is_symlink() and not os.path.exists(entry.path)
                kind = "broken link" if broken else "device or a pipe, no file"
                raise GenbenchError(f"{self._where(name)} is a {kind}: remove it")
            yield name

    def _leads_to_a_folder(self, entry: os.DirEntry[str], name: str) -> bool:
        try:
            return entry.is_dir()
        except OSError as error:  # a link to itself
            raise GenbenchError(
                f"{self._where(name)} is a link in a circle ({error.strerror}): remove it"
            ) from error

    def _unreadable(self, error: OSError) -> None:
        raise GenbenchError(
            f"cannot read {error.filename}: {error.strerror}; check its permissions"
        ) from error

    def _where(self, name: str) -> str:
        return f"{self.path}/{name}" if name else str(self.path)

    def _bytes(self, name: str, limit: int = -1) -> bytes:
        try:
            with open(f"{self.path}/{name}", "rb") as file:
                return file.read(limit)
        except OSError as error:
            self._unreadable(error)
            raise


class PictureZip(_Pictures):
    """The pictures of a zip, read in place; one folder around everything is not a class."""

    def __init__(self, path: Path, *, crop: str = "none", resolution: int = 0) -> None:
        self.path, self.name = path, path.name
        refuse_special(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except (*_DAMAGE, ValueError, struct.error) as error:
            raise GenbenchError(f"{path} is damaged or no zip ({error}): make it again") from error
        names = [info.filename for info in self._archive.infolist()]
        if any(info.compress_type == zipfile.ZIP_LZMA for info in self._archive.infolist()):
            # A few bytes of it can ask for a dictionary of 4 GiB.
            raise GenbenchError(f"{path} is compressed by LZMA: zip it the usual way (deflate)")
        files = [name for name in names if not name.endswith("/")]
        self._members = {posixpath.normpath(name): name for name in files}  # "./a.png" is a.png
        names = _picture_names([posixpath.normpath(name) for name in files], str(path))
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise GenbenchError(f"{path} holds {twice[0]} twice: zip it again")
        self._root = _common_root(names)
        self._take([name.removeprefix(self._root) for name in names], crop, resolution)

    def _where(self, name: str) -> str:
        return f"{self.path}:{self._root}{name}" if name else str(self.path)

    def _bytes(self, name: str, limit: int = -1) -> bytes:
        try:
            info = self._archive.getinfo(self._members[self._root + name])
            if claims_too_much(self._archive, info):
                raise zipfile.BadZipFile("it says that it is longer than it can be")
            with self._archive.open(info) as member:
                return member.read(limit)
        except _DAMAGE as error:
            raise GenbenchError(
                f"{self._where(name)} is damaged ({error}): zip it again"
            ) from error
        except RuntimeError as error:  # what zipfile raises for an encrypted member
            raise GenbenchError(f"{self.path} is encrypted: zip it without a password") from error
        except OSError as error:
            raise GenbenchError(f"cannot read {self.path}: {error.strerror or error}") from error

    def __del__(self) -> None:
        if archive := getattr(self, "_archive", None):
            archive.close()


def _common_root(names: Sequence[str]) -> str:
    tops = {name.split("/", 1)[0] for name in names if "/" in name}
    alone = len(tops) == 1 and all("/" in name for name in names)
    return tops.pop() + "/" if alone else ""
