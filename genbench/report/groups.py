"""Which figures of quality compare: those of one protocol, detector, reference and count."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genbench.metrics.metric import Metric
from genbench.records.comparability import ROUNDING
from genbench.records.kinds import QualityRecord, Record
from genbench.report.curves import quality_records
from genbench.report.looks import subject_of


@dataclass
class Group:
    """Subjects whose figures compare. compared: what they share beside the count. subjects: of each
    its latest figure by metric."""

    compared: Hashable
    samples: int
    subjects: dict[tuple[Any, ...], dict[str, QualityRecord]] = field(default_factory=dict)

    @property
    def records(self) -> Iterator[QualityRecord]:
        """All figures of the group."""
        return (record for found in self.subjects.values() for record in found.values())

    @property
    def one(self) -> QualityRecord:
        """A figure that says what all share: one with a reference, where there is one."""
        return next((item for item in self.records if item.reference), next(self.records))


def comparable_groups(records: Sequence[Record]) -> list[Group]:
    """Every group, in the order of their first figures with a reference, then of the others.

    A score without a reference stands beside every figure of its subject at its count.
    """
    found: dict[Hashable, Group] = {}
    references: dict[Hashable, dict[str, None]] = {}
    quality = list(quality_records(records))
    for record in quality:
        if record.reference:
            references.setdefault(_own(record), {})[record.reference_digest] = None
            _add(found, record, record.reference_digest)
    for record in quality:
        if not record.reference:
            for digest in references.get(_own(record), {record.reference_digest: None}):
                _add(found, record, digest)
    return list(found.values())


def best_first(
    subjects: Sequence[dict[str, QualityRecord]], metrics: Mapping[str, Metric]
) -> list[dict[str, QualityRecord]]:
    """The subjects by the first metric that one of them has; those without it last."""
    there = {metric for found in subjects for metric in found}
    key = next((key for key in metrics if key in there), "")

    def rank(found: Mapping[str, QualityRecord]) -> tuple[bool, float]:
        if key not in found:
            return (True, 0.0)
        value = found[key].value
        return (False, -value if metrics[key].higher_is_better else value)

    return sorted(subjects, key=rank)


def _add(found: dict[Hashable, Group], record: QualityRecord, reference: str) -> None:
    compared = (record.protocol_digest, _detector(record), reference)
    group = found.setdefault((compared, record.samples), Group(compared, record.samples))
    group.subjects.setdefault(subject_of(record), {})[record.metric] = record


def _own(record: QualityRecord) -> tuple[Any, ...]:
    return (record.protocol_digest, record.samples, subject_of(record), _detector(record))


def _detector(record: QualityRecord) -> tuple[Any, ...]:
    told = {key: text for key, text in record.detector_identity.items() if key not in ROUNDING}
    return (record.detector, tuple(sorted(told.items())))
