"""The first ten minutes on a GPU: what genbench promises of one, looked at in one command.

python benchmarks/on_a_gpu.py --output FOLDER     about ten minutes on an H100; random weights
python benchmarks/on_a_gpu.py --output FOLDER --device cpu --tiny     whether the script runs

Every part is timed and guarded: one that fails says so in a line, and the rest go on; one that
the budget has no time for is left out. Each is a line of FOLDER/results.jsonl, written at once.
Nothing resets or reconfigures the device.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from gpu_parts import PARTS
from gpu_timing import Place

Part = Callable[[Place], dict[str, Any]]


def main() -> int:
    """1 where a part failed."""
    asked = argparse.ArgumentParser(description="The first ten minutes on a GPU.")
    asked.add_argument("--output", type=Path, required=True, help="folder of the results")
    asked.add_argument("--device", default="cuda", help="cuda (default), cuda:1 or cpu")
    asked.add_argument("--budget", type=float, default=600.0, help="seconds in all (600)")
    asked.add_argument("--tiny", action="store_true", help="tiny sizes: whether the script runs")
    asked.add_argument("--only", nargs="+", choices=PARTS, help="these parts alone")
    given = asked.parse_args()
    place = Place(torch.device(given.device), given.output, given.tiny)
    if place.device.type == "cuda" and not torch.cuda.is_available():
        print("torch sees no GPU: pass --device cpu --tiny to try the script", file=sys.stderr)
        return 2
    given.output.mkdir(parents=True, exist_ok=True)
    wanted = {name: PARTS[name] for name in given.only or PARTS}
    failed = False
    with (given.output / "results.jsonl").open("a", encoding="utf-8") as file:
        for line in lines(wanted, place, given.budget):
            failed |= "failed" in line
            text = json.dumps(line, default=str)
            file.write(text + "\n")
            file.flush()
            print(text, flush=True)
    return int(failed)


def lines(parts: Mapping[str, Part], place: Place, budget: float) -> Iterator[dict[str, Any]]:
    """What each part found, or why it did not; none outlives the budget, in seconds."""
    end = time.monotonic() + budget
    for name, part in parts.items():
        begin = time.monotonic()
        if begin >= end:
            yield {"part": name, "left out": "no time left in the budget"}
            continue
        line: dict[str, Any] = {"part": name}
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            try:
                with _ending(end - begin):
                    line["found"] = part(place)
                if status := line["found"].get("exit"):
                    line["failed"] = f"exit status {status}"
            except Exception as error:
                said = str(error).strip().partition("\n")[0]
                line["failed"] = f"{type(error).__name__}: {said}"
        line["seconds"] = round(time.monotonic() - begin, 2)
        if told:
            line["warnings"] = sorted({str(item.message) for item in told})
        yield line
        if place.device.type == "cuda":
            torch.cuda.empty_cache()


@contextmanager
def _ending(seconds: float) -> Iterator[None]:
    """TimeoutError in what takes longer, as soon as Python has the word again."""

    def ring(*_: object) -> None:
        raise TimeoutError("the budget ended within this part")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    sys.exit(main())
