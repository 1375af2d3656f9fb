"""A text file of pictures' paths, one a line, each with a label behind it if wanted."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from genbench.errors import GenbenchError
from genbench.images.decoding import SUFFIXES
from genbench.images.named_pictures import class_labels
from genbench.images.pictures import Pictures
from genbench.runtime.files import refuse_special

_MOST = 1 << 30  # bytes of a list
_SUFFIXES = "|".join(re.escape(suffix) for suffix in SUFFIXES)
_LINE = re.compile(
    rf"(?P<path>[^\t]*?(?:{_SUFFIXES}))(?:(?:\t\s*|\s+)(?P<label>\S.*?))?\s*", re.IGNORECASE
)


class ListedPictures(Pictures):
    """The pictures of a list, in its order; a relative path begins at the list's folder.

    A label stands behind a tab or spaces: a whole number, or a class's name, and then for all.
    """

    def __init__(self, path: Path, *, crop: str = "none", resolution: int = 0) -> None:
        self.path, self.name = path, path.name
        super().__init__(crop, resolution)
        self._paths: list[str] = []
        labels: list[str] = []
        for number, line in enumerate(_lines(path), 1):
            if not line.strip():
                continue
            if not (found := _LINE.fullmatch(line)):
                raise GenbenchError(
                    f"{path}, line {number}: {line.strip()[:80]!r} names no PNG, JPEG or WebP "
                    "picture: write one path a line, a label behind a tab"
                )
            self._paths.append(found["path"].strip())
            labels.append(found["label"] or "")
        if not self._paths:
            raise GenbenchError(f"{path} is empty: write one path of a picture a line")
        self._take_labels(labels)
        self._take_size()

    def _take_labels(self, labels: list[str]) -> None:
        if not any(labels):
            return
        if "" in labels:
            place = labels.index("")
            raise GenbenchError(
                f"{self.path}: {self._paths[place]} has no label as others have: give it one, or "
                "none to all"
            )
        if all(label.isdecimal() and len(label) < 10 for label in labels):
            self.labels = np.array([int(label) for label in labels], np.int64)
        else:
            self.labels, self.class_names = class_labels(labels)

    def __len__(self) -> int:
        return len(self._paths)

    def _where(self, index: int) -> str:
        return str(self.path.parent / self._paths[index])

    def _bytes(self, index: int, limit: int = -1) -> bytes:
        path = self.path.parent / self._paths[index]
        refuse_special(path)
        try:
            with path.open("rb") as file:
                return file.read(limit)
        except OSError as error:
            raise GenbenchError(
                f"cannot read {path}, which {self.path.name} names: {error.strerror}; correct the "
                "list"
            ) from error


def _lines(path: Path) -> list[str]:
    refuse_special(path)
    try:
        if path.stat().st_size > _MOST:
            raise GenbenchError(f"{path} is too long for a list of paths: split it")
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    if "\0" in text:
        raise GenbenchError(f"{path} is no text: write one path of a picture a line")
    return text.split("\n")
