"""Pieces of work beside each other: their order, their threads, their failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from genbench.runtime.parallel import beside_each_other, one_thread_each


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_items() -> None:
    assert one_thread_each(lambda item: item * item, [3, 1, 2]) == [9, 1, 4]


def test_two_run_at_once_on_one_thread_each() -> None:
    both = threading.Barrier(2, timeout=20)  # breaks unless two are inside

    def work(_: int) -> int:
        both.wait()
        return torch.get_num_threads()

    assert one_thread_each(work, [0, 1]) == [1, 1]
    assert torch.get_num_threads() == 2


def test_the_first_failure_is_raised_and_the_threads_are_put_back() -> None:
    def work(item: int) -> int:
        if item:
            raise ValueError(f"item {item}")
        return item

    with pytest.raises(ValueError, match="item 1"):
        one_thread_each(work, [0, 1, 2])
    assert torch.get_num_threads() == 2


def test_processes_of_one_machine_share_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert beside_each_other() == 2
    told = {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "here"}
    for name, value in (told | {"MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    assert beside_each_other() == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")  # more processes than threads
    assert beside_each_other() == 1
    assert one_thread_each(lambda item: item + 1, [1, 2, 3]) == [2, 3, 4]
