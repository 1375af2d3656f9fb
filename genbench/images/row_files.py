"""One column of Parquet and Arrow files by row, a chunk at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError
from genbench.images.libraries import library
from genbench.runtime.files import refuse_special

_ROWS = 64  # of Parquet that are decoded at once
_BUFFER = 1 << 20  # bytes of a column that are read at once


@contextmanager
def readable(path: Path) -> Iterator[Any]:
    """pyarrow, with every kind of damage in the file `path` turned into one line."""
    pyarrow = library("pyarrow", f"{path.name}, which is Parquet or Arrow,")
    try:
        yield pyarrow
    except (pyarrow.ArrowException, ValueError, KeyError) as error:  # names that are no UTF-8
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise GenbenchError(f"{path} is damaged ({reason}): copy or write it again") from error
    except OSError as error:  # which pyarrow also raises for damage
        reason = error.strerror or str(error).splitlines()[0][:160]
        raise GenbenchError(f"cannot read {path}: {reason}; copy it again") from error


class RowFile(ABC):
    """One file of rows."""

    path: Path
    schema: Any  # pyarrow.Schema
    count: int

    @abstractmethod
    def column(self, name: str) -> Any:
        """A whole column, of numbers or short texts, as a pyarrow.ChunkedArray of the values
        themselves where the file has them in a dictionary."""

    @abstractmethod
    def chunks(self, column: str, row: int) -> Iterator[tuple[int, Any]]:
        """(first row, pyarrow.Array) of a column: the chunk that holds `row` and some that follow.

        column: "image", or "image.bytes" for a field of a struct.
        """


class ParquetFile(RowFile):
    """A Parquet file. Memory: some pages of one column; a row is found by its row group."""

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_special(path)
        with readable(path):
            parquet = library("pyarrow.parquet", f"{path.name}, a Parquet file,")
            # Without pre_buffer and with a small buffer a column is streamed, however long its
            # row groups are.
            self._file = parquet.ParquetFile(
                path, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True
            )
            self.schema = self._file.schema_arrow
            metadata = self._file.metadata
            groups = range(metadata.num_row_groups)
            self._rows = [metadata.row_group(group).num_rows for group in groups]
            self.count = metadata.num_rows
        if self.count != sum(self._rows):
            raise GenbenchError(f"{path} is damaged (its row groups do not add up): copy it again")

    def column(self, name: str) -> Any:
        """As `RowFile.column`."""
        with readable(self.path):
            column = self._file.read(columns=[name], use_threads=False).column(0)
            column.validate(full=True)
            return _decoded(column)

    def chunks(self, column: str, row: int) -> Iterator[tuple[int, Any]]:
        """As `RowFile.chunks`, to the end of the row group."""
        ends = list(accumulate(self._rows))
        group = bisect_right(ends, row)
        first = ends[group] - self._rows[group]
        for batch in self._file.iter_batches(
            batch_size=_ROWS, row_groups=[group], columns=[column], use_threads=False
        ):
            if row < first + len(batch):
                yield first, _inner(batch.column(0))
            first += len(batch)


class ArrowFile(RowFile):
    """An Arrow file (IPC, a stream as datasets.save_to_disk writes it, or a file), mapped into
    memory and not copied."""

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_special(path)
        with readable(path) as pyarrow:
            if not path.stat().st_size:
                raise GenbenchError(f"{path} is empty: copy or write it again")
            source = pyarrow.memory_map(str(path))
            if source.read(6) == b"ARROW1":
                reader = pyarrow.ipc.open_file(source)
                self.schema = reader.schema
                batches = [reader.get_batch(at) for at in range(reader.num_record_batches)]
            else:
                source.seek(0)
                stream = pyarrow.ipc.open_stream(source)
                self.schema = stream.schema
                batches = list(stream)
            self._batches: Sequence[Any] = batches
        self.count = sum(len(batch) for batch in batches)

    def column(self, name: str) -> Any:
        """As `RowFile.column`."""
        with readable(self.path) as pyarrow:
            arrays = [batch.column(name) for batch in self._batches]
            for array in arrays:
                array.validate(full=True)
            return _decoded(pyarrow.chunked_array(arrays, self.schema.field(name).type))

    def chunks(self, column: str, row: int) -> Iterator[tuple[int, Any]]:
        """As `RowFile.chunks`."""
        first = 0
        outer = column.removesuffix(".bytes")
        for batch in self._batches:
            if row < first + len(batch):
                array = _inner(batch.column(column if column in batch.schema.names else outer))
                array.validate(full=True)  # a damaged offset must not lead out of the file
                yield first, array
            first += len(batch)


def _decoded(column: Any) -> Any:
    """A column whose values are no longer numbers of a dictionary, as pandas' categories are."""
    if str(column.type).startswith("dictionary<"):
        return column.cast(column.type.value_type)
    return column


def _inner(array: Any) -> Any:
    """The bytes of a struct, or an array of bytes as it is."""
    if str(array.type).startswith("struct<"):
        array.validate()
        return array.flatten()[[field.name for field in array.type].index("bytes")]
    return array


def opened_rows(path: Path) -> RowFile:
    """A Parquet or Arrow file, by what it begins with."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    opener: Callable[[Path], RowFile] = ParquetFile if head == b"PAR1" else ArrowFile
    return opener(path)
