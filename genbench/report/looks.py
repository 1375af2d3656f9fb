"""One name and one colour a model, wherever the page shows it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from genbench.records.kinds import QualityRecord, Record
from genbench.records.labels import sampler_options

# Hues of Okabe and Ito, which the colour-blind can tell apart, dark enough for white paper;
# page.css has brighter ones of the same order for dark screens. Markers differ as well.
COLOURS = (
    "#0072b2", "#d55e00", "#00805e", "#b8578f", "#9a6700", "#5b4bb5", "#565656", "#a02c2c",
)  # fmt: skip
MARKERS = "osD^vP*"


@dataclass(frozen=True)
class Look:
    """How a model is drawn. number: of its colour, in page.css too."""

    number: int
    marker: str

    @property
    def colour(self) -> str:
        """On white paper."""
        return COLOURS[self.number]


def sampler_of(record: Record) -> tuple[Any, ...]:
    """What is as fast with any weights: a speed is of every subject of one sampler."""
    options = tuple(sorted((key, str(value)) for key, value in sampler_options(record).items()))
    return (record.model, record.card, record.resolution, record.size, options)


def subject_of(record: Record) -> tuple[Any, ...]:
    """What a quality record is of: two records of one subject measure the same images, or images
    that differ by the code alone. Two checkpoints of a model are two subjects, and so is what a
    run's name sets apart."""
    if not isinstance(record, QualityRecord):
        return sampler_of(record)
    if not record.card:  # images or features that somebody brought
        return (record.model, record.samples_digest, record.name)
    told = (record.checkpoint_digest, record.seed, record.labels, record.name)
    return (*sampler_of(record), *told)


def quality_subjects(records: Iterable[Record]) -> list[QualityRecord]:
    """One record of everything whose quality was measured: of a reference where there is one, the
    latest."""
    found: dict[tuple[Any, ...], QualityRecord] = {}
    for record in records:
        if isinstance(record, QualityRecord):
            before = found.get(subject_of(record))
            if before is None or record.reference or not before.reference:
                found[subject_of(record)] = record
    return list(found.values())


class Looks:
    """Names and looks of everything that some records are of."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._series: dict[tuple[str, str], int] = {}
        self._files: dict[tuple[str, str], str] = {}
        self._names: dict[tuple[Any, ...], str] = {}
        self._named: dict[str, set[tuple[Any, ...]]] = {}  # the subjects that bear a run's name
        by_model: dict[str, dict[tuple[Any, ...], Record]] = {}
        for record in records:
            by_model.setdefault(record.model, {})[subject_of(record)] = record
            if isinstance(record, QualityRecord):
                self._named.setdefault(record.name, set()).add(subject_of(record))
        for model, subjects in by_model.items():
            files = _weight_files(subjects.values())
            for origin in files or {"": ""}:
                self._series[model, origin] = len(self._series)
                self._files[model, origin] = files.get(origin, "")
            self._names |= _told_apart(subjects, files)

    def name(self, record: Record) -> str:
        """The run's name where it has one of its own; else the model, with what its records do not
        all share: checkpoint, options, seed …"""
        told = self._names[subject_of(record)]
        if not record.name:
            return told
        alone = len(self._named.get(record.name, ())) < 2
        return record.name if alone else f"{record.name}, {told}"

    def series(self, record: Record) -> str:
        """The model, with its checkpoint where there are several: what has a colour of its own."""
        key = self._key(record)
        several = sum(model == record.model for model, _ in self._series) > 1
        return f"{record.model} ({self._files[key]})" if several else record.model

    def look(self, record: Record) -> Look:
        """Colour and marker of the record's series."""
        number = self._series[self._key(record)]
        colours = len(COLOURS)
        return Look(number % colours, MARKERS[(number + number // colours) % len(MARKERS)])

    def _key(self, record: Record) -> tuple[str, str]:
        key = (record.model, _origin(record))
        if key in self._series:
            return key  # else a speed, of random weights: it is the model's
        return next(known for known in self._series if known[0] == record.model)


def _origin(record: Record) -> str:
    """What else than the model's name makes a series: the weights, or the images themselves."""
    own = "" if record.card or not isinstance(record, QualityRecord) else record.samples_digest
    return record.checkpoint_digest or own


def _weight_files(records: Iterable[Record]) -> dict[str, str]:
    """Every origin of a model's quality figures, under a name that tells it from the others."""
    found = {_origin(item): item for item in records if isinstance(item, QualityRecord)}
    names = {origin: item.checkpoint or item.weight_kind for origin, item in found.items()}
    named = Counter(names.values())
    return {
        origin: name if named[name] == 1 else f"{name} {origin[:6]}".removeprefix("none ")
        for origin, name in names.items()
    }


def _told_apart(
    subjects: Mapping[tuple[Any, ...], Record], files: Mapping[str, str]
) -> dict[tuple[Any, ...], str]:
    """Names of a model's subjects, as short as tells them apart."""
    tried = _Tried(subjects.values())
    told = {subject: _differing(record, tried, files) for subject, record in subjects.items()}
    # Values that mean "as usual" are left out where no two names become the same.
    short = {
        subject: tuple(text for text, usual in parts if not usual)
        for subject, parts in told.items()
    }
    bearers = Counter((subjects[subject].kind, parts) for subject, parts in short.items())
    names = {}
    for subject, record in subjects.items():
        parts = short[subject]
        if bearers[record.kind, parts] > 1:
            parts = tuple(text for text, _ in told[subject])
        names[subject] = f"{record.model} ({', '.join(parts)})" if parts else record.model
    return names


class _Tried:
    """What the records of one model were tried with."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.cards: set[tuple[str, int]] = set()
        self.options: defaultdict[str, set[str]] = defaultdict(set)
        self.seeds: set[int | None] = set()
        self.labels: set[str] = set()
        for record in records:
            self.cards.add((record.card, record.resolution))
            for name, value in sampler_options(record).items():
                self.options[name].add(str(value))
            if isinstance(record, QualityRecord):
                self.seeds.add(record.seed)
                self.labels.add(record.labels)


def _differing(record: Record, tried: _Tried, files: Mapping[str, str]) -> list[tuple[str, bool]]:
    """What sets a record apart from others of its model, each with whether it means "as usual"."""
    parts: list[tuple[str, bool]] = []
    if len(tried.cards) > 1:
        parts.append((record.card or f"{record.resolution} pixels", False))
    for name, value in sampler_options(record).items():
        if len(tried.options[name]) > 1:
            shown = "default" if value is None else value
            parts.append((f"{name.replace('_', ' ')} {shown}", not value))
    if not isinstance(record, QualityRecord):
        return parts
    if len(files) > 1:
        parts.append((files[_origin(record)], False))
    if len(tried.seeds) > 1:
        parts.append((f"seed {record.seed}", False))
    if len(tried.labels) > 1:
        parts.append((f"labels {record.labels}", False))
    return parts
