"""Several files by one name: data-{000..003}.tar, data-*.tar, or one file as it is."""

from __future__ import annotations

import re
from glob import glob
from pathlib import Path

from genbench.errors import UsageError

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_CHOICE = re.compile(r"\{([^{}]+,[^{}]*)\}")
_WILD = re.compile(r"[*?]")  # brackets are parts of names: SET[a:b] cuts a set
_MOST = 1_000_000  # names that a range may make


def is_pattern(spec: str) -> bool:
    """Whether a name stands for several files."""
    return any(form.search(spec) for form in (_RANGE, _CHOICE, _WILD))


def files_of(spec: str) -> list[Path]:
    """The files of a pattern: those of a range or choice in its order, those of * and ? sorted.

    Raises UsageError naming the first one that is missing, and for a pattern that fits nothing.
    """
    found: list[Path] = []
    for name in _expanded(spec):
        if _WILD.search(name):
            found += map(Path, sorted(glob(name.replace("[", "[[]"), recursive=True)))
        else:
            found.append(Path(name))
    files = [path for path in dict.fromkeys(found) if not path.is_dir()]
    if not files:
        raise UsageError(f"{spec} fits no file: check the pattern")
    for path in files:
        if not path.exists():
            raise UsageError(f"{path} of {spec} is missing: copy it, or correct the pattern")
    return files


def _expanded(spec: str) -> list[str]:
    """A name's braces written out, from left to right, as a shell does."""
    if ranged := _RANGE.search(spec):
        low, high = ranged[1], ranged[2]
        first, last = int(low), int(high)
        if abs(last - first) >= _MOST:
            raise UsageError(f"{spec} stands for {abs(last - first) + 1} files: shorten the range")
        width = max(len(low), len(high)) if low.startswith("0") or high.startswith("0") else 0
        step = 1 if last >= first else -1
        words = [str(number).zfill(width) for number in range(first, last + step, step)]
    elif ranged := _CHOICE.search(spec):
        words = ranged[1].split(",")
    else:
        return [spec]
    names: list[str] = []
    for word in words:
        names += _expanded(spec[: ranged.start()] + word + spec[ranged.end() :])
        if len(names) > _MOST:
            raise UsageError(f"{spec} stands for over {_MOST} files: shorten its ranges")
    return names
