"""Pictures that have names, in their order: what folders, zips and plain tars share."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence

import numpy as np

from genbench.errors import GenbenchError
from genbench.images import dataset_json
from genbench.images.decoding import SUFFIXES
from genbench.images.pictures import Pictures
from genbench.images.sets import Labels
from genbench.images.videos import refuse_video


class NamedPictures(Pictures):
    """Named pictures, in the order of their names. All of them are held to one size at once."""

    def _take(self, names: list[str]) -> None:
        where = self._place("")
        if not names or names == [dataset_json.NAME]:
            raise GenbenchError(f"{where} holds no PNG, JPEG or WebP images: check the path")
        self._listed = dataset_json.NAME in names
        self._names = [name for name in names if name != dataset_json.NAME]
        self._label()
        self._take_size()

    def _label(self) -> None:
        """The labels of dataset.json, else those of the sub-folders."""
        if self._listed:
            where = self._place(dataset_json.NAME)
            content = self._file(dataset_json.NAME)
            self.labels = dataset_json.listed_labels(content, self._names, where)
        if self.labels is None:
            self.labels, self.class_names = folder_labels(self._names)

    def _take_size(self) -> None:
        super()._take_size()
        if self._crop != "none":
            return
        for index in range(1, len(self)):  # threads only wait for each other
            if (size := self._size_of(index)) != self.size:
                (height, width), (first_height, first_width) = size, self.size
                raise GenbenchError(
                    f"{self._where(index)} is {width}x{height} but {self._names[0]} is "
                    f"{first_width}x{first_height}: bring them to one size with --res R --crop adm"
                )

    def _other_size(self, index: int, found: tuple[int, int]) -> GenbenchError:
        return GenbenchError(f"{self._where(index)} changed its size during the run: run it again")

    @abstractmethod
    def _place(self, name: str) -> str:
        """What to call a file of that name in a message; of no name, the whole."""

    @abstractmethod
    def _file(self, name: str, limit: int = -1) -> bytes:
        """A file, or its first `limit` bytes."""

    def _where(self, index: int) -> str:
        return self._place(self._names[index])

    def _bytes(self, index: int, limit: int = -1) -> bytes:
        return self._file(self._names[index], limit)

    def _digest_name(self, index: int) -> str:
        return self._names[index]

    def __len__(self) -> int:
        return len(self._names)


def folder_labels(names: Sequence[str]) -> tuple[Labels | None, tuple[str, ...]]:
    """Labels int64 [N] by the folders that the names begin with, and those folders, sorted by code
    points; None and nothing where some name has no folder."""
    if not all("/" in name for name in names):
        return None, ()
    return class_labels([name.split("/", 1)[0] for name in names])


def class_labels(classes: Sequence[str]) -> tuple[Labels, tuple[str, ...]]:
    """Labels int64 [N] of classes that are told by name, and the names, sorted by code points."""
    known = tuple(sorted(set(classes)))
    number = {name: label for label, name in enumerate(known)}
    return np.array([number[name] for name in classes], np.int64), known


def is_side_file(name: str) -> bool:
    """Files and folders that systems leave behind; everything else must be a picture."""
    parts = name.split("/")
    return any(map(_is_hidden, parts)) or parts[-1] in ("Thumbs.db", "desktop.ini")


def _is_hidden(name: str) -> bool:
    return (name.startswith(".") and name != "..") or name == "__MACOSX"


def picture_names(names: Sequence[str], where: str) -> list[str]:
    """The pictures among `names`, sorted by code points, whatever the system's language."""
    found = sorted(name for name in names if not is_side_file(name))
    for name in found:
        if os.path.basename(name) == dataset_json.NAME and name.count("/") <= 1:
            continue
        if os.path.splitext(name)[1].lower() not in SUFFIXES:
            refuse_video(f"{where}/{name}")
            raise GenbenchError(
                f"{where} holds {name}, which is no PNG, JPEG or WebP image: move or convert it"
            )
    return found


def refuse_repeated(names: Sequence[str], where: str, remedy: str) -> None:
    """Raises GenbenchError for a name that an archive holds twice."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise GenbenchError(f"{where} holds {twice[0]} twice: {remedy}")


def common_root(names: Sequence[str]) -> str:
    """The one folder around everything, with its slash; empty where there is none."""
    tops = {name.split("/", 1)[0] for name in names if "/" in name}
    alone = len(tops) == 1 and all("/" in name for name in names)
    return tops.pop() + "/" if alone else ""
