"""Filling shards: parts are kept, taken over, and never stand in the way of a finished shard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from genbench.runtime import resumable
from genbench.runtime.distributed import World
from genbench.runtime.progress import Advance, SilentReporter
from genbench.runtime.resumable import fill_shards
from genbench.runtime.shards import SHARD_ROWS, ShardFolder
from genbench.runtime.stores import FolderStore

COUNT = 1230
VALUES = np.random.default_rng(0).normal(size=(COUNT, 3))


class Watching(SilentReporter):
    """Counts what a bar would show."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    def task(self, label: str, total: int) -> Any:
        return _Task(lambda finished, doing="": self.steps.append(finished))


class _Task:
    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def __enter__(self) -> Advance:
        return self._advance

    def __exit__(self, *problem: object) -> None:
        return None


class Source:
    """Rows in pieces of 50, until it is interrupted."""

    def __init__(self, breaks_at: int = COUNT + 1) -> None:
        self.breaks_at, self.asked = breaks_at, list[int]()

    def __call__(self, start: int, stop: int) -> Iterator[dict[str, NDArray[Any]]]:
        self.asked.append(start)
        for first in range(start, stop, 50):
            if first >= self.breaks_at:
                raise KeyboardInterrupt
            rows = VALUES[first : min(first + 50, stop)]
            yield {"a": rows, "b": rows[:, :1]}


def filled(folder: ShardFolder, source: Source, count: int = COUNT) -> list[int]:
    watching = Watching()
    fill_shards(folder, ["a", "b"], count, source, label="x", world=World(), reporter=watching)
    return watching.steps


def everything(folder: ShardFolder, count: int = COUNT) -> NDArray[Any]:
    parts = [folder.read(shard, "a", min(SHARD_ROWS, count - shard * SHARD_ROWS))
             for shard in range(-(-count // SHARD_ROWS))]  # fmt: skip
    return np.concatenate([part for part in parts if part is not None])


def test_bars_move_with_every_piece(tmp_path: Path) -> None:
    steps = filled(ShardFolder(tmp_path, {}), Source())
    assert sum(steps) == COUNT
    assert steps.count(50) == 24
    assert np.array_equal(everything(ShardFolder(tmp_path, {})), VALUES)


@pytest.mark.parametrize("breaks_at", [0, 50, 450, 500, 550, 1200])
def test_an_interrupted_run_loses_no_whole_piece(tmp_path: Path, breaks_at: int) -> None:
    folder = ShardFolder(tmp_path, {})
    with pytest.raises(KeyboardInterrupt):
        filled(folder, Source(breaks_at))
    source = Source()
    assert sum(filled(folder, source)) == COUNT
    assert source.asked == [breaks_at]
    assert np.array_equal(everything(folder), VALUES)
    assert not list(tmp_path.rglob("*-part.npz"))


def test_a_killed_run_has_kept_what_was_there_seconds_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "_PART_SECONDS", -1.0)
    folder = ShardFolder(tmp_path, {})
    pieces = Source()(0, 500)
    shard = resumable._Growing(folder, ["a", "b"], 0, 500)
    for _ in range(3):
        shard.add(next(pieces))  # and now the process is gone
    assert [len(data) for data in folder.part(0, ["a", "b"], 500).values()] == [150, 150]
    assert folder.part(0, ["a", "c"], 500) == {}
    source = Source()
    filled(folder, source)
    assert source.asked == [150]


def test_a_part_never_replaces_a_finished_shard(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path, {})
    filled(folder, Source(), 500)
    folder.write_part(0, {"a": VALUES[:100], "b": VALUES[:100, :1]})
    assert np.array_equal(everything(folder, 500), VALUES[:500])


def test_a_shorter_shard_is_taken_over_in_whole_pieces(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path, {})
    filled(folder, Source(), 70)
    source = Source()
    filled(folder, source, 130)
    assert source.asked == [50]
    assert np.array_equal(everything(folder, 130), VALUES[:130])


@dataclass(frozen=True)
class Follower(World):
    """Rank 1 of two. finds: what its leader says is missing, each time it is asked."""

    finds: list[list[tuple[int, int]]] = field(default_factory=list)

    def broadcast(self, value: Any) -> Any:
        return self.finds.pop(0)

    def gather(self, value: Any) -> list[Any]:
        return []

    def barrier(self) -> None:
        return None


def test_only_the_leader_reads_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ShardFolder(tmp_path, {"of": "a test"})
    source = Source()
    filled(folder, source)
    read: list[int] = []
    whole = FolderStore.read

    def counted(self: FolderStore, name: str) -> bytes | None:
        found = whole(self, name)
        if found is not None:
            read.append(int(name[:6]))
        return found

    monkeypatch.setattr(FolderStore, "read", counted)
    for world, wanted in ((World(), {0, 1, 2}), (Follower(rank=1, size=2, finds=[[], []]), set())):
        read.clear()
        fill_shards(
            folder, ["a", "b"], COUNT, source, label="", world=world, reporter=SilentReporter()
        )
        assert set(read) == wanted
    # Nor what it has just computed, when the leader looks for what it cannot see.
    follower = Follower(rank=1, size=2, finds=[[(0, 50)], []])
    (tmp_path / "other").mkdir()
    fill_shards(
        ShardFolder(tmp_path / "other", {"of": "a test"}), ["a", "b"], COUNT, source, label="",
        world=follower, reporter=SilentReporter(),
    )  # fmt: skip
    assert not follower.finds
    assert read == []
