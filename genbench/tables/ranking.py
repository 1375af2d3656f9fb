"""Who is best among figures that compare, as far as chance leaves it open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from genbench.records.comparability import incomparable
from genbench.records.kinds import Record
from genbench.tables.comparison import compared

# best: better than every other by more than chance explains; tied: nobody is shown to be better, or
# the difference from the best may be chance; empty: worse, or nobody knows for want of an interval.
Standing = Literal["best", "tied", ""]
TIED_MARK = "="
TIED = "the best, or no further from it than chance explains"


def standings(records: Sequence[Record | None], *, higher: bool) -> list[Standing]:
    """How each of one column's records stands, by its interval and the best one's (`compare`).

    higher: whether higher is better. A None has no part in it, and one record alone no rival.
    """
    found = [record for record in records if record is not None]
    if len(found) < 2:
        return ["" for _ in records]
    lead = (max if higher else min)(found, key=lambda record: record.value)
    larger = {id(record): _larger(lead, record) for record in found if record is not lead}
    verdicts = set(larger.values())
    first: Standing = "tied" if False in verdicts else "" if None in verdicts else "best"
    return [
        first if record is lead else "tied" if record and larger[id(record)] is False else ""
        for record in records
    ]


def _larger(lead: Record, record: Record) -> bool | None:
    """Whether their difference is larger than chance explains; None when nobody can say."""
    if (lead.metric, lead.samples) != (record.metric, record.samples) and lead.kind == "quality":
        return None
    return None if incomparable(lead, record) else compared(lead, record).larger
