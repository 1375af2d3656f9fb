"""How many processors this process may use."""

from __future__ import annotations

import os


def usable_processors() -> int:
    """Those the system lets it run on, where the system says; else those that there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
