"""What tells records apart, in words: one way to name them in tables, figures and lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genbench.records.kinds import QualityRecord, Record

_NOT_OPTIONS = {"compile"}  # equal images, drawn faster
SHORT = 8  # digits of a digest that tell files apart


def sampler_options(record: Record) -> Mapping[str, Any]:
    """What a model was asked for that decides its images: its options, and the arithmetic."""
    told = {key: value for key, value in record.options.items() if key not in _NOT_OPTIONS}
    return told | ({"dtype": record.arithmetic} if record.arithmetic else {})


def facts_of(record: Record) -> dict[str, str]:
    """Everything by which two records of one model may differ, by what it is called ("variant",
    "checkpoint", "seed", "steps"), in the order in which it is told.

    The weights are told by their digest: two files may have one name. A speed has no seed: it is
    the same for all.
    """
    found = {"variant": record.card}
    if record.checkpoint_digest:
        found["checkpoint"] = record.checkpoint_digest
    elif record.checkpoint:
        found["checkpoint"] = record.checkpoint
    found |= {key.replace("_", " "): str(value) for key, value in sampler_options(record).items()}
    if isinstance(record, QualityRecord):
        found["labels"] = record.labels
        found["compiled"] = "yes" if record.compiled else "no"
        found["kernels"] = record.kernels or "none"
        if record.seed is not None:
            found["seed"] = str(record.seed)
        if not record.card:  # images of an unknown origin
            found["images"] = record.samples_digest
    return {name: text for name, text in found.items() if text}


class Labels:
    """Names for records: the run's name or else the model, with those facts in which the records of
    that name and model differ: `labels(record)`.

    only: the facts that may be told; None: all. named: whether a run's name counts.
    """

    def __init__(
        self, records: Iterable[Record], only: Sequence[str] | None = None, *, named: bool = True
    ) -> None:
        self._only, self._named = only, named
        self._tried: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._models: dict[str, set[str]] = defaultdict(set)
        self._files: dict[str, set[str]] = defaultdict(set)
        for record in records:
            self._models[record.name].add(record.model)
            self._files[record.checkpoint].add(record.checkpoint_digest)
            for name, text in facts_of(record).items():
                self._tried[self._base(record)][name].add(text)

    def differing(self, record: Record) -> dict[str, str]:
        """The facts of a record in which it differs from others of its name, ready to print."""
        tried = self._tried[self._base(record)]
        return {
            name: self._shown(name, text, record)
            for name, text in facts_of(record).items()
            if len(tried[name]) > 1 and (self._only is None or name in self._only)
        }

    def __call__(self, record: Record) -> str:
        """The name: "hit", "hit-128 (steps 50)", "mine (a.safetensors)"."""
        base, facts = self._base(record), self.differing(record)
        if facts.get("variant", "").startswith(base):
            base = facts.pop("variant")
        told = [
            text if name in ("variant", "checkpoint", "images") else f"{name} {text}"
            for name, text in facts.items()
        ]
        if self._named and record.name and len(self._models[record.name]) > 1:
            told.insert(0, record.model)
        return base + (f" ({', '.join(told)})" if told else "")

    def _base(self, record: Record) -> str:
        return record.name if self._named and record.name else record.model

    def _shown(self, name: str, text: str, record: Record) -> str:
        """A file by its name where that tells it from the others, else with its digest too."""
        if name == "images":
            return f"images {text[:SHORT]}"
        if name != "checkpoint" or not record.checkpoint:
            return text[: SHORT if name == "checkpoint" else None]
        files = self._files[record.checkpoint]
        return record.checkpoint + (f" {text[:SHORT]}" if len(files) > 1 else "")


def labels_of(records: Iterable[Record]) -> Labels:
    """Names for records, that tell those apart which are shown together."""
    return Labels(records)
