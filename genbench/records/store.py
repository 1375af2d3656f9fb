"""Append-only record files: one measurement a line, nothing of anybody else's ever touched."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from genbench.errors import GenbenchError, UsageError
from genbench.records import remote
from genbench.records.kinds import Record
from genbench.records.lines import begins_like_a_record, from_line, is_record_line, to_line
from genbench.runtime.addresses import address_in
from genbench.runtime.files import lock, refuse_special, write_error

_REMEDY = (
    "name a file with --records or GENBENCH_RECORDS; where the home folder cannot be written, the "
    "cache too: --cache or GENBENCH_CACHE"
)
_BLOCK = 1 << 16  # bytes read at once while looking for the last line
_FIRST = 1 << 20  # bytes of a first line that are looked at


def check_appendable(path: Path) -> None:
    """Before any work: whether records can be added to a file, or to a new one of that name.

    Raises GenbenchError naming the remedy for a folder, a file of something else, and a place that
    cannot be written.
    """
    if address := address_in(path):
        remote.check_store(address)
        return
    try:
        if path.is_dir():
            raise GenbenchError(f"{path} is a folder: name a record file in it, {path}/runs.jsonl")
        target = Path(os.path.realpath(path))  # of a link that may lead nowhere
        if target.is_symlink():
            raise GenbenchError(f"{path} is a link in a circle: name another file")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=target.parent):
                return
        if not stat.S_ISREG(path.stat().st_mode):
            return  # a pipe or a device takes what it is given
        with path.open("ab+") as file:
            _appending_at(file, path)
    except OSError as error:
        raise write_error(path, error, remedy=_REMEDY) from error


def append_records(path: Path, records: Iterable[Record]) -> None:
    """Add records to a JSON-lines file in one write, all or none, beside other runs doing the same.

    A last line that lacks its end is completed when it is a whole record, and dropped when it is
    the beginning of one of ours, which a machine that died left behind. Raises GenbenchError for a
    record that could not be read again, a file of something else, and a full disk.
    """
    lines = [to_line(record) for record in records]
    for line in lines:
        from_line(line, name="what would be recorded")
    data = "".join(line + "\n" for line in lines).encode()
    if not data:
        return
    if address := address_in(path):
        remote.append_lines(address, data)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            # Without waiting: a pipe that nobody reads is an error.
            number = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            os.set_blocking(number, True)
            with open(number, "wb") as stream:
                stream.write(data)
            return
        while not _appended(path, data):
            pass  # the file was replaced while it was waited for (genbench.records.deletion)
    except OSError as error:
        raise write_error(path, error, remedy=_REMEDY) from error


def _appended(path: Path, data: bytes) -> bool:
    """Whether data was added to the file of that name, not to one whose place another took."""
    with path.open("ab+", buffering=0) as file:
        lock(file)
        if not still_there(file, path):
            return False
        _append(file, path, data)
        return True


def still_there(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is the one of that name: while it was waited for, `delete_runs` may have
    put another in its place."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())


def _append(file: IO[bytes], path: Path, data: bytes) -> None:
    whole, missing_end = _appending_at(file, path)
    os.ftruncate(file.fileno(), whole)
    try:
        if file.write(missing_end + data) != len(missing_end) + len(data):
            raise OSError(28, "no space left")  # ENOSPC: what a short write of a file means
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), whole)
        raise


def _appending_at(file: IO[bytes], path: Path) -> tuple[int, bytes]:
    """Up to which byte a file is kept, and what its last line lacks. Raises GenbenchError for a
    file that holds something else than records."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    lines = [line for line in file.read(min(size, _FIRST)).split(b"\n") if line.strip(b"\0 \r\t")]
    if lines and not any(begins_like_a_record(line) or is_record_line(line) for line in lines):
        raise GenbenchError(f"{path} holds something else than records: name another file")
    start, last = _last_line(file, size)
    if not last.strip(b"\0"):  # nothing, or what a machine that died left of a block
        return start, b""
    if is_record_line(last):
        return size, b"\n"
    if begins_like_a_record(last):
        return start, b""
    raise GenbenchError(
        f"{path} ends in something that is no record ({last[:40]!r}…): remove it, or name another "
        "file"
    )


def _last_line(file: IO[bytes], size: int) -> tuple[int, bytes]:
    """Where the last line begins, and what it holds; nothing where the file ends with a line."""
    held, position = b"", size
    while position:
        start = max(position - _BLOCK, 0)
        file.seek(start)
        held = file.read(position - start) + held
        if (found := held.rfind(b"\n")) >= 0:
            return start + found + 1, held[found + 1 :]
        position = start
    return 0, held


def read_records(path: Path, *, told: Callable[[str], object] | None = None) -> list[Record]:
    """Every record of a file, oldest first; an absent file has none.

    told: called with each line that is no record or of a newer genbench, by file and number: it is
    passed over, and the rest is used. Without it, raises GenbenchError for such a line; in any case
    for a file that holds not one record.
    """
    content = _content(path)
    found, refused = [], []
    for number, line in enumerate((content or b"").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(from_line(line, name=f"{path}, line {number}"))
        except GenbenchError as error:
            if told is None:
                raise
            refused.append(str(error))
    if refused and not found:
        raise GenbenchError(refused[0])
    for text in refused:
        assert told is not None
        told(f"passed over: {text}")
    return found


def _content(path: Path) -> bytes | None:
    if address := address_in(path):
        return remote.read_lines(address)
    if not path.exists():
        return None
    refuse_special(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error


def refuse_absent(path: Path) -> None:
    """Raises UsageError where there is no record file of that name or address."""
    address = address_in(path)
    there = remote.read_lines(address) is not None if address else path.exists()
    if not there:
        raise UsageError(f"there is no record file {address or path}: check the path")
