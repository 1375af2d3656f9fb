"""Files fetched over a few connections at once; what is finished stays, whatever the others do."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.fetching.plan import Planned
from genbench.runtime.digests import file_sha256
from genbench.runtime.files import replacing
from genbench.runtime.progress import Advance, Reporter
from genbench.weights.addresses import LOCK_NAME
from genbench.weights.connections import UnreachableError
from genbench.weights.files import WeightFile, brought, expected_of, verified_copy
from genbench.weights.pins import pin

CONNECTIONS = 4  # files at once
_GOODBYE = 2.0  # seconds that connections have to end after an interruption
_MEGABYTE = 10**6


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one file: its place and SHA-256 (hex), or the error. unreachable: whether that
    is that its host does not answer."""

    planned: Planned
    path: Path | None = None
    sha256: str = ""
    error: str = ""
    unreachable: bool = False


def fetch_all(
    plan: Sequence[Planned], *, reporter: Reporter, to: Path | None = None
) -> list[Outcome]:
    """Bring every file of a plan to its place in the cache, or to the folder `to` with its lock
    file; those that are here are held against their digests.

    In the order of the plan. One that fails stops no other. An interruption ends all connections
    and keeps what they brought.
    """
    work: queue.SimpleQueue[tuple[int, Planned]] = queue.SimpleQueue()
    for entry in enumerate(plan):
        work.put(entry)
    outcomes: dict[int, Outcome] = {}
    total = sum(item.to_come for item in plan) // _MEGABYTE + 1
    with reporter.task("MB fetched", total) as advance:
        shared = _Shared(advance, reporter)

        def carry() -> None:
            while not shared.stop.is_set():
                try:
                    number, item = work.get_nowait()
                except queue.Empty:
                    return
                outcomes[number] = _carried(item, shared, to)

        threads = [
            threading.Thread(target=carry, daemon=True)
            for _ in range(min(CONNECTIONS, len(plan)))
        ]  # fmt: skip
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:
            shared.stop.set()
            for thread in threads:
                thread.join(_GOODBYE)
            raise
    return [outcomes[number] for number in sorted(outcomes)]


@dataclass
class _Shared:
    """What the connections share: one bar, one wish to stop."""

    advance: Advance
    reporter: Reporter
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _brought: int = 0
    _shown: int = 0

    def add(self, size: int, name: str) -> None:
        """So many bytes more."""
        with self._lock:
            self._brought += size
            whole = self._brought // _MEGABYTE
            if whole > self._shown:
                self.advance(whole - self._shown, name)
                self._shown = whole

    def tell(self, text: str) -> None:
        """A note, one at a time."""
        with self._lock:
            self.reporter.note(text)


def _carried(item: Planned, shared: _Shared, to: Path | None) -> Outcome:
    file = item.wanted.file
    before = item.part

    def progress(done: int, total: int | None) -> None:
        nonlocal before
        shared.add(max(done - before, 0), file.filename)
        before = done

    try:
        path = verified_copy(file, told=shared.tell) if to is None else _copied(item, to, shared)
        if path is None:
            found = brought(
                file, to=to, progress=progress, told=shared.tell, stop=shared.stop
            )  # fmt: skip
            path = found.path
        digest = file_sha256(path)
        if to is not None and not file.sha256:
            size = path.stat().st_size
            pin(file.url, sha256=digest, size=size, path=to / LOCK_NAME)
    except GenbenchError as error:
        return Outcome(
            planned=item, error=str(error), unreachable=isinstance(error, UnreachableError)
        )
    return Outcome(planned=item, path=path, sha256=digest)


def _copied(item: Planned, to: Path, shared: _Shared) -> Path | None:
    """The file in a folder where it is there or in the cache; None where it is in neither. Raises
    GenbenchError for one that is damaged or another."""
    file = item.wanted.file
    if item.here is not None:
        _check(file, item.here)
        return item.here
    own = verified_copy(file, told=shared.tell)
    if own is None:
        return None
    with replacing(item.target) as temporary:
        shutil.copyfile(own, temporary)
    return item.target


def _check(file: WeightFile, path: Path) -> None:
    expected, found = expected_of(file), file_sha256(path)
    if not found.startswith(expected.sha256):
        raise GenbenchError(
            f"{path} has SHA-256 {found}, not {expected.sha256}"
            f"{f', {expected.whence}' if expected.whence else ''}: delete it and run again"
        )
