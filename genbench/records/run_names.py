"""The names that users give to runs."""

from __future__ import annotations

import re

from genbench.errors import UsageError

_LONGEST = 100  # characters


def run_name(given: str) -> str:
    """A run's name as it is kept: one line, or empty for none. Raises UsageError for one that could
    not be shown, or not be told from a path or a run's id."""
    name = " ".join(given.split())
    if given and not name:
        raise UsageError("a run's --name is blank: give letters, or leave it out")
    if not name.isprintable() or len(name) > _LONGEST:
        raise UsageError(
            f"the run's --name {ascii(name)[:40]} cannot be shown: at most {_LONGEST} characters, "
            "none that controls a terminal"
        )
    if "/" in name or re.fullmatch("[0-9a-f]{12}", name):
        raise UsageError(f"the run's --name {name} looks like a path or a run's id: choose another")
    return name
