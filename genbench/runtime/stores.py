"""Where shards lie: a folder of this machine, or an address that fsspec knows. Files are whole or
absent there, and of two that create one name only the first succeeds."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from genbench.errors import GenbenchError, UsageError
from genbench.runtime.addresses import address_in, without_secrets
from genbench.runtime.files import TEMPORARY, replacing, write_error

_REMEDY = "choose a folder with --cache or GENBENCH_CACHE"
_STALE_SECONDS = 24 * 3600  # a temporary file this old belongs to a killed run
_TRIES = 3  # of a file that another host replaced while it was read
# Where an object is there whole or not at all. Elsewhere it is written beside and moved.
_ATOMIC = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "memory")


class Store(Protocol):
    """Small files by name, none of which is ever seen half written."""

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a file, or put another in its place. Raises GenbenchError where that fails."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that is not there; False where it is. Raises as `write`."""
        ...

    def touch(self, name: str) -> None:
        """Set a file's time to now. One that is gone stays gone, or comes back."""
        ...

    def remove(self, name: str) -> bool:
        """Remove a file; False where it was gone. Raises as `write`."""
        ...

    def modified(self, name: str) -> float | None:
        """When a file was written, in seconds of the server's clock; None where there is none."""
        ...

    def now(self) -> float:
        """The time in seconds of the server's clock, which dates the files."""
        ...

    def names(self) -> list[str]:
        """The names of all files, sorted."""
        ...

    def tidy(self) -> None:
        """Remove what killed runs left half written a day ago."""
        ...


def store_at(path: Path) -> Store:
    """The store of a folder, or of the address that a path stands for. Raises UsageError for an
    address of no known kind or whose library is not installed."""
    address = address_in(path)
    return AddressStore(address) if address else FolderStore(path)


class FolderStore:
    """A folder of this machine, or of a file system that several mount."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes | None:
        """As `Store.read`. Raises OSError for a disk that fails."""
        for attempt in range(_TRIES):
            try:
                return (self.path / name).read_bytes()
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno != errno.ESTALE or attempt + 1 == _TRIES:
                    raise
        return None

    def write(self, name: str, data: bytes) -> None:
        """As `Store.write`."""
        with replacing(self.path / name, remedy=_REMEDY) as temporary:
            temporary.write_bytes(data)

    def create(self, name: str, data: bytes) -> bool:
        """As `Store.create`."""
        path = self.path / name
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("xb") as file:
                    file.write(data)
            except FileExistsError:
                return False
        except OSError as error:
            raise write_error(path, error, remedy=_REMEDY) from error
        return True

    def touch(self, name: str) -> None:
        """As `Store.touch`; no time is given, so that the server sets its own."""
        with suppress(OSError):
            os.utime(self.path / name)

    def remove(self, name: str) -> bool:
        """As `Store.remove`."""
        try:
            (self.path / name).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise write_error(self.path / name, error, remedy=_REMEDY) from error
        return True

    def modified(self, name: str) -> float | None:
        """As `Store.modified`."""
        try:
            return (self.path / name).stat().st_mtime
        except OSError:
            return None

    def now(self) -> float:
        """As `Store.now`: the time of a file that is written for this alone."""
        return _dated(self)

    def names(self) -> list[str]:
        """As `Store.names`."""
        return sorted(path.name for path in self.path.glob("*") if path.is_file())

    def tidy(self) -> None:
        """As `Store.tidy`."""
        for leftover in self.path.glob(f"*{TEMPORARY}"):
            with suppress(OSError):  # another run tidied it first, or nothing can be written here
                if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
                    leftover.unlink()


class AddressStore:
    """A folder of an object store or another file system that fsspec opens by its address.

    Credentials are the backend's business (its variables and files), never part of an address that
    is told. Raises UsageError for an address of no known kind or whose library is missing.
    """

    def __init__(self, address: str) -> None:
        from fsspec.core import url_to_fs

        self.address = without_secrets(address)
        scheme = address.partition(":")[0]
        self._atomic = scheme in _ATOMIC
        try:
            # Listings are never kept: other hosts write here too.
            found = url_to_fs(address, use_listings_cache=False)
        except ImportError as error:
            raise UsageError(
                f"{self.address}: {scheme}:// needs a library that is not installed ({error}): "
                "install it beside genbench"
            ) from error
        except Exception as error:  # each backend has its own
            raise UsageError(
                f"{self.address}: no store can be opened there ({_reason(error)}); check the "
                "address and the credentials"
            ) from error
        self._files: Any = found[0]
        self._root = str(found[1]).rstrip("/")

    def read(self, name: str) -> bytes | None:
        """As `Store.read`. Raises GenbenchError where the store does not answer."""
        with self._told("read", name):
            try:
                return bytes(self._files.cat_file(self._at(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        """As `Store.write`."""
        with self._told("write", name):
            if self._atomic:
                self._files.pipe_file(self._at(name), data)
                return
            beside = self._at(f".{name}.{uuid.uuid4().hex[:12]}{TEMPORARY}")
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(beside, data)
            self._files.mv(beside, self._at(name))

    def create(self, name: str, data: bytes) -> bool:
        """As `Store.create`; where a backend cannot tell, both of two may succeed."""
        with self._told("write", name):
            self._files.makedirs(self._root, exist_ok=True)
            try:
                self._files.pipe_file(self._at(name), data, mode="create")
            except FileExistsError:
                return False
            return True

    def touch(self, name: str) -> None:
        """As `Store.touch`: an object is written again."""
        if (data := self.read(name)) is not None:
            self.write(name, data)

    def remove(self, name: str) -> bool:
        """As `Store.remove`."""
        with self._told("remove", name):
            try:
                self._files.rm_file(self._at(name))
            except FileNotFoundError:
                return False
            return True

    def modified(self, name: str) -> float | None:
        """As `Store.modified`."""
        with self._told("read", name):
            try:
                return float(self._files.modified(self._at(name)).timestamp())
            except FileNotFoundError:
                return None

    def now(self) -> float:
        """As `Store.now`: the time of an object that is written for this alone."""
        return _dated(self)

    def names(self) -> list[str]:
        """As `Store.names`."""
        with self._told("list", ""):
            try:
                found = self._files.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(path).rsplit("/", 1)[-1] for path in found)

    def tidy(self) -> None:
        """Nothing: an object is never half written."""

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _told(self, what: str, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each backend has its own
            raise GenbenchError(
                f"cannot {what} {self.address}/{name}: {_reason(error)}; check the address, the "
                "credentials and the network, then run the same command again: what was finished "
                "is kept"
            ) from error


def _reason(error: Exception) -> str:
    return without_secrets(str(error) or type(error).__name__)[:200]


def _dated(store: Store) -> float:
    probe = f".clock.{uuid.uuid4().hex[:12]}{TEMPORARY}"
    store.create(probe, b"")
    found = store.modified(probe)
    store.remove(probe)
    if found is None:
        raise GenbenchError(f"{probe} was removed while it was looked at: run the command again")
    return found
