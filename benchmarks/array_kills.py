"""Kill -9 at random moments of the tasks of `genbench fid --shard`, until each array has finished.

    python benchmarks/array_kills.py --kills 100 --seed 0 [--mode pull]

The tasks of an array run at once on one cache; a killed one is started again. When all have ended
well, `genbench merge` must give, bit for bit, the figures of one `genbench fid` that nobody
disturbed. Prints what was found; exits 1 when anything differs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from kills import begun, fid_left

WORDS = (
    *("--model", "toy", "--res", "32", "-n", "1400", "--protocol", "bundled", "--device", "cpu"),
    *("--ref", "bundled[:700]", "--metric", "fd", "--metric", "recall"),
)


def words(command: str, folder: Path) -> list[str]:
    """A command of this job in a folder."""
    places = ("--cache", str(folder / "cache"), "--records", str(folder / "records.jsonl"))
    return [command, *WORDS, *places]


def ended_well(command: list[str], folder: Path) -> str:
    """Run a command to its end; what it printed where it failed, else nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    _, status = os.waitpid(begun(command, folder / "log"), 0)
    return (folder / "log").read_text() if status else ""


def array(folder: Path, shares: list[str], kills: int, drawn: random.Random, seconds: float) -> int:
    """Run an array to its end and kill its tasks at random, at most so often; how often. Raises
    RuntimeError for a task that fails by itself."""
    folder.mkdir(parents=True)
    done = 0

    def start(task: int) -> tuple[int, float]:
        command = [*words("fid", folder), "--shard", shares[task]]
        return begun(command, folder / f"log-{task}"), time.monotonic() + drawn.uniform(0, seconds)

    running = {task: start(task) for task in range(len(shares))}
    while running:
        time.sleep(0.005)
        for task, (number, until) in list(running.items()):
            ended, status = os.waitpid(number, os.WNOHANG)
            if ended and status:
                raise RuntimeError((folder / f"log-{task}").read_text())
            if ended:
                del running[task]
            elif done < kills and time.monotonic() > until:
                os.kill(number, signal.SIGKILL)
                os.waitpid(number, 0)
                done += 1
                running[task] = start(task)
    return done


def main() -> None:
    """Run arrays until there were kills enough, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("--mode", choices=("array", "pull"), default="array")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="genbench-array-"))
    drawn = random.Random(asked.seed)
    shares = [f"{task + 1}/{asked.tasks}" if asked.mode == "array" else "pull"
              for task in range(asked.tasks)]  # fmt: skip
    began = time.monotonic()
    if told := ended_well(words("fid", root / "calm"), root / "calm"):
        raise SystemExit(told)
    seconds, expected = time.monotonic() - began, fid_left(root / "calm")
    kills, arrays, faults = 0, 0, list[str]()
    while kills < asked.kills:
        folder = root / str(arrays)
        kills += array(folder, shares, asked.kills - kills, drawn, seconds)
        told, arrays = ended_well(words("merge", folder), folder), arrays + 1
        if told or fid_left(folder) != expected:
            faults.append(told or f"{folder}: {fid_left(folder)} instead of {expected}")
        else:
            shutil.rmtree(folder)
        print(f"{kills} kills in {arrays} arrays", file=sys.stderr)
    print(f"{asked.mode}: {kills} kills of {asked.tasks} tasks in {arrays} arrays, "
          f"{len(faults)} merged to other figures or an error")  # fmt: skip
    for fault in faults:
        print(fault)
    if faults:
        raise SystemExit(1)
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
