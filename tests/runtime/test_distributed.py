"""How many threads each process of a shared run computes with."""

from __future__ import annotations

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from genbench.errors import GenbenchError
from genbench.runtime import distributed

ALONE, GIVEN = 3, 1  # threads of a process by itself, and those torchrun allows


@pytest.mark.parametrize(("trains", "expected"), [(False, ALONE), (True, GIVEN)])
def test_threads(monkeypatch: pytest.MonkeyPatch, trains: bool, expected: int) -> None:
    told = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "usable_processors", lambda: ALONE)
    monkeypatch.setattr(distributed, "_join", lambda world: None)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(GIVEN)
        with distributed.joined_world(trains=trains) as world:
            assert world.size == 2
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == GIVEN
    finally:
        torch.set_num_threads(before)


def test_a_world_within_a_joined_one_is_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "_join", lambda world: pytest.fail("joined twice"))
    with distributed.joined_world() as world:
        assert (world.rank, world.size) == (1, 2)


def test_ranks_of_an_attempt_that_died_are_not_taken_for_those_of_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = dist.HashStore()  # type: ignore[attr-defined]
    monkeypatch.setattr(distributed, "rendezvous", lambda *_, **__: iter([(store, 0, 2)]))
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(distributed, "_COMING", timedelta(milliseconds=50))
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    dist.PrefixStore("attempt 0", store).set("genbench/1", "here")  # type: ignore[attr-defined]
    distributed._join(distributed.World(rank=0, size=2))
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    with pytest.raises(GenbenchError, match="did not come together"):
        distributed._join(distributed.World(rank=0, size=2))
