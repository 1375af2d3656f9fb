"""Fetch one published file: resumable, verified by SHA-256, safe with several processes at once."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from genbench.errors import GenbenchError
from genbench.runtime.files import lock, write_error
from genbench.runtime.reachable import PORTS, check_reachable
from genbench.version import __version__

CONNECT_SECONDS = 3.0  # name look-up and TCP connection together; offline must show in under 5 s
STALL_SECONDS = 30.0  # no byte for so long: the connection is taken for dead
_ATTEMPTS = 3  # connections that may break in a row before giving up
_BLOCK = 1 << 20  # bytes read at a time

Progress = Callable[[int, int | None], None]


def download(
    url: str, target: Path, *, sha256: str, hint: str, progress: Progress | None = None
) -> Path:
    """Fetch `url` to `target` and return it; a partial download is taken up where it stopped.

    sha256: hex, in full or a prefix. hint: where else to get the file, ends every error. progress:
    called with (bytes so far, bytes in all or None). Several processes may call this at once: one
    fetches, the others wait for it. Raises GenbenchError, one line, for an unreachable host (in
    under 5 s), a broken transfer, a wrong digest (the file is removed) and a full or locked disk.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.with_name(f".{target.name}.lock")) as shared:
            if target.is_file():  # another process fetched it while this one waited
                return target
            suffix = ".part" if shared else f".{os.getpid()}.part"
            _Transfer(url, target, target.with_name(target.name + suffix), hint, progress).run(
                sha256.lower()
            )
    except OSError as error:
        raise write_error(target, error) from error
    return target


@contextmanager
def _alone(lock_file: Path) -> Iterator[bool]:
    """Hold a file against other processes; yields False where the system has no file locks, and
    each process then writes a part file of its own.
    """
    with lock_file.open("a") as file:
        yield lock(file)


@dataclass
class _Transfer:
    url: str
    target: Path
    part: Path
    hint: str
    progress: Progress | None
    total: int | None = None  # bytes of the whole file, once the server has said so

    def run(self, sha256: str) -> None:
        resumed = self._have() > 0
        self._fetch()
        found = self._digest()
        if resumed and not found.startswith(sha256):  # the old part may be of another file
            self.part.unlink()
            self._fetch()
            found = self._digest()
        if not found.startswith(sha256):
            self.part.unlink()
            raise self._error(
                f"what {self.url} sent has SHA-256 {found[:16]}..., not {sha256[:16]}..., and was "
                "removed; run again, or"
            )
        os.replace(self.part, self.target)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _digest(self) -> str:
        with self.part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _fetch(self) -> None:
        """Bring the part file to its full length, over as many connections as that takes."""
        self._check_reachable()
        failures = 0
        while True:
            before = self._have()
            reason = self._one_connection()
            if not reason:
                return
            failures = failures + 1 if self._have() <= before else 1
            if failures >= _ATTEMPTS:
                whole = f" of {self.total}" if self.total else ""
                raise self._error(
                    f"the download of {self.target.name} broke at byte {self._have()}{whole} "
                    f"({reason}); run again to resume it, or"
                )
            time.sleep(0.1 * failures)
            self._check_reachable()

    def _one_connection(self) -> str:
        """Append what one request yields; returns why it ended early, or nothing when complete."""
        have = self._have()
        headers = {"User-Agent": f"genbench/{__version__}"}
        if have:
            headers["Range"] = f"bytes={have}-"
        request = urllib.request.Request(self.url, headers=headers)
        try:
            response = urllib.request.urlopen(request, timeout=STALL_SECONDS)
        except urllib.error.HTTPError as error:
            return self._refused(error)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            return _reason(error)
        with response:
            resumes = getattr(response, "status", None) == 206
            if not resumes:
                have = 0
            length = response.headers.get("Content-Length")
            self.total = have + int(length) if length and length.isdigit() else None
            self._check_room(have)
            with self.part.open("ab" if resumes else "wb") as file:
                return self._copy(response, file, have)

    def _copy(self, response: IO[bytes], file: IO[bytes], have: int) -> str:
        while True:
            try:
                block = response.read(_BLOCK)
            except (http.client.HTTPException, OSError) as error:
                return _reason(error)
            if not block:
                break
            file.write(block)
            have += len(block)
            if self.progress is not None:
                self.progress(have, self.total)
        short = self.total is not None and have < self.total
        return "the connection closed early" if short else ""

    def _refused(self, error: urllib.error.HTTPError) -> str:
        with error:
            if error.code == 416:  # the part is already whole, or longer than the file
                if error.headers.get("Content-Range") == f"bytes */{self._have()}":
                    return ""
                self.part.unlink(missing_ok=True)
                return "the partial file did not fit and was removed"
            if error.code < 500:
                raise self._error(f"{self.url} answers {error.code} {error.reason}") from error
            return f"the server answers {error.code} {error.reason}"

    def _check_room(self, have: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if self.total is not None and self.total - have > free:
            raise GenbenchError(
                f"no space for {self.target}: {self.total - have} bytes to come, {free} free; free "
                "some space, or set GENBENCH_CACHE to a folder on another disk, and run again"
            )

    def _check_reachable(self) -> None:
        """Find out within CONNECT_SECONDS that there is no network."""
        parts = urlsplit(self.url)
        if parts.scheme == "file":
            return
        if parts.scheme not in PORTS or not parts.hostname:
            raise self._error(f"{self.url} is not an https, http or file address")
        try:
            check_reachable(self.url, CONNECT_SECONDS)
        except ConnectionError as error:
            raise self._error(f"{self.target.name} is not on this machine and {error}") from error

    def _error(self, what: str) -> GenbenchError:
        return GenbenchError(f"{what}{'' if what.endswith(', or') else ':'} {self.hint}")


def _reason(error: BaseException) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return "it stopped answering"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return " ".join(str(inner).split()) or type(inner).__name__
