"""Claims on pieces of work by files, so that processes which do not talk to each other seldom do
the same piece twice.

Nothing's correctness rests on a claim: a piece that two processes compute is the same bytes twice.
A claim is a file that one process creates and renews; one that was not renewed for LIFE seconds of
the server's clock is of a process that was killed, and whoever finds it takes it over; on the host
of that process at once.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property

from genbench.errors import GenbenchError
from genbench.runtime.stores import Store

LIFE = 120.0  # seconds; several renewals may fail, or be slow, before a claim is lost
_RENEWAL = 20.0
_PROCESS = re.compile("[0-9]{1,9}")  # no system counts further


class Leases:
    """The claims of this process in one store."""

    def __init__(self, store: Store, *, life: float = LIFE, renewal: float = _RENEWAL) -> None:
        self._store, self._life, self._renewal = store, life, renewal

    @contextmanager
    def held(self, name: str) -> Iterator[bool]:
        """Whether the claim of that name is this process's; if so, it is renewed while the block
        lasts and given up afterwards. Raises GenbenchError where none can be written."""
        if not self._claimed(name):
            yield False
            return
        done = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(name, done), daemon=True)
        renewing.start()
        try:
            yield True
        finally:
            done.set()
            renewing.join()
            with suppress(GenbenchError):  # what the block raised is worth more
                self._store.remove(name)

    def _claimed(self, name: str) -> bool:
        owner = f"{socket.gethostname()} {os.getpid()}".encode()
        if self._store.create(name, owner):
            return True
        if not self._is_lost(name):
            return False
        return self._store.remove(name) and self._store.create(name, owner)

    def _is_lost(self, name: str) -> bool:
        renewed = self._store.modified(name)
        if renewed is None:  # given up a moment ago: the next look finds out what became of it
            return False
        if time.monotonic() + self._ahead - renewed >= self._life:
            return True
        host, _, process = (self._store.read(name) or b"").decode(errors="replace").partition(" ")
        if host != socket.gethostname() or _PROCESS.fullmatch(process) is None:
            return False
        return not _runs(int(process))

    @cached_property
    def _ahead(self) -> float:
        """Seconds from this process's clock to the server's: those of hosts differ."""
        return self._store.now() - time.monotonic()

    def _renew(self, name: str, done: threading.Event) -> None:
        while not done.wait(self._renewal):
            with suppress(GenbenchError):
                self._store.touch(name)


def _runs(process: int) -> bool:
    """Whether a process of this host runs, as far as can be seen."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True
