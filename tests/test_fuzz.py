"""A share of benchmarks/fuzz.py: damaged files of every kind are read, or refused in one line."""

from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
from pathlib import Path

import fuzz
import pytest
from fuzz_files import CANARY, hostile_pickles
from fuzz_readers import READERS
from fuzz_worker import damaged_file

FILES = 200  # of each reader


def test_no_reader_fails() -> None:
    tallies = fuzz.fuzz(list(READERS), seed=20, files=FILES)
    found = {name: dict(tally.details) for name, tally in tallies.items() if tally.found}
    assert not found
    assert {tally.tried for tally in tallies.values()} == {FILES}


def test_a_file_is_a_function_of_seed_reader_and_number() -> None:
    valid = [b"[a]\nb = 1\n" * 20]
    state = random.getstate()
    first = [damaged_file(READERS["gpus"], valid, 3, number) for number in range(50)]
    assert first == [damaged_file(READERS["gpus"], valid, 3, number) for number in range(50)]
    assert len(set(first)) > 40
    assert first[0] != damaged_file(READERS["gpus"], valid, 4, 0)
    assert random.getstate() == state


FAULTS = {
    "raise KeyError('a')": "KeyError at",
    "raise GenbenchError('')": "an error of no plain line",
    "time.sleep(0.6)": "took over 0.5 s",
    "bytearray(3 << 30)": "over 1024 MiB",
    "pickle.loads(hostile_pickles()[0])": "ran something: pickle.find_class",
    "exec('1')": "ran something: exec",
    "open('elsewhere', 'w')": "ran something: open",
}
BROKEN = """
import pickle, sys, time
from dataclasses import replace
from pathlib import Path
import fuzz_worker
from fuzz_files import hostile_pickles
from fuzz_readers import READERS
from genbench.errors import GenbenchError

fuzz_worker.SECONDS = 0.5
worker = fuzz_worker.Worker(Path(sys.argv[1]))
worker.valid["gpus"], worker.beside["gpus"] = [b"a = 1"], {}
fuzz_worker._limit_memory()
"""
ONE = """
def read(path):
    %s

READERS["gpus"] = replace(READERS["gpus"], read=read)
worker.run("gpus", 0, 0, 1)
"""


def test_every_fault_is_found(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(bytes(16))
    code = BROKEN + "".join(ONE % fault for fault in FAULTS)
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, env=fuzz.environment(tmp_path))
    assert run.returncode == 0, run.stderr[-2000:]
    found = [told for line in run.stdout.splitlines() if "kind" in (told := json.loads(line))]
    assert len(found) == len(FAULTS)
    for told, kind in zip(found, FAULTS.values(), strict=True):
        assert told["kind"].startswith(kind)
    assert not (tmp_path / CANARY).exists()


def test_the_canary_would_sing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(hostile_pickles()[0])
    assert (tmp_path / CANARY).exists()
