"""C++ of this project, compiled for the processor it runs on."""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

_SECONDS = 20.0  # a compiler has, for a fraction of one
# After the words of CXX, which may ask for other arithmetic or for a runtime that is not here.
_ROUNDED = ("-ffp-contract=off", "-fno-fast-math", "-fno-sanitize=all")


def compiler() -> list[str]:
    """The words that call the C++ compiler: CXX, or else the system's own, there or not."""
    usual = "clang++" if sys.platform == "darwin" else "g++"
    told = os.environ.get("CXX", "")
    try:
        return shlex.split(told) or [usual]
    except ValueError:  # a quote that does not end
        return [told]


def has_compiler() -> bool:
    """Whether there is a C++ compiler to call."""
    return shutil.which(compiler()[0]) is not None


def compiled(source: Path) -> ctypes.CDLL:
    """A source file's functions, made for this very processor and this process alone: machines
    that share a folder need not share their instructions.

    Each operation is rounded by itself, whatever compiler it is and whatever else CXX asks of it.
    Raises OSError or RuntimeError where it cannot be compiled or loaded.
    """
    with tempfile.TemporaryDirectory() as folder:
        library, said = Path(folder) / "library.so", Path(folder) / "said"
        native = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
        words = [*compiler(), "-O3", native, *_ROUNDED, "-shared", "-fPIC"]
        with said.open("wb") as file:  # no pipe: something of the compiler's may live on
            run = subprocess.Popen(
                [*words, "-o", str(library), str(source)], stdin=subprocess.DEVNULL, stdout=file,
                stderr=file, start_new_session=True,
            )  # fmt: skip
        try:
            code = run.wait(_SECONDS)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise RuntimeError(f"{words[0]} took more than {_SECONDS:g} s") from None
            raise
        if code != 0:
            lines = said.read_text(errors="replace").strip().splitlines() or [f"exit code {code}"]
            telling = [line for line in lines if "error" in line]
            raise RuntimeError(f"{words[0]}: {(telling or lines)[0].strip()}")
        return ctypes.CDLL(str(library))
