"""Independent pieces of work side by side on a CPU, each on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from genbench.runtime.distributed import world_of_environment

Item = TypeVar("Item")
Result = TypeVar("Result")


def beside_each_other() -> int:
    """Calls that run at a time: torch's threads, shared among the run's processes on this machine,
    as torchrun counts them. No bit depends on it."""
    return max(1, torch.get_num_threads() // world_of_environment().local_size)


def one_thread_each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`work` of every item, in order, `beside_each_other()` at a time.

    torch computes each on one thread, whatever its number of threads: results have the same bits
    on any of them, and no thread waits for another within a layer, which costs a share of an idle
    machine and most of a busy one. What the first failing item raises is raised.
    """
    threads = torch.get_num_threads()

    def alone(item: Item) -> Result:
        torch.set_num_threads(1)  # of this thread, but for some libraries of the process
        return work(item)

    try:
        with ThreadPoolExecutor(min(beside_each_other(), len(items))) as pool:
            return list(pool.map(alone, items))
    finally:
        torch.set_num_threads(threads)
