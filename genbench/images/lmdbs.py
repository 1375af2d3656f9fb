"""LMDB files of pictures, one a key, as LSUN publishes them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from genbench.errors import GenbenchError, UsageError
from genbench.images.libraries import library
from genbench.images.pictures import Pictures
from genbench.runtime.files import refuse_special

DATA = "data.mdb"  # in a folder
_PICTURE = (b"\x89PNG", b"\xff\xd8", b"RIFF")
# Entries that tools leave beside the pictures: counts, and lists of keys.
_BESIDE = (b"length", b"__len__", b"__keys__", b"num-samples", b"num_samples", b"__meta__")


class _Environment:
    """One open LMDB of this process. The library refuses to open a file twice in a process."""

    def __init__(self, path: Path) -> None:
        self.owner = os.getpid()
        self._lmdb = library("lmdb", f"{path}, an LMDB,")
        try:
            # Without locks nothing is written beside the data, which may be read-only.
            self.opened: Any = self._lmdb.open(
                str(path), subdir=False, readonly=True, lock=False, readahead=False,
                max_dbs=0,
            )  # fmt: skip
        except self._lmdb.Error as error:
            raise _no_lmdb(path, error) from error

    @contextmanager
    def transaction(self, path: Path) -> Iterator[Any]:
        """A view of the entries as they are now, for this thread alone."""
        try:
            with self.opened.begin(buffers=True) as transaction:
                yield transaction
        except self._lmdb.Error as error:
            raise _no_lmdb(path, error) from error

    def __del__(self) -> None:
        if opened := getattr(self, "opened", None):
            opened.close()


_ENVIRONMENTS: WeakValueDictionary[str, _Environment] = WeakValueDictionary()
_ALONE = threading.Lock()


def _environment(data: Path) -> _Environment:
    """The environment of a file in this process; one that a fork inherited is opened anew."""
    place = os.path.realpath(data)
    with _ALONE:
        found = _ENVIRONMENTS.get(place)
        if found is not None and found.owner != os.getpid():
            found.opened.close()
            found = None
        if found is None:
            found = _ENVIRONMENTS[place] = _Environment(data)
        return found


def _no_lmdb(path: Path, error: Exception) -> GenbenchError:
    reason = str(error).removeprefix(f"{path}: ")
    if "already open" in reason:  # the library counts for the whole process
        return GenbenchError(f"{path} is open in this program already: close it first")
    return GenbenchError(f"{path} is damaged or no LMDB ({reason}): copy or make it again")


class LmdbPictures(Pictures):
    """The values of an LMDB that are pictures, in the order of their keys.

    path: the folder of data.mdb, or the file. prefix: which keys are meant, where there are
    others. Memory: the keys. No labels: the layout has none. Never written to, and not locked:
    nobody may write to it meanwhile.
    """

    def __init__(
        self, path: Path, *, prefix: str = "", crop: str = "none", resolution: int = 0
    ) -> None:
        self.path, self.name = path, path.name
        super().__init__(crop, resolution)
        data = path / DATA if path.is_dir() else path
        refuse_special(data)
        self._data = data
        library("lmdb", f"{path}, an LMDB,")
        _check_walkable(data)
        self._held = _environment(data)
        self._keys = list(self._pictures(prefix.encode(errors="surrogateescape")))
        if not self._keys:
            what = f"no keys that begin with {prefix}" if prefix else "nothing"
            raise UsageError(f"{path} holds {what}: check the path")
        self._take_size()

    def _pictures(self, prefix: bytes) -> Iterator[bytes]:
        with self._held.transaction(self.path) as transaction, transaction.cursor() as cursor:
            if not (cursor.set_range(prefix) if prefix else cursor.first()):
                return
            for view, value in cursor:
                key = bytes(view)
                if not key.startswith(prefix):
                    return
                if key in _BESIDE:
                    continue
                if bytes(value[:4]).startswith(_PICTURE):
                    yield key
                    continue
                raise GenbenchError(
                    f"{self._place(key)} is no PNG, JPEG or WebP image: where the pictures' keys "
                    f"have a beginning of their own, name it, as {self.name}#PREFIX"
                )

    def __len__(self) -> int:
        return len(self._keys)

    def _place(self, key: bytes) -> str:
        return f"{self.path}:{key.decode(errors='backslashreplace')}"

    def _where(self, index: int) -> str:
        return self._place(self._keys[index])

    def _bytes(self, index: int, limit: int = -1) -> bytes:
        if self._held.owner != os.getpid():
            self._held = _environment(self._data)
        with self._held.transaction(self.path) as transaction:
            value = transaction.get(self._keys[index])
            if value is None:
                raise GenbenchError(
                    f"{self._where(index)} vanished during the run: let nobody write to it"
                )
            return bytes(value if limit < 0 else value[:limit])


# Everything that is asked of the library later, of every entry. A damaged tree may hold more.
_WALK = """
import sys, lmdb
with lmdb.open(sys.argv[1], subdir=False, readonly=True, lock=False, max_dbs=0) as held:
    count = held.stat()["entries"]
    with held.begin(buffers=True) as view, view.cursor() as cursor:
        keys = []
        for key, value in cursor:
            keys.append(bytes(key))
            if len(keys) > count:
                sys.exit("more entries than it says")
        for key in keys:
            value = view.get(key)
            if value is None:
                sys.exit("a key that is not found")
            value[:1].tobytes() + value[-1:].tobytes()
"""


def _check_walkable(data: Path) -> None:
    """Raises GenbenchError for a damaged tree. Another process walks it first: the library follows
    whatever the file says, out of the file's memory too, which ends a process."""
    command = [sys.executable, "-P", "-c", _WALK, str(data)]
    walk = subprocess.run(command, capture_output=True, text=True, check=False)
    if walk.returncode:
        said = walk.stderr.strip().splitlines()
        told = (
            said[-1]
            if walk.returncode > 0 and said
            else "it is cut short, or its pages lead out of it"
        )
        raise _no_lmdb(data, RuntimeError(told[:200]))
