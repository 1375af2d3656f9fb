"""What every test starts from: none of the developer's own records."""

from __future__ import annotations

import os
from pathlib import Path

# Before torch is imported: two processes share two cores, and threads that wait for each other
# there make a test several times as slow.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


@pytest.fixture(scope="session", autouse=True)
def no_records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default record file, in a folder of the session's: figures kept at home fill no table."""
    path = tmp_path_factory.mktemp("records") / "records.jsonl"
    os.environ["GENBENCH_RECORDS"] = str(path)
    return path
