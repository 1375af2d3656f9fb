"""Tars of pictures, read in place: plain ones as a folder is, and WebDataset's shards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genbench.errors import GenbenchError, UsageError
from genbench.images import dataset_json
from genbench.images.byte_ranges import ByteRanges, read_range
from genbench.images.decoding import SUFFIXES
from genbench.images.named_pictures import (
    NamedPictures,
    common_root,
    folder_labels,
    picture_names,
    refuse_repeated,
)
from genbench.images.pictures import Pictures
from genbench.images.sets import ImageSet
from genbench.images.tar_members import Member, tar_members
from genbench.images.videos import refuse_video

_LABEL_KEYS = ("label", "cls", "class", "class_id")  # of a sample's .json
_MOST_LABEL = 1 << 20  # bytes of a .cls or .json


def open_tars(
    paths: Sequence[Path], name: str, *, extension: str = "", crop: str = "none",
    resolution: int = 0,
) -> ImageSet:  # fmt: skip
    """One or several tars as an image set.

    One tar that holds nothing but pictures (and a dataset.json) is read as a zip is, in the order
    of the names, with sub-folders as classes. All others are WebDataset's, see `WebDataset`.
    extension: which of a sample's pictures is meant, "input.png". Raises GenbenchError or
    UsageError with the remedy.
    """
    if len(paths) == 1 and not extension:
        members: list[Member] = []
        for member in tar_members(paths[0]):
            if not (_is_picture(member.name) or _is_listing(member.name)):
                break
            members.append(member)
        else:
            return TarPictures(paths[0], members, crop=crop, resolution=resolution)
    return WebDataset(paths, name, extension=extension, crop=crop, resolution=resolution)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _is_listing(name: str) -> bool:
    return name.rpartition("/")[2] == dataset_json.NAME and name.count("/") <= 1


class TarPictures(NamedPictures):
    """The pictures of one tar, as `PictureZip` has those of a zip: same order, labels, digest."""

    def __init__(
        self, path: Path, members: Sequence[Member], *, crop: str = "none", resolution: int = 0
    ) -> None:
        self.path, self.name = path, path.name
        super().__init__(crop, resolution)
        names = picture_names([member.name for member in members], str(path))
        refuse_repeated(names, str(path), "make the tar again")
        self._root = common_root(names)
        self._members = {member.name.removeprefix(self._root): member for member in members}
        self._take([name.removeprefix(self._root) for name in names])

    def _place(self, name: str) -> str:
        return f"{self.path}:{self._root}{name}" if name else str(self.path)

    def _file(self, name: str, limit: int = -1) -> bytes:
        member = self._members[name]
        size = member.size if limit < 0 else min(limit, member.size)
        return read_range(self.path, member.offset, size)


class WebDataset(Pictures):
    """The samples of WebDataset's shards, in the order of the shards and of the files in them.

    Files of a shard that are named alike up to the first dot are one sample (webdataset's
    base_plus_ext). One of them is the picture; `.cls` (a number in text) or `.json` (with "label"
    or "cls") is the label, else the folders of the names are; all other files are left unread.
    """

    def __init__(
        self, paths: Sequence[Path], name: str, *, extension: str = "", crop: str = "none",
        resolution: int = 0,
    ) -> None:  # fmt: skip
        self.name = name
        super().__init__(crop, resolution)
        self._extension = extension.lower().lstrip(".")
        self._ranges = ByteRanges(paths)
        self._keys: list[str] = []
        labels: list[int | None] = []
        for number, path in enumerate(paths):
            for key, files in _samples(path).items():
                picture = self._picture(path, key, files)
                self._keys.append(key)
                self._ranges.add(number, picture.offset, picture.size)
                labels.append(_label(path, key, files))
        if not self._keys:
            raise GenbenchError(f"{name} holds no samples: check the path")
        self._take_labels(labels)
        self._take_size()

    def _picture(self, path: Path, key: str, files: dict[str, Member]) -> Member:
        """The one file of a sample that is its picture."""
        if self._extension:
            if self._extension in files:
                return files[self._extension]
            known = ", ".join(sorted(files))
            raise UsageError(
                f"{path}:{key} has no .{self._extension} (only {known}): correct the name behind #"
            )
        found = [extension for extension in sorted(files) if _is_picture("." + extension)]
        if len(found) == 1:
            return files[found[0]]
        for extension in files:
            refuse_video(f"{path}:{key}.{extension}")
        if not found:
            known = ", ".join(f".{extension}" for extension in sorted(files))
            raise GenbenchError(
                f"{path}:{key} has no PNG, JPEG or WebP picture, only {known}: remove it"
            )
        raise UsageError(
            f"{path}:{key} has {len(found)} pictures, .{' and .'.join(found)}: say which one is "
            f"meant, as {self.name}#{found[0]}"
        )

    def _take_labels(self, labels: Sequence[int | None]) -> None:
        lacking = [index for index, label in enumerate(labels) if label is None]
        if not lacking:
            self.labels = np.array(labels, np.int64)
        elif len(lacking) < len(labels):
            raise GenbenchError(
                f"{self._where(lacking[0])} has no label in .cls or .json as others have: add it, "
                "or leave all of them out"
            )
        else:
            root = common_root(self._keys)
            self.labels, self.class_names = folder_labels(
                [key.removeprefix(root) for key in self._keys]
            )

    def __len__(self) -> int:
        return len(self._keys)

    def _where(self, index: int) -> str:
        return f"{self._ranges.place(index)[0]}:{self._keys[index]}"

    def _bytes(self, index: int, limit: int = -1) -> bytes:
        return self._ranges.read(index, limit)


def _samples(path: Path) -> dict[str, dict[str, Member]]:
    """A shard's files by their key and extension, in the order of the keys' first files."""
    found: dict[str, dict[str, Member]] = {}
    for member in tar_members(path):
        folder, slash, base = member.name.rpartition("/")
        stem, _, extension = base.partition(".")
        files = found.setdefault(folder + slash + stem, {})
        if extension.lower() in files:
            raise GenbenchError(f"{path} holds {member.name} twice: make the tar again")
        files[extension.lower()] = member
    return found


def _label(path: Path, key: str, files: dict[str, Member]) -> int | None:
    """The label of a sample; None where it has none."""
    for extension in ("cls", "json"):
        member = files.get(extension)
        if member is None:
            continue
        where = f"{path}:{member.name}"
        if member.size > _MOST_LABEL:
            raise GenbenchError(f"{where} is too long for a label: remove it")
        label = _label_in(read_range(path, member.offset, member.size), extension, where)
        if label is not None:
            return label
    return None


def _label_in(content: bytes, extension: str, where: str) -> int | None:
    """The label that a .cls or .json holds; None for a .json that holds other things."""
    try:
        label = json.loads(content)
    except (RecursionError, ValueError) as error:
        raise GenbenchError(f"{where} is no {extension} that can be read: correct it") from error
    if extension == "json":
        held = label if isinstance(label, dict) else {}
        label = next((held[key] for key in _LABEL_KEYS if key in held), None)
        if not isinstance(label, int):
            return None
    if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < 1 << 31:
        raise GenbenchError(f"{where} holds no class but {str(label)[:40]!r}: correct it")
    return label
