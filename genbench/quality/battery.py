"""The encoders by which samples are judged together, since any single one can be gamed."""

from __future__ import annotations

from collections.abc import Iterable

from genbench.detectors.registry import detector_status
from genbench.errors import UsageError
from genbench.records.kinds import QualityRecord
from genbench.runtime.progress import Reporter

KEY = "representative"  # the metric that asks for all of them
# Trained on other data, by other aims: classes, images alone, images with texts, classes again.
ENCODERS = ("inception", "dinov2-vit-l-14", "clip-vit-l-14-336px", "efficientnet-lite0")


def in_words(records: Iterable[QualityRecord]) -> str:
    """By which encoder the samples are nearest to real images, and by which furthest."""
    found = sorted((record.value, record.detector) for record in records if record.metric == KEY)
    (near, first), (far, last) = found[0], found[-1]
    return (
        f"{KEY}: {far:.3g} times as far as real images are from each other by {last}, {near:.3g} "
        f"by {first}; the furthest counts, since a single encoder can be gamed"
    )


def battery(reporter: Reporter) -> list[str]:
    """The encoders that are here, weights and all; a note for each that is not. Raises UsageError
    where none is."""
    found = []
    for name in ENCODERS:
        status = detector_status(name)
        if status.usable:
            found.append(name)
        else:
            reporter.note(f"{KEY} without {name}: {status.reason}")
    if not found:
        raise UsageError(
            f"{KEY} needs an encoder and none is here: the lines above say how to get one"
        )
    return found
