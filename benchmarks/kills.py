"""Kill -9 at random moments of `genbench fid` and `genbench train`, until each run has finished.

    python benchmarks/kills.py --kills 100 --seed 0

Every run must go on where it was killed, and end with the bits of one that nobody disturbed:
figures, every line of the record file, trained weights, log. Prints what was found; exits 1 when
anything differs. A run is forked from this process, which has imported genbench and computed
nothing, so that kills hit the work and not the start of Python.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch  # noqa: F401 - so that no run has to

import genbench.api  # noqa: F401
from genbench.cli.app import main as genbench_main
from genbench.records.store import read_records

TRAINING = """
dims = [16, 16, 8]
heads = [4, 2, 2]
layers = [1, 1, 1]
patches = [4, 4, 0]
latent = 4
discriminator_widths = [8, 8, 8, 8]
batch = 4
steps = 60
r1_every = 2
consistency = 10.0
save_every = 2
preview_every = 10
"""


@dataclass(frozen=True)
class Job:
    """A command by the folder it works in, and the digests of what it leaves there."""

    name: str
    words: Callable[[Path], list[str]]
    left: Callable[[Path], dict[str, str]]


def fid_words(folder: Path) -> list[str]:
    """Twelve hundred samples of a small GAN against a part of the bundled images."""
    return [
        *("fid", "--model", "hit", "--res", "32", "-n", "1200", "--protocol", "bundled"),
        *("--ref", "bundled[:700]", "--metric", "fd", "--metric", "recall", "--device", "cpu"),
        *("--cache", str(folder / "cache"), "--records", str(folder / "records.jsonl")),
    ]


def fid_left(folder: Path) -> dict[str, str]:
    """Each figure of the record file by metric. A killed run may have recorded its figures; all
    records of one metric must be one figure."""
    found: dict[str, set[str]] = {}
    for record in read_records(folder / "records.jsonl"):
        found.setdefault(record.metric, set()).add(f"{record.value!r} {record.samples}")
    return {metric: " / ".join(sorted(values)) for metric, values in found.items()}


def train_words(folder: Path) -> list[str]:
    """Sixty steps of a tiny HiT, saved every other one."""
    (folder / "recipe.toml").write_text(TRAINING)
    return [
        *("train", "hit", "--config", str(folder / "recipe.toml"), "--data", "bundled[:50]"),
        *("--out", str(folder / "run"), "--device", "cpu"),
    ]


def train_left(folder: Path) -> dict[str, str]:
    """The digest of weights, log and every preview."""
    wanted = ("*.safetensors", "log.jsonl", "*.png")
    paths = sorted(path for kind in wanted for path in (folder / "run").glob(kind))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


JOBS = (Job("fid", fid_words, fid_left), Job("train", train_words, train_left))


def begun(words: list[str], log: Path) -> int:
    """Fork a run of the command line; returns its process number."""
    if number := os.fork():
        return number
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.argv = ["genbench", *words]
    code = 1
    try:
        genbench_main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.stdout.flush()
        os._exit(code)


def undisturbed(job: Job, folder: Path) -> tuple[dict[str, str], float]:
    """What a calm run leaves, and how long it takes."""
    folder.mkdir(parents=True)
    start = time.monotonic()
    _, status = os.waitpid(begun(job.words(folder), folder / "log"), 0)
    if status:
        raise SystemExit(f"{job.name} does not run: {(folder / 'log').read_text()}")
    return job.left(folder), time.monotonic() - start


def waited_for(number: int, seconds: float) -> tuple[int, int]:
    """Whether a process has ended within so many seconds, and how."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(number, os.WNOHANG)
        if ended:
            return ended, status
        time.sleep(0.005)
    return os.waitpid(number, os.WNOHANG)


def disturbed(job: Job, root: Path, kills: int, drawn: random.Random) -> tuple[int, list[str]]:
    """Kill runs of a job that many times. Returns how many runs came to their end, and what was
    wrong with them."""
    expected, seconds = undisturbed(job, root / "calm")
    wrong, finished, done, folder = [], 0, 0, root / "0"
    while done < kills:
        folder.mkdir(parents=True, exist_ok=True)
        number = begun(job.words(folder), folder / "log")
        ended, status = waited_for(number, drawn.uniform(0, seconds))
        if not ended:
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            done += 1
            continue
        finished += 1
        found = job.left(folder)
        if status:
            wrong.append(f"{folder}: {(folder / 'log').read_text()[-300:]}")
        elif found != expected:
            wrong.append(f"{folder}: {json.dumps(found)} instead of {json.dumps(expected)}")
        else:
            shutil.rmtree(folder)
        folder = root / str(finished)
    return finished, wrong


def main() -> None:
    """Run every job, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", choices=[job.name for job in JOBS], help="one command alone")
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="genbench-kills-"))
    faults = []
    for job in (job for job in JOBS if asked.job in (None, job.name)):
        drawn = random.Random(f"{asked.seed} {job.name}")
        finished, wrong = disturbed(job, root / job.name, asked.kills, drawn)
        print(f"{job.name}: killed {asked.kills} times; {finished} runs came to their end, "
              f"{len(wrong)} of them with other bits or an error")  # fmt: skip
        faults += wrong
    for fault in faults:
        print(fault)
    if faults:
        raise SystemExit(1)
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
