"""How the shards of a run are shared among processes that do not talk to each other."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from genbench.errors import GenbenchError, UsageError

T = TypeVar("T")
_SLURM = "SLURM_ARRAY_TASK_"
_FORMS = "write 3/16 (the third of sixteen), slurm, or pull"


@dataclass(frozen=True)
class Sharing:
    """What of a run's shards one process computes. number, count: the `number`th of `count` runs of
    consecutive shards, from 1. pulls: whatever nobody else is computing. draws: False where every
    shard must be there. others: caches from which shards are copied that are missing in this one.
    """

    number: int = 1
    count: int = 1
    pulls: bool = False
    draws: bool = True
    others: tuple[Path, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all shards are there when this process is done, so that figures can follow."""
        return self.count == 1 and not self.pulls

    def share(self, work: Sequence[T]) -> list[T]:
        """The items of `work` that are this process's to see to."""
        start, stop = (len(work) * part // self.count for part in (self.number - 1, self.number))
        return list(work[start:stop])

    def told(self, name: str, samples: int, rows: int, where: str, then: str) -> str:
        """What became of this process's share of a run, for people. rows: samples a shard. where:
        its folder. then: what is to be done once all shares are there."""
        if self.pulls:
            return f"what was pulled of {name} is in {where}, {then}"
        shards = -(-samples // rows)
        own, share = len(self.share(range(shards))), f"share {self.number}/{self.count} of {name}"
        whole = f"{samples:,} samples are {_shards(shards)} of {rows}"
        if self.count > shards:
            whole += f", too few for {self.count} shares"
        if not own:
            return f"{share} is empty: {whole}"
        return f"{share}, {_shards(own)} ({whole}), is in {where}, {then}"


def _shards(count: int) -> str:
    return "1 shard" if count == 1 else f"{count:,} shards"


ALONE = Sharing()
MERGED = Sharing(draws=False)  # of `genbench merge`


class MissingShards(GenbenchError):  # noqa: N818 - what it says is what is missing
    """Shards that are in no cache that was named."""


def sharing_of(text: str | Sharing) -> Sharing:
    """What --shard says: "3/16"; "slurm", the task's place in a SLURM array; "pull"; empty: all.
    What is a sharing already, such as MERGED, is given back.

    Raises UsageError for anything else, and for an array with gaps.
    """
    if isinstance(text, Sharing):
        return text
    if not text:
        return ALONE
    if text == "pull":
        return Sharing(pulls=True)
    if text == "slurm":
        return _of_slurm()
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if found is None:
        raise UsageError(f"--shard {text} is no share: {_FORMS}")
    number, count = map(int, found.groups())
    if not 1 <= number <= count:
        raise UsageError(f"--shard {text}: shares are counted from 1/{count} to {count}/{count}")
    return Sharing(number, count)


def _of_slurm() -> Sharing:
    told = {name: os.environ.get(_SLURM + name, "") for name in ("ID", "COUNT", "MIN", "MAX")}
    told["STEP"] = os.environ.get(f"{_SLURM}STEP") or "1"
    if not all(text.isdecimal() for text in told.values()) or told["STEP"] == "0":
        raise UsageError(
            f"--shard slurm reads {_SLURM}ID, _COUNT, _MIN and _MAX, which are not set here: start "
            "by sbatch --array=1-16, or write --shard 3/16"
        )
    task, count, first, last, step = (
        int(told[name]) for name in ("ID", "COUNT", "MIN", "MAX", "STEP")
    )
    number = (task - first) // step + 1
    if (last - first) // step + 1 != count or not 1 <= number <= count:
        raise UsageError(
            "the SLURM array has gaps, so that its tasks say nothing of their shares: submit the "
            f"tasks that failed with --shard ${_SLURM}ID/16 (the count of the first submission)"
        )
    return Sharing(number, count)


def as_ranges(numbers: Sequence[int]) -> str:
    """Numbers in order as people write them: "3, 7-9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] + 1 == number:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
