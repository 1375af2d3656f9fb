"""Record files at an address of an object store, which cannot be appended to: each writing is an
object of its own, in `records.jsonl.parts/` beside `records.jsonl`, and reading joins them.

No two writers ever meet, so that nothing is locked and no line is lost. Objects are named by the
time of their host and are read in that order, behind `records.jsonl` itself where somebody put one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from genbench.runtime.stores import AddressStore


def check_store(address: str) -> None:
    """Raises GenbenchError where nothing can be written below the address of a record file."""
    _parts(address).now()


def append_lines(address: str, data: bytes) -> None:
    """Add whole lines to the record file at an address. Raises GenbenchError where that fails."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    _parts(address).write(f"{moment}-{uuid.uuid4().hex[:8]}.jsonl", data)


def read_lines(address: str) -> bytes | None:
    """All lines of the record file at an address; None where there is none."""
    store, name = _whole(address)
    found = [store.read(name)]
    parts = _parts(address)
    found += [parts.read(part) for part in _names(parts)]
    present = [data if data.endswith(b"\n") else data + b"\n" for data in found if data]
    return b"".join(present) if present else None


def change_lines(address: str, changed: Callable[[bytes], bytes]) -> None:
    """Put `changed` of its lines in the place of every object of a record file's; one of none is
    removed."""
    parts = _parts(address)
    for store, name in (_whole(address), *((parts, part) for part in _names(parts))):
        before = store.read(name)
        if before is None or (after := changed(before)) == before:
            continue
        if after:
            store.write(name, after)
        else:
            store.remove(name)


def _whole(address: str) -> tuple[AddressStore, str]:
    folder, _, name = address.rpartition("/")
    return AddressStore(folder), name


def _parts(address: str) -> AddressStore:
    return AddressStore(f"{address}.parts")


def _names(parts: AddressStore) -> list[str]:
    return [name for name in parts.names() if name.endswith(".jsonl")]
