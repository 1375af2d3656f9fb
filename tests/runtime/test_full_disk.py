"""A disk that takes no more: one line that names the file, nothing finished lost, and on it goes.

Without a disk of its own a test bounds the size of files instead: the same writes fail, at the same
places (`benchmarks/full_disk.py` fills a real one).
"""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from strangers import error_line, genbench
from tiny_recipes import hit_words

from genbench.records.store import read_records
from genbench_adapters.model_files import write_model

FID = (
    *("fid", "--model", "toy", "--res", "32", "-n", "30", "--protocol", "bundled"),
    *("--ref", "bundled[:40]", "--metric", "fd", "--device", "cpu"),
)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [100, 3000, 100_000])
def test_a_measurement_goes_on_when_there_is_room(tmp_path: Path, size: int) -> None:
    words = (*FID, "--cache", tmp_path / "c", "--records", tmp_path / "r.jsonl")
    with files_of_at_most(size):
        line = error_line(genbench(*words))
    assert "cannot write" in line
    assert str(tmp_path) in line
    assert not list(tmp_path.rglob("*.tmp"))
    run = genbench(*words)
    assert run.returncode == 0, run.stderr
    calm = genbench(*FID, "--cache", tmp_path / "calm", "--records", tmp_path / "calm.jsonl")
    assert calm.returncode == 0
    found = [[record.value for record in read_records(tmp_path / name)]
             for name in ("r.jsonl", "calm.jsonl")]  # fmt: skip
    assert found[0] == found[1]


@pytest.mark.parametrize("size", [100, 20_000])
def test_training_goes_on_when_there_is_room(tmp_path: Path, size: int) -> None:
    words = hit_words(tmp_path, "run")
    with files_of_at_most(size):
        line = error_line(genbench(*words))
    assert "cannot write" in line
    assert str(tmp_path / "run") in line
    for name in ("run", "calm"):
        assert genbench(*hit_words(tmp_path, name)).returncode == 0
    digests = {
        hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest()
        for name in ("run", "calm")
    }
    assert len(digests) == 1


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    """safetensors writes its metadata in any order, eight times in one order by chance of 1/128."""
    found = set()
    for _ in range(8):
        write_model(tmp_path / "m.safetensors", {}, {"a": 1}, kind="trained-here")
        found.add((tmp_path / "m.safetensors").read_bytes())
    assert len(found) == 1
