"""Means over processes: in buckets, by gloo, and by NCCL where each process has its own GPU."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from genbench.runtime import distributed
from genbench.runtime.distributed import World, buckets

NCCL = object()


def test_buckets_hold_neighbours_alike_and_no_more_than_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributed, "_BUCKET", 40)
    given = [torch.zeros(n) for n in (4, 6, 1, 30, 2)] + [torch.zeros(2, dtype=torch.float64)]
    found = list(buckets(iter(given)))
    assert [[len(part) for part in bucket] for bucket in found] == [[4, 6], [1], [30], [2], [2]]
    assert not list(buckets([]))


def test_all_are_on_their_way_before_the_first_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []

    def begun(flat: Tensor, group: object, async_op: bool) -> SimpleNamespace:
        assert (group, async_op) == (None, True)
        log.append("begun")
        return SimpleNamespace(wait=lambda: log.append("waited"))

    monkeypatch.setattr(distributed, "_BUCKET", 8)
    monkeypatch.setattr(dist, "all_reduce", begun)
    first, second = torch.full((2, 1), 3.0), torch.full((2,), 5.0)
    World(rank=0, size=2).average_all([first, second])
    assert log == ["begun", "begun", "waited", "waited"]
    assert first.tolist() == [[1.5], [1.5]]
    assert second.tolist() == [2.5, 2.5]


def _process(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2,
        timeout=timedelta(seconds=60),
    )  # fmt: skip
    distributed._BUCKET = 64
    given = _given(rank)
    world = World(rank=rank, size=2, local_rank=rank, local_size=2)
    world.average_all(given)
    torch.save(given, folder / f"{rank}.pt")
    world.barrier()
    dist.destroy_process_group()


def _given(rank: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rank)
    wide = torch.randn(2, 3, 4, 4, generator=generator).to(memory_format=torch.channels_last)
    return [torch.randn(5, generator=generator), wide, torch.randn(3, 3, generator=generator).T]


def test_two_processes_have_the_mean_of_both(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")  # torch is there already
    processes = [context.Process(target=_process, args=(rank, tmp_path)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for one, other, mine, theirs in zip(*found, _given(0), _given(1), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, (mine + theirs) / 2)


@pytest.mark.parametrize(
    ("gpus", "available", "chosen"),
    [(("a", "b"), True, NCCL), (("a", "a"), True, None), (("a", None), True, None),
     (("a", "b"), False, None)],
)  # fmt: skip
def test_nccl_is_taken_where_each_process_has_a_gpu_of_its_own(
    monkeypatch: pytest.MonkeyPatch, gpus: tuple[str | None, ...], available: bool, chosen: object
) -> None:
    made: list[dict[str, Any]] = []

    def gathered(into: list[str | None], mine: str | None) -> None:
        assert mine == ("a" if available else None)
        into[:] = [mine, *gpus[1:]]

    def new_group(**given: Any) -> object:
        made.append(given)
        return NCCL

    properties: Callable[[int], object] = lambda _: SimpleNamespace(uuid="a")  # noqa: E731
    monkeypatch.setattr(dist, "is_nccl_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(dist, "all_gather_object", gathered)
    monkeypatch.setattr(dist, "new_group", new_group)
    world = World(rank=0, size=2)
    on_gpu, on_cpu = (cast(Tensor, SimpleNamespace(is_cuda=cuda)) for cuda in (True, False))
    assert world.group_of(on_cpu) is None
    assert not made
    assert world.group_of(on_gpu) is chosen
    assert world.group_of(on_gpu) is chosen  # and made once
    assert [given["backend"] for given in made] == ["nccl"] * (chosen is NCCL)
