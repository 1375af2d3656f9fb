"""Checkpoints in a folder: which there are, in which order, and which are still being written."""

from __future__ import annotations

import glob
import json
import os
import re
import struct
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genbench.runtime.files import TEMPORARY

WEIGHTS = frozenset({".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".pkl", ".onnx", ".pt2"})
PICTURES = frozenset({".npz", ".zip"})
SETTLED = 10.0  # seconds that a file must stand still which does not say how long it is
# What trainings write beside weights: looked for in no folder, taken where it is named.
_NO_WEIGHTS = re.compile(
    r"(state|optim|sched|scaler|rng|random_states|training_|trainer_|dataloader)", re.IGNORECASE
)
_STEP = re.compile(r"(?:steps?|iter(?:ation)?s?|kimg)[=_-]?(\d+)", re.IGNORECASE)
_FOLDER = re.compile(r"(?:checkpoint|ckpt|steps?|iter(?:ation)?s?)[=_-]?(\d+)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<!\d)(?<!\d\.)\d+(?!\d|\.\d)")  # whole, and no part of a fraction
_LONGEST_HEADER = 100 << 20  # bytes, of a .safetensors file: the format's own limit
Stamp = tuple[int, int, int]  # files, bytes, and the latest change in nanoseconds


@dataclass(frozen=True)
class Arrival:
    """A checkpoint: a file, or a folder of them. step: of its name; None where it has none."""

    path: Path
    step: int | None
    stamp: Stamp

    @property
    def order(self) -> tuple[bool, int, int, str]:
        """By step; behind those with one, the others by their last change."""
        return (self.step is None, self.step or 0, self.stamp[2], str(self.path))


def step_of(path: Path) -> int | None:
    """The training step that a name tells: the number behind "step" or "iter", else the last whole
    number; for a file without one that of its folder, if it is called as one checkpoint's is
    ("checkpoint-500"). None where neither tells."""
    stem = path.name if path.is_dir() else path.stem
    told = _STEP.findall(stem) or _NUMBER.findall(stem) or _FOLDER.findall(path.parent.name)
    return int(told[-1]) if told else None


def arrivals(words: Sequence[str], suffixes: frozenset[str]) -> list[Arrival]:
    """What files, folders and patterns hold by now, in the order of the training. suffixes: of the
    files that are meant; a folder in a folder counts where it holds such files, or pictures."""
    paths: dict[Path, None] = {}
    for word in words:
        path = Path(word)
        if path.is_dir():
            paths |= dict.fromkeys(_within(path, suffixes))
        elif path.exists():
            paths[path] = None
        else:
            paths |= {Path(name): None for name in glob.glob(word, recursive=True)}
    found = []
    for path in paths:
        if not path.name.endswith(TEMPORARY) and (stamp := _stamp(path)):
            found.append(Arrival(path, step_of(path), stamp))
    return sorted(found, key=lambda arrival: arrival.order)


def _within(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    pictures = suffixes == PICTURES
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if pictures or any(item.suffix in suffixes for item in entry.iterdir()):
                yield entry
        elif entry.suffix.lower() in suffixes and (pictures or not _NO_WEIGHTS.match(entry.name)):
            yield entry


def _stamp(path: Path) -> Stamp | None:
    """What changes when a checkpoint does; None for one that is gone by now, or empty."""
    try:
        told = [item.stat() for item in _files(path)]
    except FileNotFoundError:
        return None
    if not told:
        return None
    return len(told), sum(item.st_size for item in told), max(item.st_mtime_ns for item in told)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [Path(base) / name for base, _, names in os.walk(path) for name in names]


@dataclass
class Settling:
    """Tells checkpoints that are whole from those that are still being written."""

    clock: Callable[[], float] = time.time
    _seen: dict[Path, tuple[Stamp, float]] = field(default_factory=dict)

    def whole(self, arrival: Arrival) -> bool:
        """Whether nothing more comes: by the file's own account (.safetensors, zip), else since it
        has stood still for SETTLED seconds, by its date or by what was seen of it."""
        files = _files(arrival.path)
        if len(files) == 1 and _says_whole(files[0]):
            return True
        now = self.clock()
        stamp, since = self._seen.get(arrival.path, (None, now))
        if stamp != arrival.stamp:
            since = now
        self._seen[arrival.path] = arrival.stamp, since
        return now - min(since, arrival.stamp[2] / 1e9) >= SETTLED


def _says_whole(path: Path) -> bool:
    """Whether a file says how long it is, and is: the header of .safetensors, written first, names
    its end, and the directory of a zip (.npz, torch.save) is written last."""
    try:
        if path.suffix != ".safetensors":
            return zipfile.is_zipfile(path)
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LONGEST_HEADER:
                return False
            header = json.loads(file.read(length))
        ends = [held["data_offsets"][1] for name, held in header.items() if name != "__metadata__"]
        return bool(path.stat().st_size == 8 + length + max(ends, default=0))
    except (
        OSError, ValueError, struct.error, KeyError, TypeError, IndexError, AttributeError,
        RecursionError,  # of brackets in brackets
    ):  # fmt: skip
        return False
