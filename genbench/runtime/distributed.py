"""Rank and world size under torchrun or alone: who does which shard, and gathering to rank 0."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from genbench.errors import GenbenchError, UsageError
from genbench.runtime.processors import usable_processors

T = TypeVar("T")

_TOLD = ("RANK", "MASTER_ADDR", "MASTER_PORT")  # what torchrun says beside WORLD_SIZE
_ATTEMPT = "TORCHELASTIC_RESTART_COUNT"  # of torchrun --max-restarts
_SILENCE = 10.0  # seconds until it is said that processes are waited for
_COMING = timedelta(minutes=10)  # until the last process is there
_BUCKET = 25 * 2**20  # bytes
_TIMEOUT = timedelta(hours=24)  # the other ranks wait while rank 0 computes the figures


@dataclass(frozen=True)
class World:
    """This process among the processes of the run."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process computes the figures and speaks to the user."""
        return self.rank == 0

    def share(self, work: Sequence[T]) -> list[T]:
        """This process's run of consecutive items of `work`; every item is one process's."""
        start, stop = (len(work) * rank // self.size for rank in (self.rank, self.rank + 1))
        return list(work[start:stop])

    def barrier(self) -> None:
        """Wait for every process."""
        if self.size > 1:
            dist.barrier()

    def broadcast(self, value: T) -> T:
        """Rank 0's `value`, on every process (sent as a pickle between processes of one run)."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def average(self, values: torch.Tensor) -> None:
        """Replace `values`, floats of any shape alike on all processes, by their mean over the
        processes, the same bits on each."""
        self.average_all([values])

    def average_all(self, tensors: Iterable[torch.Tensor]) -> None:
        """`average` of tensors, each of any shape: all are on their way before the first is waited
        for, in flat buffers of 25 MB, where torch's DistributedDataParallel cuts too. Processes
        with GPUs of their own share what lies there by NCCL."""
        if self.size == 1:
            return
        begun = []
        for bucket in buckets(tensors):
            flat = torch.cat([values.flatten() for values in bucket])
            work = dist.all_reduce(flat, group=self.group_of(flat), async_op=True)
            begun.append((bucket, flat, work))
        for bucket, flat, work in begun:
            work.wait()
            flat /= self.size
            means = flat.split([values.numel() for values in bucket])
            for values, mean in zip(bucket, means, strict=True):
                values.copy_(mean.view_as(values))

    def group_of(self, values: torch.Tensor) -> dist.ProcessGroup | None:
        """The processes as they share values of any shape, on a CPU (None: by gloo) or a GPU."""
        return self._nccl if values.is_cuda else None

    @cached_property
    def _nccl(self) -> dist.ProcessGroup | None:
        """A group for what lies on GPUs, made by all processes when the first such tensor comes;
        None, which is gloo's, where two processes share a GPU, which NCCL refuses, or torch has no
        NCCL."""
        mine = None
        if dist.is_nccl_available():
            mine = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        gpus: list[str | None] = [None] * self.size
        dist.all_gather_object(gpus, mine)
        if None in gpus or len(set(gpus)) < self.size:
            return None
        group = dist.new_group(backend="nccl", timeout=_TIMEOUT)
        return cast(dist.ProcessGroup, group)  # every process is a member

    def gather_on_all(self, value: T) -> list[T]:
        """Every process's `value` in order of rank, on every process."""
        box: list[T | None] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(box, value)
        return cast(list[T], box)

    def gather(self, value: T) -> list[T]:
        """Every process's `value` in order of rank, on rank 0; an empty list elsewhere."""
        if self.size == 1:
            return [value]
        box: list[T | None] | None = [None] * self.size if self.leads else None
        dist.gather_object(value, box, dst=0)
        return [item for item in box if item is not None] if box else []


def buckets(tensors: Iterable[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Neighbours of one dtype and device, of any shape, up to _BUCKET bytes together; a larger one
    is alone."""
    bucket: list[torch.Tensor] = []
    size = 0
    for values in tensors:
        alike = not bucket or (values.dtype, values.device) == (bucket[0].dtype, bucket[0].device)
        if bucket and not (alike and size + values.nbytes <= _BUCKET):
            yield bucket
            bucket, size = [], 0
        bucket.append(values)
        size += values.nbytes
    if bucket:
        yield bucket


def world_of_environment() -> World:
    """The world torchrun describes in the environment; a world of one without it.

    Raises UsageError for a description that is none, such as one left over from another program.
    """
    size = _number("WORLD_SIZE", 1)
    if size <= 1:
        return World()
    lacking = [name for name in _TOLD if not os.environ.get(name)]
    if lacking:
        raise UsageError(
            f"WORLD_SIZE={size} without {' and '.join(lacking)}: start by torchrun, or unset "
            "WORLD_SIZE"
        )
    world = World(
        rank=_number("RANK", 0),
        size=size,
        local_rank=_number("LOCAL_RANK", 0),
        local_size=_number("LOCAL_WORLD_SIZE", 1),
    )
    if not 0 <= world.rank < size:
        raise UsageError(f"RANK={world.rank} is none of WORLD_SIZE={size}: start by torchrun")
    return world


def _number(name: str, usual: int) -> int:
    text = os.environ.get(name, "")
    try:
        return int(text) if text.strip() else usual
    except ValueError as error:
        raise UsageError(f"{name}={text} is no number: start by torchrun, or unset it") from error


@contextmanager
def joined_world(*, trains: bool = False) -> Iterator[World]:
    """The world of this run, its processes joined while it lasts (by gloo; what is averaged on GPUs
    goes by NCCL).

    torchrun tells every process to use one thread, or as many as OMP_NUM_THREADS says. Bits of a
    measurement must not depend on how many processes share the work, so every process computes
    with the thread count it would have alone, and has its own again afterwards. trains: they do
    depend on it, since the processes share a batch, and what torchrun says stands: each with every
    processor, two processes on two processors train eight times slower than one. Within a world
    that is joined already, such as a sweep's, it is that one.
    """
    world = world_of_environment()
    if world.size == 1 or dist.is_initialized():
        yield world
        return
    threads = torch.get_num_threads()
    if not trains:
        torch.set_num_threads(usable_processors())
    try:
        _join(world)
        try:
            yield world
        finally:
            dist.destroy_process_group()
    finally:
        torch.set_num_threads(threads)


def _join(world: World) -> None:
    """Wait until every process is there. Raises GenbenchError when one is not after _COMING."""
    minutes = _COMING.total_seconds() / 60
    text = f"waiting up to {minutes:g} min for the {world.size} processes of this run"
    telling = threading.Timer(_SILENCE, lambda: print(text, file=sys.stderr))
    telling.daemon = True
    telling.start()
    try:
        store = next(rendezvous("env://", timeout=_COMING))[0]
        # After a restart torchrun's store still has what the ranks that died had put there.
        store = dist.PrefixStore(f"attempt {os.environ.get(_ATTEMPT, '0')}", store)  # type: ignore[attr-defined]
        names = [f"genbench/{rank}" for rank in range(world.size)]
        store.set(names[world.rank], "here")
        store.wait(names, _COMING)
        store.set_timeout(_TIMEOUT)
        dist.init_process_group(
            "gloo", store=store, rank=world.rank, world_size=world.size, timeout=_TIMEOUT
        )
    except (RuntimeError, ValueError) as error:
        raise GenbenchError(
            f"the {world.size} processes of this run did not come together "
            f"({str(error).splitlines()[0]}): start all of them by torchrun, with one MASTER_ADDR "
            "and a free MASTER_PORT"
        ) from error
    finally:
        telling.cancel()
