"""At how many samples figures are computed, and what is said of samples sorted by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genbench.errors import UsageError
from genbench.metrics.metric import Metric
from genbench.quality.source import Origin, in_blocks
from genbench.records.protocols import EvalProtocol
from genbench.runtime.progress import Reporter

_NAMED = 5  # classes that a note names at most


def sample_counts(
    asked: Sequence[int],
    protocol: EvalProtocol,
    have: int | None,
    reporter: Reporter,
    *,
    usual_alone: bool = False,
) -> tuple[int, ...]:
    """Sample counts in rising order: those asked for, else the protocol's and all there are.

    have: how many samples there are; None: as many as wanted. usual_alone: the protocol's counts
    need not be joined by all there are. Raises UsageError for more than there are.
    """
    wanted = tuple(sorted(set(asked)))
    if wanted and wanted[0] < 1:
        raise UsageError(f"-n {wanted[0]} is not a number of samples: pass at least 1")
    if have is None:
        return wanted or tuple(sorted(protocol.counts))
    if wanted and wanted[-1] > have:
        raise UsageError(
            f"-n {wanted[-1]} asks for more samples than the {have} there are: pass -n {have} (its "
            f"figures do not compare with figures at {wanted[-1]}) or bring more samples"
        )
    if wanted:
        return wanted
    usual = tuple(sorted(count for count in protocol.counts if count <= have))
    if have in usual or usual_alone:
        return usual or (have,)
    reporter.note(
        f"{have} samples, where protocol {protocol.name} takes "
        f"{' and '.join(map(str, protocol.counts))}: figures at {have} do not compare "
        "with figures at other counts"
    )
    return (*usual, have)


def notes_on_parts(
    source: Origin, counts: Sequence[int], reporter: Reporter
) -> Mapping[int, tuple[str, ...]]:
    """For each count below what there is, which classes the first samples of a set that is sorted
    by class are of. Told once, and for the records of that count."""
    if source.count is None or max(counts) == min(counts) == source.count:
        return {}
    labels = source.labels(0, source.count)
    if labels is None:
        for count in (count for count in counts if count < source.count):
            reporter.note(f"{source.name}: the first {count} of {source.count} images, in order")
    if labels is None or not in_blocks(labels):
        return {}
    whole = len(labels.unique())
    notes = {}
    for count in counts:
        covered = labels[:count].unique().tolist()
        if len(covered) == whole:
            continue
        named = ", ".join(map(str, covered[:_NAMED])) + ", …" * (len(covered) > _NAMED)
        step = -(-source.count // count)
        note = (
            f"{source.name} is sorted by class: its first {count} of {source.count} images are of "
            f"{len(covered)} of {whole} classes ({named}); shuffle them first, or take every "
            f"{step}th: SET[::{step}]"
        )
        reporter.note(note)
        notes[count] = (note,)
    return notes


def warn_of_order(
    source: Origin, metrics: Sequence[Metric], count: int, reporter: Reporter
) -> None:
    """Say that an Inception Score of splits that are not shuffled cannot stand samples sorted by
    class."""
    if any(metric.needs_shuffled for metric in metrics) and in_blocks(source.labels(0, count)):
        reporter.note(
            f"{source.name} is sorted by class and this protocol does not shuffle: its Inception "
            "Score is far too low; shuffle the samples before you cite it"
        )
