"""A disk that fills while genbench writes: one line, nothing finished lost, and on it goes later.

    python benchmarks/full_disk.py        # as root, or where `unshare` gives a user's own mounts

Each command runs on a tmpfs of a few sizes, then again after the disk has grown: it must end like a
run on a disk with room, and everything that failed must have said so in one line. Prints what was
found; exits 1 when anything is otherwise.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from kills import TRAINING, fid_left, train_left

from genbench.images.opening import open_image_set

SIZES = ("64k", "256k", "1m", "3m", "6m")
ROOM = "400m"
OFFLINE = ("--protocol", "bundled", "--device", "cpu")


def commands(folder: Path) -> dict[str, list[str]]:
    """Every command that writes, into a folder."""
    (folder.parent / "recipe.toml").write_text(TRAINING)
    cache = ("--cache", str(folder / "cache"))
    records = ("--records", str(folder / "records.jsonl"))
    return {
        "fid": ["fid", "--model", "hit", "--res", "32", "-n", "600", *OFFLINE, *cache, *records,
                "--ref", "bundled[:600]", "--metric", "fd", "--metric", "recall"],
        "sample": ["sample", "--model", "toy", "--res", "32", "-n", "700", *cache,
                   "--out", str(folder / "samples.npz")],
        "grid": ["sample", "--model", "toy", "-n", "64", *cache, "--out", str(folder / "g.png")],
        "ref": ["ref", "bundled[:300]", "--detector", "efficientnet-lite0", *cache,
                "--out", str(folder / "ref.npz"), "--device", "cpu"],
        "train": ["train", "hit", "--config", str(folder.parent / "recipe.toml"), "--data",
                  "bundled[:50]", "--out", str(folder / "run"), "--steps", "10", "--device", "cpu"],
        "table": ["table", "bundled", "--out", str(folder / "bundled.md")],
        "report": ["report", "--out", str(folder / "report.html"), *cache],
    }  # fmt: skip


def result(name: str, folder: Path) -> object:
    """What a finished command leaves, comparable between folders."""
    if name == "fid":
        return fid_left(folder)
    if name == "train":
        return train_left(folder)
    if name in ("sample", "ref"):
        path = folder / ("samples.npz" if name == "sample" else "ref.npz")
        return open_image_set(str(path)).digest()
    return True


def genbench(words: list[str]) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "genbench", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def tried(name: str, size: str, root: Path, expected: object) -> str:
    """What is wrong with a command on a disk of a size that grows later; empty for nothing."""
    disk = root / f"{name}-{size}" / "disk"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)], check=True)
    try:
        words = commands(disk)[name]
        first = genbench(words)
        lines = [line for line in first.stderr.splitlines() if line.startswith("error: ")]
        if first.returncode and len(lines) != 1:
            return f"ended with {first.returncode} and said {first.stderr[-500:]!r}"
        if "Traceback" in first.stderr:
            return f"a traceback: {first.stderr[-500:]!r}"
        said = lines[0] if lines else "fits"
        grow = ["mount", "-o", f"remount,size={ROOM}", str(disk)]
        subprocess.run(grow, check=True)
        again = genbench(words)
        if again.returncode:
            return f"does not go on: {again.stderr[-500:]!r}"
        if (found := result(name, disk)) != expected:
            return f"left {found} instead of {expected}"
        print(f"{name:8} on {size:>5}: {said[:150]}", flush=True)
        return ""
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def main() -> None:
    """Try every command on every size."""
    if os.geteuid() != 0:
        words = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, __file__]
        raise SystemExit(subprocess.run(words).returncode)
    faults = []
    with tempfile.TemporaryDirectory(prefix="genbench-disk-") as folder:
        root = Path(folder)
        calm = root / "calm" / "disk"
        calm.mkdir(parents=True)
        for name, words in commands(calm).items():
            run = genbench(words)
            if run.returncode:
                raise SystemExit(f"{name} does not run: {run.stderr}")
            expected = result(name, calm)
            wrong = {size: tried(name, size, root, expected) for size in SIZES}
            faults += [f"{name} on {size}: {what}" for size, what in wrong.items() if what]
    for fault in faults:
        print(fault)
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
