"""Many workers fill one folder of shards and are killed at random places, until all have finished.

    python benchmarks/killed_workers.py --workers 64 --mode pull --seed 0

The rows are made, not drawn, and the disk is slow by a random time a write; what is real is all
between: shares, leases, temporary files, renames, parts. A worker ends without another instruction
(`os._exit`) before or after any of these, and is started again. Prints how often, and how much was
made for every row that was wanted; exits 1 when a bit of the folder differs from what one process
alone would have left.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbench.runtime import leases, pulling, resumable
from genbench.runtime.distributed import World
from genbench.runtime.progress import SilentReporter
from genbench.runtime.shards import SHARD_ROWS, ShardFolder, shard_spans
from genbench.runtime.sharing import Sharing

KEY, LAYERS = {"of": "killed workers"}, ("pool", "digests")
_KILLED = 77  # the exit status of a worker that was
_WIDTH = 8


@dataclass(frozen=True)
class Simulation:
    """How many workers fill `shards` shards, and how they die. chance: at each place. slow: longest
    seconds of a write."""

    workers: int = 64
    shards: int = 60
    pulls: bool = True
    chance: float = 0.01
    slow: float = 0.01
    seed: int = 0

    @property
    def count(self) -> int:
        """Rows, the last shard being a short one."""
        return self.shards * SHARD_ROWS - 130

    def sharing(self, worker: int) -> Sharing:
        """What a worker, from 0, computes."""
        return Sharing(pulls=True) if self.pulls else Sharing(worker + 1, self.workers)


def rows(start: int, stop: int) -> NDArray[np.float32]:
    """Rows [stop - start, 8] that depend on their index alone."""
    index = np.arange(start, stop, dtype=np.float64)[:, None]
    return np.sin(index * 12.9898 + np.arange(_WIDTH) * 78.233).astype(np.float32)


def _pieces(
    start: int, stop: int, dies: Callable[[], None], tally: int
) -> Iterator[dict[str, NDArray[Any]]]:
    for first in range(start, stop, 50):
        dies()
        made = rows(first, min(first + 50, stop))
        os.write(tally, b"." * len(made))
        yield {"pool": made, "digests": made[:, :1].view(np.uint8)}


def _work(asked: Simulation, root: Path, worker: int, life: int) -> None:
    drawn = random.Random(f"{asked.seed} {worker} {life}")

    def dies() -> None:
        if drawn.random() < asked.chance:
            os._exit(_KILLED)

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def between(*words: Any, **named: Any) -> Any:
            dies()
            time.sleep(drawn.uniform(0, asked.slow))
            result = call(*words, **named)
            dies()
            return result

        return between

    tally = os.open(root / "made", os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.replace, os.fsync = dying(os.replace), dying(os.fsync)
    leases.Leases._claimed = dying(leases.Leases._claimed)  # type: ignore[method-assign]
    pulling._POLL, pulling._POLL_MOST = 0.1, 1.0
    resumable._PART_SECONDS = 0.02
    resumable.fill_shards(
        ShardFolder(root, KEY), LAYERS, asked.count, lambda a, b: _pieces(a, b, dies, tally),
        label="x", world=World(), reporter=SilentReporter(), sharing=asked.sharing(worker),
    )  # fmt: skip


def _begun(asked: Simulation, root: Path, worker: int, life: int) -> int:
    if number := os.fork():
        return number
    try:
        _work(asked, root, worker, life)
        os._exit(0)
    finally:
        os._exit(1)


def simulate(asked: Simulation, root: Path) -> int:
    """Run all workers, each again when it was killed; how many kills there were. Raises
    RuntimeError for a worker that failed."""
    running = {_begun(asked, root, worker, 0): (worker, 0) for worker in range(asked.workers)}
    kills = 0
    while running:
        number, status = os.waitpid(-1, 0)
        if number not in running:
            continue
        worker, life = running.pop(number)
        code = os.waitstatus_to_exitcode(status)
        if code == _KILLED:
            kills += 1
            running[_begun(asked, root, worker, life + 1)] = (worker, life + 1)
        elif code:
            raise RuntimeError(f"worker {worker} ended with {code}")
    return kills


def differing(asked: Simulation, root: Path) -> list[int]:
    """The shards that are not, bit for bit, what one process leaves."""
    folder, wrong = ShardFolder(root, KEY), []
    for start, stop in shard_spans(asked.count):
        made = rows(start, stop)
        found = [folder.read(start // SHARD_ROWS, layer, stop - start) for layer in LAYERS]
        wanted = [made.tobytes(), made[:, :1].tobytes()]
        if [None if data is None else data.tobytes() for data in found] != wanted:
            wrong.append(start // SHARD_ROWS)
    return wrong


def main() -> None:
    """Simulate as asked, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--mode", choices=("pull", "array"), default="pull")
    parser.add_argument("--chance", type=float, default=0.01, help="of dying, at each place")
    parser.add_argument("--slow", type=float, default=0.02, help="longest seconds of a write")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    asked = Simulation(
        given.workers, given.shards, given.mode == "pull", given.chance, given.slow, given.seed
    )
    root = Path(tempfile.mkdtemp(prefix="genbench-workers-"))
    started = time.monotonic()
    kills = simulate(asked, root)
    wrong = differing(asked, root)
    made = (root / "made").stat().st_size / asked.count
    print(f"{given.mode}: {asked.workers} workers, {asked.shards} shards, {kills} kills in "
          f"{time.monotonic() - started:.1f} s: {made:.2f} rows made for each, "
          f"{len(wrong)} shards with other bits")  # fmt: skip
    shutil.rmtree(root)
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
