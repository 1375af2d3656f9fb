"""Workers that share a folder and are killed leave what one process leaves, to the last bit."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import killed_workers
import pytest
from killed_workers import KEY, LAYERS, Simulation

from genbench.runtime.shards import ShardFolder
from genbench.runtime.sharing import MissingShards


@pytest.mark.parametrize("pulls", [True, False])
def test_many_workers_with_kills_and_a_slow_disk(tmp_path: Path, pulls: bool) -> None:
    """`benchmarks/killed_workers.py` does the same with 64."""
    asked = Simulation(workers=16, shards=12, pulls=pulls, chance=0.03, slow=0.002, seed=1)
    assert killed_workers.simulate(asked, tmp_path) >= 3
    assert killed_workers.differing(asked, tmp_path) == []


def test_a_killed_workers_shards_are_computed_by_the_others(tmp_path: Path) -> None:
    asked = Simulation(workers=3, shards=8, chance=0.0, slow=0.02)
    running = {killed_workers._begun(asked, tmp_path, worker, 0) for worker in range(3)}
    folder = ShardFolder(tmp_path, KEY)
    until = time.monotonic() + 30
    while not list(folder.path.glob(".*.lease.tmp")) and time.monotonic() < until:
        time.sleep(0.002)
    for number in sorted(running)[:2]:
        os.kill(number, signal.SIGKILL)
    ends = [os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) for number in sorted(running)]
    assert ends[2] == 0
    assert ends[0] == -signal.SIGKILL
    assert killed_workers.differing(asked, tmp_path) == []


def test_what_differs_would_be_seen(tmp_path: Path) -> None:
    asked = Simulation(workers=1, shards=3, chance=0.0, slow=0.0)
    killed_workers.simulate(asked, tmp_path)
    folder = ShardFolder(tmp_path, KEY)
    found = {layer: folder.read(1, layer, 500) for layer in LAYERS}
    changed = {layer: data.copy() for layer, data in found.items() if data is not None}
    changed["pool"][7, 3] += 1e-7
    folder.write(1, changed)
    assert killed_workers.differing(asked, tmp_path) == [1]


def test_shards_that_nobody_has_are_named(tmp_path: Path) -> None:
    from genbench.runtime.distributed import World
    from genbench.runtime.progress import SilentReporter
    from genbench.runtime.resumable import fill_shards
    from genbench.runtime.sharing import MERGED

    folder = ShardFolder(tmp_path / "features", KEY)

    def merged(count: int) -> None:
        fill_shards(
            folder, LAYERS, count, lambda start, stop: pytest.fail("drawn"), label="x",
            world=World(), reporter=SilentReporter(), sharing=MERGED,
        )  # fmt: skip

    with pytest.raises(MissingShards, match=r"x: none of its 3 shards is in .*/features: give the"):
        merged(1500)
    rows = killed_workers.rows(0, 500)
    folder.write(1, {"pool": rows, "digests": rows})
    with pytest.raises(MissingShards, match=r"x: 3 of 4 shards are missing in .*: 0, 2-3$"):
        merged(2000)
    (folder.path / "000001-pool.npz").write_bytes(b"")
    with pytest.raises(MissingShards, match=r"\(1 files were damaged\)"):
        merged(2000)
