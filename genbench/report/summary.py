"""How much was measured, in a line."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.records.kinds import Record


def subtitle(records: Sequence[Record]) -> str:
    """How much was measured, and when: "3 models, 4 runs, 20 figures, measured 2026-11-28"."""
    if not records:
        return "nothing was measured yet"
    days = sorted(record.created[:10] for record in records if record.created)
    models = len({record.model for record in records if record.card})
    others = len({record.model for record in records if not record.card})
    runs = len({record.run for record in records})
    when = f", measured {days[0]}" if days else ""
    until = f" to {days[-1]}" if days and days[-1] != days[0] else ""
    figures = counted(len(records), "figure")
    subjects = ((models, "model"), (others, "set of images"), (runs, "run"))
    told = [counted(*pair) for pair in subjects if pair[0]]
    return ", ".join([*told, figures]) + when + until


def counted(number: int, name: str) -> str:
    """ "1 run", "2,000 runs", "2 sets of images"."""
    first, *rest = name.split(" ")
    return " ".join([f"{number:,}", first + "s" * (number != 1), *rest])
