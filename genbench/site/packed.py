"""Bundles beside the pages: which run each one is of, and the command that verifies it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from genbench.bundles.archive import read_bundle
from genbench.bundles.verification import records_of
from genbench.errors import GenbenchError, UsageError
from genbench.records.kinds import Record

ENDING = ".genbench"


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A bundle of a run. name: of its file. seal: the digest of all that is in it. size: bytes."""

    path: Path
    name: str
    seal: str
    size: int

    @property
    def command(self) -> str:
        """What verifies it, where it lies."""
        return f"genbench verify {shlex.quote(self.name)} --seal {self.seal}"

    @property
    def file(self) -> str:
        """Its path from the site's root."""
        return f"bundles/{self.name}"


def packed_runs(
    folder: Path, runs: Mapping[str, Sequence[Record]], told: Callable[[str], object]
) -> dict[str, Packed]:
    """The bundle of each run that a folder has one of; of several the last by name.

    told: called for bundles of other runs. Raises UsageError for a folder without bundles, and
    GenbenchError for a bundle that is damaged or holds other figures than the records.
    """
    paths = sorted(folder.glob(f"*{ENDING}"))
    if not paths:
        raise UsageError(
            f"--bundles {folder}: there is no bundle in it: genbench bundle RUN --out "
            f"{folder / f'run{ENDING}'}"
        )
    found = {}
    for path in paths:
        opened = read_bundle(path)
        figures = records_of(opened)
        run = figures[0].run
        if run not in runs:
            told(f"{path} is of run {run}, which is not among the records: left out")
            continue
        known = [asdict(record) for record in runs[run]]
        for figure in figures:
            if asdict(figure) not in known:
                raise GenbenchError(
                    f"{path}: its {figure.metric} at {figure.samples:,} samples is not what the "
                    f"records say of run {run}: pack the run again"
                )
        size = path.stat().st_size
        found[run] = Packed(path=path, name=path.name, seal=opened.manifest.seal(), size=size)
    return found
