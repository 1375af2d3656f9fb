"""Fetch one published file: resumed, from the first mirror that gives it, verified by SHA-256, safe
with several processes at once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.runtime.files import lock, write_error
from genbench.weights.connections import AddressError, UnreachableError
from genbench.weights.transfer import Progress, Transfer


class OtherFileError(AddressError):
    """An address sends another file than the pinned one, where getting it by hand is no remedy."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The digest a file must have. sha256: hex, in full or a prefix; empty: none is known.
    whence: who says so, for the errors. remedy: where another digest may be meant."""

    sha256: str
    whence: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """A file that is here. sha256: hex, in full. url: where it came from; empty: it was here."""

    path: Path
    sha256: str
    url: str = ""


def download(
    urls: Sequence[str],
    target: Path,
    expected: Expected,
    *,
    hint: str,
    check: Callable[[Path, str], None] | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Downloaded:
    """Fetch a file to `target` from the first of `urls` that gives it; a partial download is taken
    up where it stopped.

    hint: where else to get the file, ends every error. check: called with the finished part and its
    digest before it takes its place; what it raises refuses that part. progress: called with (bytes
    so far, bytes in all or None). stop: ends the transfer when it is set, and keeps its part.
    Several processes may call this at once: one fetches, the others wait for it. Raises
    GenbenchError, one line, for an unreachable host (in under 5 s), a broken transfer, a wrong
    digest (the file is removed) and a full or locked disk.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.with_name(f".{target.name}.lock")) as shared:
            if target.is_file():  # another process fetched it while this one waited
                return Downloaded(path=target, sha256=_digest(target))
            suffix = ".part" if shared else f".{os.getpid()}.part"
            part = target.with_name(target.name + suffix)
            failures: list[AddressError] = []
            for url in urls:
                transfer = Transfer(
                    url, part, target.name, bool(expected.sha256), progress,
                    stop or threading.Event(),
                )  # fmt: skip
                try:
                    found = _fetched(transfer, expected, check)
                except AddressError as error:
                    failures.append(error)
                    if transfer.stop.is_set():
                        break
                    continue
                os.replace(part, target)
                transfer.discard()
                return Downloaded(path=target, sha256=found, url=url)
            raise _failed(failures, hint)
    except OSError as error:
        raise write_error(target, error) from error


def _fetched(
    transfer: Transfer, expected: Expected, check: Callable[[Path, str], None] | None
) -> str:
    """The digest of the part once it is whole and right. Raises AddressError, and removes the
    part, where it is not the file."""
    resumed = transfer.have() > 0
    transfer.run()
    found = _digest(transfer.part)
    if resumed and not found.startswith(expected.sha256):  # the old part may be of another file
        transfer.discard()
        transfer.run()
        found = _digest(transfer.part)
    if not found.startswith(expected.sha256):
        transfer.discard()
        remedy = f"; {expected.remedy}" if expected.remedy else "; run again"
        raise (OtherFileError if expected.remedy else AddressError)(
            f"what {transfer.url} sent has SHA-256 {found}, not {expected.sha256}"
            f"{f', {expected.whence}' if expected.whence else ''}, and was removed{remedy}"
        )
    if check is not None:
        try:
            check(transfer.part, found)
        except GenbenchError as error:
            transfer.discard()
            raise AddressError(
                f"what {transfer.url} sent is refused and was removed: {error}"
            ) from error
    return found


def _failed(failures: Sequence[AddressError], hint: str) -> GenbenchError:
    """One error for all the addresses, of the kind of the last, which is the file's own."""
    if not failures:
        return GenbenchError(f"no address of the file is known: {hint}")
    *before, last = failures
    told = f" (before that, {'; '.join(map(str, before))})" if before else ""
    otherwise = "" if isinstance(last, OtherFileError) else f"; or {hint}"
    if isinstance(last, UnreachableError):  # which names no remedy of its own
        otherwise = f": {hint}"
    return type(last)(f"{last}{told}{otherwise}")


@contextmanager
def _alone(lock_file: Path) -> Iterator[bool]:
    """Hold a file against other processes; yields False where the system has no file locks, and
    each process then writes a part file of its own.
    """
    with lock_file.open("a") as file:
        yield lock(file)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
