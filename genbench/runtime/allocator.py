"""How the C library treats memory that tensors have given back, on a CPU."""

from __future__ import annotations

import ctypes
import sys

# Of malloc.h, and sizes that no tensor and no rest of a program reaches.
_TRIM, _MMAP, _ARENAS = -1, -3, -8
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Have this process keep memory that is freed, for the next tensors, where glibc manages it.

    By default glibc hands large pieces back to the system, which fills every page with zeros when
    they are wanted again a millisecond later: a seventh of a small network's time on a CPU. No
    number changes; the process stays as large as it once was. Elsewhere: nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return
    # One arena for all threads: those of single threads hand back whole heaps whatever is asked.
    for name, value in ((_TRIM, _NEVER), (_MMAP, _NEVER), (_ARENAS, 1)):
        mallopt(name, value)
