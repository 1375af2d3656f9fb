"""What goes wrong, in one line with the remedy; and the nearest name to a misspelt one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_STEERING = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")


class GenbenchError(Exception):
    """What went wrong and what to do next, in one line; the command line prints it and exits."""

    exit_code = 1

    def __init__(self, text: str = "") -> None:
        # What a file is called, or holds, may break the line or steer the terminal.
        super().__init__(_STEERING.sub(lambda found: ascii(found[0])[1:-1], text))


class UsageError(GenbenchError):
    """The command was called in a way that cannot work, whatever the files hold."""

    exit_code = 2


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "did you mean X?" for a misspelt name, followed by every known one."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return (f"did you mean {near[0]}? " if near else "") + f"known: {', '.join(names) or 'none'}"
