"""What is here of the files that are wanted, what is missing, and how large it is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.fetching.needs import Wanted
from genbench.runtime.folders import cache_folder
from genbench.weights.addresses import addresses_of
from genbench.weights.files import expected_of, locate
from genbench.weights.sizes import announced_size

_AT_ONCE = 8  # servers asked for a size


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A wanted file as it stands. target: where it goes. here: where it is; None: nowhere. part:
    bytes of it that a broken download left. size: bytes of the whole; None: nobody says. exact:
    whether that is known or an estimate. problem: why its size could not be asked."""

    wanted: Wanted
    target: Path
    here: Path | None
    part: int = 0
    size: int | None = None
    exact: bool = False
    problem: str = ""

    @property
    def to_come(self) -> int:
        """Bytes that are still to be fetched, as far as known."""
        return 0 if self.here else max((self.size or 0) - self.part, 0)


def planned(files: Sequence[Wanted], *, to: Path | None = None, ask: bool) -> list[Planned]:
    """How each file stands in the cache, or in the folder `to`. ask: ask the servers for the sizes
    of those that are missing; without it nothing goes over a network and sizes are estimates."""
    plan = [_standing(wanted, to) for wanted in files]
    if not ask:
        return plan
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda item: item if item.here else _asked(item), plan))


def check_room(plan: Sequence[Planned], folder: Path | None = None) -> int:
    """Bytes that are free where the files go. Raises GenbenchError when that is too little."""
    folder = folder or cache_folder()
    free = free_bytes(folder)
    coming = sum(item.to_come for item in plan)
    if coming > free:
        raise GenbenchError(
            f"no space in {folder}: {coming / 1e6:,.0f} MB to come, {free / 1e6:,.0f} MB free; "
            "free some space, or fetch to another disk (GENBENCH_CACHE, or --to)"
        )
    return free


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk of a folder that may not be there yet."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


def _standing(wanted: Wanted, to: Path | None) -> Planned:
    file = wanted.file
    target = file.place if to is None else to / file.relative
    here = locate(file, None) if to is None else (target if target.is_file() else None)
    part = target.with_name(f"{target.name}.part")
    size = here.stat().st_size if here else file.megabytes * 10**6 or None
    return Planned(
        wanted=wanted, target=target, here=here, size=size, exact=here is not None,
        part=part.stat().st_size if here is None and part.is_file() else 0,
    )  # fmt: skip


def _asked(item: Planned) -> Planned:
    file = item.wanted.file
    try:
        verified = bool(expected_of(file).sha256)
        size = announced_size(addresses_of(file.url, file.relative), verified=verified)
    except GenbenchError as error:
        return replace(item, problem=str(error))
    return replace(item, size=size, exact=True)
