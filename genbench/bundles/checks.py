"""What a finding of `verify` is, and how near is near enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["holds", "fails", "not checked", "told"]
TOLERANCE = 1e-6  # relative: what a figure may move with the library that multiplies matrices
ELSEWHERE = 1e-3  # relative: what features computed on another machine may
MOVED = 1e-9  # relative: what moments of equal features may


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at, and what was found; "told" is no claim."""

    subject: str
    state: State
    told: str
