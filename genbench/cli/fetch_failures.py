"""What `genbench fetch` says of files that could not be fetched."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from genbench.errors import GenbenchError
from genbench.fetching.carrying import Outcome


def failure(failed: Sequence[Outcome], count: int, command: str) -> GenbenchError:
    """The error for files, `count` in all, that could not be fetched; the reason of each of several
    is printed before. command: that fetches them on a machine with a network."""
    elsewhere = (
        f"on a machine with a network: {command} --to DIR; here: GENBENCH_MIRROR=DIR {command}"
    )
    unreachable = any(outcome.unreachable for outcome in failed)
    if len(failed) == 1:
        return GenbenchError(failed[0].error + (f"; or {elsewhere}" if unreachable else ""))
    for line in _reasons(failed):
        print(f"failed: {GenbenchError(line)}", file=sys.stderr)
    others = "the others are kept, and " if len(failed) < count else ""
    remedy = f"; {elsewhere}" if unreachable else ""
    return GenbenchError(
        f"{len(failed)} of {count} files could not be fetched, for the reasons above; {others}the "
        f"same command goes on where it stopped{remedy}"
    )


def _reasons(failed: Sequence[Outcome]) -> Iterator[str]:
    """A line a host that cannot be reached, with its files; one for every other failure."""
    lost: dict[str, list[str]] = {}
    for outcome in failed:
        file = outcome.planned.wanted.file
        if outcome.unreachable:
            lost.setdefault(urlsplit(file.url).netloc, []).append(file.filename)
        else:
            yield f"{file.filename}: {outcome.error}"
    for host, names in lost.items():
        yield f"{host} cannot be reached, which has {', '.join(names)}"
