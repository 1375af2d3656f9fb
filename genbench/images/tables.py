"""Parquet and Arrow files of pictures, as the Hugging Face Hub keeps them, as one image set."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from genbench.errors import GenbenchError
from genbench.images.columns import Columns, chosen_columns
from genbench.images.named_pictures import class_labels
from genbench.images.pictures import Fetch, Pictures
from genbench.images.row_files import opened_rows, readable
from genbench.images.sets import Labels


class TablePictures(Pictures):
    """The rows of one or several Parquet or Arrow files, in the order of the files.

    column: the image column, or "image,label"; see `chosen_columns`. Memory: the rows of one
    reading, and the labels. Raises GenbenchError for files of unlike columns, for rows without a
    picture's bytes, and for damage.
    """

    def __init__(
        self, paths: Sequence[Path], name: str, *, column: str = "", crop: str = "none",
        resolution: int = 0,
    ) -> None:  # fmt: skip
        self.name = name
        super().__init__(crop, resolution)
        self._files = [opened_rows(path) for path in paths]
        self._ends = list(accumulate(file.count for file in self._files))
        if not self._ends[-1]:
            raise GenbenchError(f"{name} holds no rows: check the path")
        columns: list[Columns] = []
        for file in self._files:
            with readable(file.path):
                columns.append(chosen_columns(file.schema, str(file.path), column))
            if columns[-1] != columns[0]:
                raise GenbenchError(
                    f"{file.path} has other columns than {self._files[0].path}: name files of one "
                    "data set, or the column, as FILE#image"
                )
        self._column = columns[0].image + (".bytes" if columns[0].nested else "")
        self._take_labels(columns[0])
        self._alone = threading.Lock()  # the place that has been reached is shared by all who read
        self._chunks: Iterator[tuple[int, Any]] = iter(())
        self._reached, self._first = -1, 0  # the file, and the first row of the chunk
        self._chunk: Any = ()
        self._take_size()

    def _take_labels(self, columns: Columns) -> None:
        if not columns.label:
            return
        held = [file.column(columns.label) for file in self._files]
        lacking = sum(array.null_count for array in held)
        if lacking == len(self):
            return
        if lacking:
            raise GenbenchError(
                f"{self.name}: {lacking} of {len(self)} rows have no {columns.label}: give all "
                "rows one"
            )
        if columns.texts:
            texts = [text for array in held for text in array.to_pylist()]
            self.labels, self.class_names = class_labels(texts)
            return
        labels: Labels = np.concatenate([array.to_numpy() for array in held]).astype(np.int64)
        if labels.min() == -1 == labels.max():  # how the Hub says of a test set that it has none
            return
        if labels.min() < 0:
            raise GenbenchError(f"{self.name}: {columns.label} holds {labels.min()}: correct it")
        self.labels, self.class_names = labels, columns.classes

    def __len__(self) -> int:
        return self._ends[-1]

    def _place(self, index: int) -> tuple[int, int]:
        """The file that a picture lies in, and its row there."""
        number = bisect_right(self._ends, index)
        return number, index - (self._ends[number - 1] if number else 0)

    def _where(self, index: int) -> str:
        number, row = self._place(index)
        return f"{self._files[number].path}, row {row}"

    def _bytes(self, index: int, limit: int = -1) -> bytes:
        return self._fetched(index, index + 1)(index)

    def _fetched(self, start: int, stop: int) -> Fetch:
        """As `Pictures._fetched`: the rows are read here, in order; what is given are views."""
        with self._alone:
            held = [self._value(index) for index in range(start, stop)]

        def fetch(index: int) -> bytes:
            value = held[index - start]
            if not value.is_valid:
                raise GenbenchError(
                    f"{self._where(index)} holds no picture, at most a path to one: write its "
                    "bytes into the file (datasets does with embed_external_files)"
                )
            data: bytes = value.as_py()
            return data

        return fetch

    def _value(self, index: int) -> Any:
        """The scalar of a row. Rows that follow are found from where the last one was."""
        number, row = self._place(index)
        file = self._files[number]
        with readable(file.path):
            if number != self._reached or row < self._first:
                self._begin(number, row)
            while row >= self._first + len(self._chunk):
                following = next(self._chunks, None)
                if following is None:
                    self._begin(number, row)
                else:
                    self._first, self._chunk = following
            return self._chunk[row - self._first]

    def _begin(self, number: int, row: int) -> None:
        file, self._reached = self._files[number], -1  # until it is reached
        self._chunks = file.chunks(self._column, row)
        following = next(self._chunks, None)
        if following is None:
            raise GenbenchError(f"{file.path} has fewer rows than it says: copy it again")
        (self._first, self._chunk), self._reached = following, number
