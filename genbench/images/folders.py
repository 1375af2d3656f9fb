"""Folders and zips of pictures as image sets; class sub-folders become labels."""

from __future__ import annotations

import lzma
import os
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.images.named_pictures import (
    NamedPictures,
    common_root,
    is_side_file,
    picture_names,
    refuse_repeated,
)
from genbench.runtime.archives import claims_too_much
from genbench.runtime.files import refuse_special

_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


class PictureFolder(NamedPictures):
    """The pictures of a folder and its sub-folders, links followed.

    Hidden files and folders, __MACOSX, Thumbs.db and desktop.ini are passed over; any other file
    that is no picture is an error. When every picture lies in a sub-folder, the sub-folders of the
    root, sorted, are the classes.
    """

    def __init__(self, path: Path, *, crop: str = "none", resolution: int = 0) -> None:
        self.path, self.name = path, path.resolve().name
        super().__init__(crop, resolution)
        self._take(picture_names(list(self._files("", ())), str(path)))

    def _files(self, within: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
        """The files of a folder and of those in it. above: the folders it was reached through."""
        try:
            here = os.stat(self._place(within))
            entries = sorted(os.scandir(self._place(within)), key=lambda entry: entry.name)
        except OSError as error:
            self._unreadable(error)
            raise
        own = (here.st_dev, here.st_ino)
        if own in above:
            raise GenbenchError(
                f"{self._place(within)} is a link in a circle, to a folder it lies in: remove it"
            )
        for entry in entries:
            name = f"{within}/{entry.name}" if within else entry.name
            if is_side_file(entry.name):
                continue
            if self._leads_to_a_folder(entry, name):
                yield from self._files(name, (*above, own))
                continue
            if not entry.is_file():
                broken = entry.is_symlink() and not os.path.exists(entry.path)
                kind = "broken link" if broken else "device or a pipe, no file"
                raise GenbenchError(f"{self._place(name)} is a {kind}: remove it")
            yield name

    def _leads_to_a_folder(self, entry: os.DirEntry[str], name: str) -> bool:
        try:
            return entry.is_dir()
        except OSError as error:  # a link to itself
            raise GenbenchError(
                f"{self._place(name)} is a link in a circle ({error.strerror}): remove it"
            ) from error

    def _unreadable(self, error: OSError) -> None:
        raise GenbenchError(
            f"cannot read {error.filename}: {error.strerror}; check its permissions"
        ) from error

    def _place(self, name: str) -> str:
        return f"{self.path}/{name}" if name else str(self.path)

    def _file(self, name: str, limit: int = -1) -> bytes:
        try:
            with open(f"{self.path}/{name}", "rb") as file:
                return file.read(limit)
        except OSError as error:
            self._unreadable(error)
            raise


class PictureZip(NamedPictures):
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
        names = picture_names([posixpath.normpath(name) for name in files], str(path))
        refuse_repeated(names, str(path), "zip it again")
        self._root = common_root(names)
        super().__init__(crop, resolution)
        self._take([name.removeprefix(self._root) for name in names])

    def _place(self, name: str) -> str:
        return f"{self.path}:{self._root}{name}" if name else str(self.path)

    def _file(self, name: str, limit: int = -1) -> bytes:
        try:
            info = self._archive.getinfo(self._members[self._root + name])
            if claims_too_much(self._archive, info):
                raise zipfile.BadZipFile("it says that it is longer than it can be")
            with self._archive.open(info) as member:
                return member.read(limit)
        except _DAMAGE as error:
            raise GenbenchError(
                f"{self._place(name)} is damaged ({error}): zip it again"
            ) from error
        except RuntimeError as error:  # what zipfile raises for an encrypted member
            raise GenbenchError(f"{self.path} is encrypted: zip it without a password") from error
        except OSError as error:
            raise GenbenchError(f"cannot read {self.path}: {error.strerror or error}") from error

    def __del__(self) -> None:
        if archive := getattr(self, "_archive", None):
            archive.close()
