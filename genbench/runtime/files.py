"""Files written whole or not at all, and held against other processes."""

from __future__ import annotations

import errno
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from genbench.errors import GenbenchError

if sys.platform != "win32":
    import fcntl

_ELSEWHERE = "choose a folder that can be written"
TEMPORARY = ".tmp"  # suffix of files that are still being written


@contextmanager
def replacing(path: Path, *, remedy: str = _ELSEWHERE) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error.

    On an error the temporary file is removed and `path` keeps what it had. remedy: for a folder
    that cannot be written. Raises GenbenchError then, and when the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(path, error, remedy=remedy) from error
    finally:
        with suppress(OSError):  # a folder that is none has no temporary file either
            temporary.unlink(missing_ok=True)


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
