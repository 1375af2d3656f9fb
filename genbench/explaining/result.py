"""An explanation, in rows and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from genbench.explaining.sides import Step
from genbench.records.kinds import QualityRecord

_WIDTH = 24  # characters of the longest bar


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one step adds to the figure."""

    step: Step
    change: float


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The figure under a protocol, and how far a published number is from it."""

    protocol: str
    value: float
    rest: float  # published minus value
    chance: float | None  # half a 95% interval of the difference of two draws of samples


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The figures at both ends, what each step adds, and what was left out of the comparison.

    The parts and `rest` sum to `end.value - start.value`, but for rounding. order: "averaged" over
    all orders of the steps, or "stated": taken in the order of `parts`. candidates: nearest to the
    published number first.
    """

    metric: str
    protocols: tuple[str, str]
    start: QualityRecord
    end: QualityRecord
    parts: tuple[Part, ...]
    order: Literal["averaged", "stated"]
    rest: float = 0.0  # what no step accounts for
    left_out: tuple[str, ...] = ()
    published: float | None = None
    candidates: tuple[Candidate, ...] = ()
    foreign: str = ""  # the detector in the place of the protocols', if there is one

    def __str__(self) -> str:
        rows = waterfall_rows(self)
        widths = [max(len(row[name]) for row in rows) for name in rows[0]]
        lines = ["  ".join(f"{text:{width}}" for text, width in zip(row.values(), widths,
                 strict=True)).rstrip() for row in rows]  # fmt: skip
        return "\n".join([*lines, *in_words(self)])


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of a waterfall. begin, stop: where its bar reaches from and to. change: what it
    adds; None for an end of the waterfall, whose bar begins at zero."""

    title: str
    begin: float
    stop: float
    change: float | None = None


def bars(explanation: Explanation) -> Iterator[Bar]:
    """The start, each part on top of those before it, and the end."""
    at = explanation.start.value
    first, last = explanation.protocols
    yield Bar(title=first, begin=0.0, stop=at)
    changes = [(str(part.step), part.change) for part in explanation.parts]
    if explanation.rest:
        changes.append(("not attributed", explanation.rest))
    for title, change in changes:
        yield Bar(title=title, begin=at, stop=at + change, change=change)
        at += change
    yield Bar(title=last, begin=0.0, stop=explanation.end.value)


def waterfall_rows(explanation: Explanation) -> list[dict[str, str]]:
    """The waterfall as rows of a table: each step, what it adds, the figure then, and a bar."""
    lines = list(bars(explanation))
    largest = max((abs(bar.change or 0.0) for bar in lines), default=0.0)
    rows = []
    for bar in lines:
        share = 0 if not largest else round(_WIDTH * abs(bar.change or 0.0) / largest)
        rows.append({
            "step": bar.title,
            "change": "" if bar.change is None else f"{bar.change:+.4g}",
            explanation.metric.upper(): f"{bar.stop:.6g}",
            "": ("+" if (bar.change or 0.0) > 0 else "-") * share,
        })  # fmt: skip
    return rows


def in_words(explanation: Explanation) -> Iterator[str]:
    """What a reader must know beside the waterfall."""
    start, end = explanation.start, explanation.end
    if len(explanation.parts) > 1:
        averaged = "each step's change is its average over all orders of the steps (Shapley)"
        stated = "the steps are taken in this order; another order would share the change otherwise"
        yield averaged if explanation.order == "averaged" else stated
    if not explanation.parts:
        yield f"nothing that moves {explanation.metric} differs between the two, as measured here"
    for line in explanation.left_out:
        yield f"left out: {line}"
    for note in dict.fromkeys((*start.notes, *end.notes)):
        yield f"note: {note}"
    if explanation.published is None or not explanation.candidates:
        return
    yield f"published {explanation.published:g}; these samples under each protocol that is here:"
    for one in explanation.candidates:
        yield f"  {one.protocol}: {one.value:.6g} ({one.rest:+.4g} to the published)"
    if explanation.foreign:
        yield (
            f"published numbers are of other networks than {explanation.foreign}, so none comes "
            "near to one or far from it: only the order of these means something"
        )
        return
    nearest = explanation.candidates[0]
    names = [one.protocol for one in explanation.candidates if one.value == nearest.value]
    told = f"{' and '.join(names)} come{'s' * (len(names) == 1)} nearest: "
    told += f"{abs(nearest.rest):.4g} away"
    if nearest.chance is None:
        yield f"{told}; the metric has no interval, so chance is not known"
    elif abs(nearest.rest) <= nearest.chance:
        yield (
            f"{told}, which chance alone explains (two draws of samples differ by up to "
            f"{nearest.chance:.3g}, 95%)"
        )
    else:
        yield f"{told}; chance explains up to {nearest.chance:.3g} of that (95%)"
