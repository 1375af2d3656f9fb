"""Files written whole or not at all, and held against other processes."""

from __future__ import annotations

import errno
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from genbench.errors import GenbenchError

if sys.platform != "win32":
    import fcntl

TEMPORARY = ".tmp"  # suffix of files that are still being written


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error.

    On an error the temporary file is removed and `path` keeps what it had. Raises GenbenchError
    when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_error(path: Path, error: OSError) -> GenbenchError:
    """One line for a failed write, with the remedy for the usual causes."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GenbenchError(
            f"no space left while writing {path}: free some space or write elsewhere, then run "
            "the same command again; what was finished is kept"
        )
    reason = error.strerror or str(error)
    return GenbenchError(f"cannot write {path}: {reason}; choose a folder that can be written")


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
