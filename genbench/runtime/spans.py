"""Long ranges cut into pieces."""

from __future__ import annotations


def spans(start: int, stop: int, size: int) -> list[tuple[int, int]]:
    """[start, stop) cut into pieces [first, last) of `size`; the last one may be shorter."""
    return [(first, min(first + size, stop)) for first in range(start, stop, size)]
