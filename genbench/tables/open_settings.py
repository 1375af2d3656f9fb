"""What a row of a spec leaves open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genbench.records.kinds import Record
from genbench.tables.measured import MeasuredSelector


def settings_note(wanted: MeasuredSelector, fitting: Sequence[Record]) -> Iterator[str]:
    """A note on options that a row does not name and the records it admits differ in."""
    if wanted.sweep:  # which asks for the best of several
        return
    tried: dict[str, set[str]] = {}
    for record in fitting:
        for name, value in record.options.items():
            tried.setdefault(name, set()).add(str(value))
    several = [f"{name} {', '.join(sorted(values))}" for name, values in tried.items()
               if len(values) > 1 and name not in wanted.options]  # fmt: skip
    if several:
        yield (
            f"the latest of several settings on record ({'; '.join(several)}): the spec's row may "
            "name one under options"
        )
