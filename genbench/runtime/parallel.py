"""Independent pieces of work side by side on a CPU, each on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_thread_each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`work` of every item, in order, as many at a time as torch has threads.

    torch computes each on one thread, whatever its number of threads: results have the same bits
    on any of them, and no thread waits for another within a layer, which costs a share of an idle
    machine and most of a busy one. What the first failing item raises is raised.
    """
    threads = torch.get_num_threads()

    def alone(item: Item) -> Result:
        torch.set_num_threads(1)  # of this thread, but for some libraries of the process
        return work(item)

    try:
        with ThreadPoolExecutor(min(threads, len(items))) as pool:
            return list(pool.map(alone, items))
    finally:
        torch.set_num_threads(threads)
