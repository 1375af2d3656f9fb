"""Files written whole or not at all, and held against other processes."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from genbench.errors import GenbenchError, UsageError
from genbench.runtime.addresses import address_in

if sys.platform != "win32":
    import fcntl

_ELSEWHERE = "choose a folder that can be written"
TEMPORARY = ".tmp"  # suffix of files that are still being written


@contextmanager
def replacing(path: Path, *, remedy: str = _ELSEWHERE) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error.

    On an error the temporary file is removed and `path` keeps what it had. A device or a pipe is
    written to, never replaced. remedy: for a folder that cannot be written. Raises GenbenchError
    then, and when the disk is full.
    """
    special = _is_special(path)
    folder = Path(tempfile.gettempdir()) if special else path.parent
    temporary = folder / f".{path.name}.{uuid.uuid4().hex[:12]}{TEMPORARY}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield temporary
        if special:
            with temporary.open("rb") as file, path.open("wb", buffering=0) as stream:
                shutil.copyfileobj(file, stream)
            return
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        _rename(temporary, path)
    except OSError as error:
        raise write_error(path, error, remedy=remedy) from error
    finally:
        with suppress(OSError):  # a folder that is none has no temporary file either
            temporary.unlink(missing_ok=True)


def _rename(temporary: Path, path: Path) -> None:
    """os.replace. Over NFS the answer to a rename may be lost, and the repeated one finds that the
    file is gone from its old name: then it is looked for under the new one."""
    renamed = temporary.stat()
    try:
        os.replace(temporary, path)
    except FileNotFoundError:
        if not path.exists() or path.stat().st_ino != renamed.st_ino:
            raise


def _is_special(path: Path) -> bool:
    """Whether a path is a device, a pipe or a socket."""
    try:
        kind = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))


def lasts(path: Path) -> bool:
    """Whether files can lie beside what is written to a path: not beside a pipe or an address."""
    return not address_in(path) and not _is_special(path)


def refuse_special(path: Path) -> None:
    """Raises GenbenchError for a device or a pipe where a file is read: it may never end, and is
    not the same twice."""
    if _is_special(path):
        raise GenbenchError(f"{path} is a device or a pipe: save it as a file first")


def refuse_input(out: Path, inputs: Iterable[Path]) -> None:
    """Raises UsageError when what is to be written is one of the files that are read."""
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise UsageError(f"--out {out} is read by this command: write to another file")


def write_error(path: Path, error: OSError, *, remedy: str = _ELSEWHERE) -> GenbenchError:
    """One line for a failed write, with the remedy: that for a full disk, or the one given."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GenbenchError(
            f"no space left while writing {path}: free some space or write elsewhere, then run "
            "the same command again; what was finished is kept"
        )
    reason = error.strerror or str(error)
    return GenbenchError(f"cannot write {path}: {reason}; {remedy}")


def lock(file: IO[Any]) -> bool:
    """Hold an open file against other processes until it is closed, waiting for it if need be.

    The kernel drops the lock when its holder dies. False where the system, or a network file
    system, has no locks.
    """
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return False
    return True
