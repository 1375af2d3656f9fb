"""C++ of this project, compiled for the processor it runs on."""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_SECONDS = 60.0  # a compiler has


def compiler() -> list[str]:
    """The words that call the C++ compiler: CXX, or else the system's own, there or not."""
    usual = "clang++" if sys.platform == "darwin" else "g++"
    return shlex.split(os.environ.get("CXX", "")) or [usual]


def has_compiler() -> bool:
    """Whether there is a C++ compiler to call."""
    return shutil.which(compiler()[0]) is not None


def compiled(source: Path) -> ctypes.CDLL:
    """A source file's functions, made for this very processor and this process alone: machines
    that share a folder need not share their instructions.

    Raises OSError or RuntimeError where it cannot be compiled or loaded.
    """
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library.so"
        native = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
        words = [*compiler(), "-O3", native, "-shared", "-fPIC", "-o", str(library), str(source)]
        run = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS)
        if run.returncode != 0:
            said = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
            telling = [line for line in said if "error" in line]
            raise RuntimeError(f"{words[0]}: {(telling or said)[0].strip()}")
        return ctypes.CDLL(str(library))
