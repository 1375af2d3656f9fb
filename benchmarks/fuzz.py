"""Damaged files for every reader that genbench has: each is read, or refused in one line.

    python benchmarks/fuzz.py --seed 0 --files 100000 [--reader NAME …] [--seconds S]
    python benchmarks/fuzz.py --reader NAME --replay FILE

Findings are tracebacks, refusals of several lines, reads over 10 s or 1 GiB, and anything of a file
that was run. An example of each is written to --out; the exit code is 1 when there are any. File i
of a reader depends on the seed, the reader and i alone.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "support")]


@dataclass
class Tally:
    """What became of a reader's files. findings: by kind, the numbers of the files."""

    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    findings: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    details: dict[str, str] = field(default_factory=dict)

    @property
    def found(self) -> int:
        """Files with findings."""
        return sum(map(len, self.findings.values()))

    @property
    def tried(self) -> int:
        """Files read."""
        return self.accepted + self.refused + self.found

    def add(self, kind: str, number: int, details: str) -> None:
        """Count a finding."""
        self.findings[kind].append(number)
        self.details.setdefault(kind, details)


def fuzz(
    names: Sequence[str], *, seed: int, files: int, seconds: float = float("inf"), first: int = 0
) -> dict[str, Tally]:
    """Read damaged files first … files-1 of each reader of `names`, in turns, while time allows."""
    tallies = {name: Tally() for name in names}
    spans = {name: (first, files) for name in names if files > first}
    end = time.monotonic() + seconds
    while spans and time.monotonic() < end:
        with TemporaryDirectory() as folder:
            spans = _one_worker(Path(folder), seed, spans, tallies, end)
    return tallies


def environment(folder: Path) -> dict[str, str]:
    """Of a worker: this genbench, a cache of its own, one thread."""
    paths = [ROOT, ROOT / "adapters", ROOT / "benchmarks", ROOT / "tests" / "support"]
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "GENBENCH_CACHE": str(folder / "cache"),
    }


def _one_worker(
    folder: Path, seed: int, spans: dict[str, tuple[int, int]], tallies: dict[str, Tally],
    end: float,
) -> dict[str, tuple[int, int]]:  # fmt: skip
    """What one process reads before it is done, out of time, or dead; returns what is left."""
    (folder / "state").write_bytes(struct.pack("<qq", -1, -1))
    words = [str(word) for name, span in spans.items() for word in (name, *span)]
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz_worker.py"), str(folder), str(seed)]
    with (folder / "stderr").open("w+") as told, subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=told, env=environment(folder)
    ) as process:  # fmt: skip
        assert process.stdout is not None
        left, pending = dict(spans), b""
        while time.monotonic() < end:
            if not select.select([process.stdout], [], [], 1.0)[0]:
                continue
            block = os.read(process.stdout.fileno(), 1 << 16)
            if not block:
                break
            *lines, pending = (pending + block).split(b"\n")
            for line in lines:
                _take(json.loads(line), left, tallies)
        else:
            process.kill()
            return {}
        if process.wait() and left:
            told.seek(0)
            _mourn(folder, told.read(), left, tallies)
    return {name: span for name, span in left.items() if span[0] < span[1]}


def _take(
    told: dict[str, Any], left: dict[str, tuple[int, int]], tallies: dict[str, Tally]
) -> None:
    tally = tallies[told["reader"]]
    if "kind" in told:
        tally.add(told["kind"], told["number"], told["details"])
        return
    tally.accepted += told["accepted"]
    tally.refused += told["refused"]
    tally.seconds += told["seconds"]
    left[told["reader"]] = (told["stop"], left[told["reader"]][1])
    if told["stop"] >= left[told["reader"]][1]:
        del left[told["reader"]]


def _mourn(
    folder: Path, last: str, left: dict[str, tuple[int, int]], tallies: dict[str, Tally]
) -> None:
    """A process died of the file that its state names: that is a finding, and it is passed over."""
    from fuzz_readers import READERS

    index, number = struct.unpack("<qq", (folder / "state").read_bytes())
    if index < 0:
        raise SystemExit(f"the worker died before its first file:\n{last}")
    name = list(READERS)[index]
    own = [line.strip() for line in last.splitlines() if f"{ROOT}/" in line and "/fuzz" not in line]
    how = "hung" if "Timeout" in last else "died"
    place = own[0].replace(f"{ROOT}/", "") if own else "?"
    tallies[name].add(f"{how} at {place}", number, last[-4000:])
    # The files of its group before that one were read, but nobody heard of them: count them here.
    tallies[name].refused += number - left[name][0]
    left[name] = (number + 1, left[name][1])


def report(tallies: dict[str, Tally], seed: int, out: Path) -> int:
    """Print what became of the files, and write an example of each finding; returns how many."""
    from fuzz_readers import READERS
    from fuzz_worker import damaged_file

    print(
        f"{'reader':16} {'files':>8} {'accepted':>8} {'refused':>8} {'findings':>8} {'a second':>8}"
    )
    for name, tally in tallies.items():
        rate = f"{tally.tried / tally.seconds:8.0f}" if tally.seconds else ""
        print(
            f"{name:16} {tally.tried:8} {tally.accepted:8} {tally.refused:8} {tally.found:8} {rate}"
        )
    total = 0
    for name, tally in tallies.items():
        for kind, numbers in tally.findings.items():
            total += 1
            reader = READERS[name]
            content = damaged_file(reader, list(reader.valid()), seed, numbers[0])
            path = out / f"{name}-{seed}-{numbers[0]}{Path(reader.file).suffix}"
            out.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.with_suffix(".txt").write_text(f"{kind}\n{tally.details[kind]}\n")
            print(f"{name}: {kind}: {len(numbers)} files, such as {path}")
    print(f"{sum(tally.tried for tally in tallies.values())} files, {total} kinds of findings")
    return total


def replay(name: str, path: Path) -> None:
    """Read one file as the worker does, its traceback and all."""
    from fuzz_readers import READERS

    with TemporaryDirectory() as folder:
        reader = READERS[name]
        copy = Path(folder, reader.file)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
        for beside, content in reader.beside().items():
            if beside != reader.file:
                Path(folder, beside).write_bytes(content)
        print(reader.read(copy))


def main() -> None:
    from fuzz_readers import READERS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=100_000, help="in all, shared by the readers")
    parser.add_argument("--first", type=int, default=0, help="number of each reader's first file")
    parser.add_argument("--reader", action="append", choices=READERS, help="only this one")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--replay", type=Path, help="read this file alone, with --reader")
    given = parser.parse_args()
    names = given.reader or list(READERS)
    if given.replay:
        replay(names[0], given.replay)
        return
    each = -(-given.files // len(names))
    tallies = fuzz(
        names, seed=given.seed, first=given.first, files=given.first + each, seconds=given.seconds
    )
    sys.exit(1 if report(tallies, given.seed, given.out) else 0)


if __name__ == "__main__":
    main()
