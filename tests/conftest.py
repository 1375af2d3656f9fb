"""What every test starts from: none of the developer's own records, and the process as it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before torch is imported: two processes share two cores, and threads that wait for each other
# there make a test several times as slow.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def no_records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default record file, in a folder of the session's: figures kept at home fill no table."""
    path = tmp_path_factory.mktemp("records") / "records.jsonl"
    os.environ["GENBENCH_RECORDS"] = str(path)
    return path


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Ctrl-C is heard, as on a terminal: what a shell starts in the background ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def unchanged_process() -> Iterator[None]:
    """A test leaves behind no setting of the process that the bits of later ones depend on."""
    before = _settings()
    yield
    after = _settings()
    torch.set_num_threads(int(before["threads"]))
    torch.set_default_dtype(before["default dtype"])
    torch.set_float32_matmul_precision(before["float32 products"])
    assert after == before, "the test changed the process for those after it"


def _settings() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "default dtype": torch.get_default_dtype(),
        "float32 products": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
        "Ctrl-C": signal.getsignal(signal.SIGINT),
    }
