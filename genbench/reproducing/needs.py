"""The files that a figure needs and genbench does not bring, with where they were."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from genbench.errors import GenbenchError
from genbench.images.datasets import NAMED
from genbench.models.naming import family_named, opened_by
from genbench.models.reopening import finds_weights
from genbench.quality.known_references import find_reference
from genbench.records.kinds import QualityRecord, Record
from genbench.reproducing.stored_command import StoredCommand

OWN_FEATURES = "features"  # the detector's name when the user brought the features


@dataclass(frozen=True, kw_only=True)
class Need:
    """A file or set of images. variable: by which a script is told where it lies now. option: of
    genbench, that takes it. path: where it lay; empty: nobody told. sha256: of the file; empty: the
    digest on record is of its images, which genbench compares. told: which it is, for people."""

    variable: str
    option: str
    path: str
    sha256: str = ""
    told: str


def needs_of(record: Record, weights: str = "") -> Iterator[Need | tuple[str, str]]:
    """What a record's command names beyond its settings: files that must be brought, and options
    with names that every genbench knows, such as ("--ref", "bundled").

    weights: SHA-256 of the detector's weights, where they are not the published ones.
    """
    stored = StoredCommand(record.environment.command)
    if record.card:
        yield from _checkpoint(record, stored)
        yield from _option_files(record, stored)
    if not isinstance(record, QualityRecord):
        return
    if not record.card:
        yield _samples(record, stored)
    yield from _compared_with(record, stored)
    if weights:
        yield Need(
            variable="DETECTOR_WEIGHTS", option="--detector-weights",
            path=stored.value("--detector-weights"), sha256=weights,
            told=f"weights of {record.detector}",
        )  # fmt: skip


def comes_with_card(record: Record) -> bool:
    """Whether the weights of a record are those that its card finds by itself: bundled, or
    published under that digest. False where the family is not installed."""
    try:
        family = family_named(record.model)
    except GenbenchError:
        return False
    if opened_by(record.model)[0]:  # whose weights, if any, its name says
        return True
    card = next((card for card in family.cards if card.name == record.card), None)
    return card is not None and finds_weights(family, card, record.checkpoint_digest)


def _checkpoint(record: Record, stored: StoredCommand) -> Iterator[Need]:
    if not record.checkpoint_digest or comes_with_card(record):
        return
    yield Need(
        variable="CHECKPOINT", option="--checkpoint", path=stored.value("--checkpoint"),
        sha256=record.checkpoint_digest, told=f"weights {record.checkpoint}",
    )  # fmt: skip


def option_file(value: object) -> tuple[str, str] | None:
    """Name and SHA-256 of the file that an option's value on record stands for; None for other
    values."""
    name, _, digest = value.rpartition(" ") if isinstance(value, str) else ("", "", "")
    is_digest = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    return (name, digest) if name and is_digest else None


def variable_of(option: str) -> str:
    """The shell variable of an option that names a file, "CLASSIFIER"; safe whatever a record
    calls it."""
    return re.sub("[^A-Z0-9_]", "_", option.upper())


def _option_files(record: Record, stored: StoredCommand) -> Iterator[Need]:
    for key, value in record.options.items():
        if file := option_file(value):
            option = f"--{key.replace('_', '-')}"
            yield Need(
                variable=variable_of(key), option=option, path=stored.value(option), sha256=file[1],
                told=f"{key.replace('_', ' ')} {file[0]}",
            )  # fmt: skip


def _samples(record: QualityRecord, stored: StoredCommand) -> Need | tuple[str, str]:
    if record.detector == OWN_FEATURES:
        return Need(
            variable="FEATURES", option="--features", path=stored.value("--features"),
            sha256=record.samples_digest, told=f"features {record.model}",
        )  # fmt: skip
    return _images(
        "SAMPLES", "--samples", stored, f"images {record.model} [{record.samples_digest}]"
    )


def _compared_with(
    record: QualityRecord, stored: StoredCommand
) -> Iterator[Need | tuple[str, str]]:
    own = record.detector == OWN_FEATURES
    if own and record.reference_digest:
        yield Need(
            variable="REF_FEATURES", option="--ref-features", path=stored.value("--ref-features"),
            sha256=record.reference_digest, told=f"features of the reference {record.reference}",
        )  # fmt: skip
    elif record.reference_digest and (stored.value("--ref") or not stored.known):
        told = f"reference {record.reference} [{record.reference_digest}]"
        yield _images("REFERENCE", "--ref", stored, told, record.reference)
    if record.training_digest:
        told = f"training images {record.training} [{record.training_digest}]"
        yield _images("TRAINING", "--train", stored, told, record.training)


def _images(
    variable: str, option: str, stored: StoredCommand, told: str, name: str = ""
) -> Need | tuple[str, str]:
    """Images under a name that genbench knows as they are, others as a need."""
    spec = stored.value(option) or (name if _is_known(name) else "")
    if spec and _is_known(spec):
        return option, spec
    return Need(variable=variable, option=option, path=spec, told=told)


def _is_known(spec: str) -> bool:
    if spec.split("[")[0] in NAMED:
        return True
    try:
        return find_reference(spec) is not None
    except GenbenchError:
        return False
