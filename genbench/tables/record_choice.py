"""Which figures on record stand in one table: those of one protocol that compare, or of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from genbench.errors import UsageError
from genbench.records.comparability import incomparable
from genbench.records.kinds import QualityRecord

ALL = "all"


def figures_by_protocol(
    quality: Sequence[QualityRecord], protocols: str, samples: int
) -> list[list[QualityRecord]]:
    """The figures that compare, of each protocol asked for, oldest first.

    protocols: names or digests with commas between them; "all"; empty: of the one with most models
    and checkpoints, then of most samples, then the latest. samples: 0: the count of most models.
    Raises UsageError, with what there is, for what is not on record.
    """
    if not quality:
        return []
    named: Sequence[str] = [word.strip() for word in protocols.split(",") if word.strip()]
    if named == [ALL]:
        named = list(dict.fromkeys(record.protocol_digest for record in quality))
    wanted = dict.fromkeys(named) or {"": None}
    found = [_of_protocol(quality, name, samples) for name in wanted]
    return list({group[0].protocol_digest: group for group in found}.values())


def _of_protocol(
    quality: Sequence[QualityRecord], protocol: str, samples: int
) -> list[QualityRecord]:
    groups: dict[tuple[str, int], list[QualityRecord]] = {}
    for record in reversed(quality):  # a dictionary keeps the latest first, and max the first
        of_it = protocol in ("", record.protocol, record.protocol_digest)
        if of_it and samples in (0, record.samples):
            groups.setdefault((record.protocol_digest, record.samples), []).append(record)
    if not groups:
        there = dict.fromkeys(f"{item.protocol} at {item.samples:,}" for item in quality)
        count = f" at {samples:,} samples" if samples else ""
        raise UsageError(
            f"nothing is on record of {protocol or 'any protocol'}{count}; there is: "
            f"{', '.join(there)}"
        )
    best = max(groups.values(), key=lambda group: (_models(group), group[0].samples))
    leads = leads_of(best)
    return [item for item in reversed(best) if not incomparable(leads[bool(item.reference)], item)]


def leads_of(latest: Iterable[QualityRecord]) -> dict[bool, QualityRecord]:
    """The latest figure, with a reference and without: what others must compare with."""
    leads: dict[bool, QualityRecord] = {}
    for record in latest:
        leads.setdefault(bool(record.reference), record)
    return leads


def _models(group: Iterable[QualityRecord]) -> int:
    return len({(item.model, item.card, item.checkpoint_digest, item.name) for item in group})
