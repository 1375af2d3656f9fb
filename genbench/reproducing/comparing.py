"""Figures measured again beside those on record, and what differs where they were computed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from genbench.records.comparability import incomparable
from genbench.records.kinds import QualityRecord

# Relative: what rounding may move a figure with equal kernels, and with others, as another kind of
# device, other CPU instructions or other packages bring. docs/reproduce.md tells what was measured.
TOLERANCE = 1e-6
OTHER_KERNELS = 1e-3
Verdict = Literal["equal", "equal but for rounding", "within its interval", "different",
                  "not measured"]  # fmt: skip
_HELD: tuple[Verdict, ...] = ("equal", "equal but for rounding")


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """One figure on record, and what it is now. measured: None where there is none. why: of a
    verdict that the numbers alone do not explain."""

    metric: str
    samples: int
    recorded: float
    measured: float | None
    verdict: Verdict
    why: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is the figure again, but for rounding."""
        return self.verdict in _HELD

    def as_row(self) -> dict[str, str]:
        """As a table shows it."""
        apart = None if self.measured is None else self.measured - self.recorded
        return {
            "metric": self.metric,
            "samples": f"{self.samples:,}",
            "on record": repr(self.recorded),
            "again": "–" if self.measured is None else repr(self.measured),
            "difference": "–" if apart is None else f"{apart:+.3g}" if apart else "0",
            "verdict": self.verdict + (f": {self.why}" if self.why else ""),
        }


def reproduced(
    recorded: Sequence[QualityRecord], measured: Sequence[QualityRecord]
) -> list[Reproduced]:
    """Every figure on record beside the latest of its metric, count, protocol, model and seed."""
    return [_compared(record, counterpart(record, measured)) for record in recorded]


def counterpart(record: QualityRecord, measured: Sequence[QualityRecord]) -> QualityRecord | None:
    """The latest figure that is the record's again; None where there is none."""
    told = record.options
    same = [other for other in measured if _identity(other, told) == _identity(record, told)]
    return same[-1] if same else None


def _identity(record: QualityRecord, told: Collection[str]) -> tuple[object, ...]:
    """By what a figure is recognised. Images without a model may have other names elsewhere.

    told: the options that count, of the record that is measured again: it may be older than others,
    which then stand at what they do without being named.
    """
    own = (record.metric, record.samples, record.protocol_digest, record.detector)
    if not record.card:
        return (*own, record.samples_digest)
    options = tuple(
        sorted(
            (key, str(value))
            for key, value in record.options.items()
            if key != "compile" and key in told
        )
    )
    return (
        *own, record.model, record.card, record.checkpoint_digest, options, record.arithmetic,
        record.labels, record.seed, record.block, record.compiled or None,
    )  # fmt: skip


def _compared(record: QualityRecord, again: QualityRecord | None) -> Reproduced:
    value = None if again is None else again.value
    verdict, why = _verdict(record, again)
    return Reproduced(
        metric=record.metric, samples=record.samples, recorded=record.value, measured=value,
        verdict=verdict, why=why,
    )  # fmt: skip


def _verdict(record: QualityRecord, again: QualityRecord | None) -> tuple[Verdict, str]:
    if again is None:
        return "not measured", ""
    if reason := incomparable(record, again):
        return "different", reason
    if record.training_digest != again.training_digest:
        return "different", "other training images"
    if len({record.labels_digest, again.labels_digest} - {""}) > 1:
        return "different", "other labels of the samples"
    if record.value == again.value:
        return "equal", ""
    apart = abs(record.value - again.value)
    size = max(abs(record.value), abs(again.value))
    if apart <= TOLERANCE * size:
        return "equal but for rounding", ""
    kernels = sorted(
        item.what for item in differences(record, again) if item.what in _kernels(record)
    )
    if kernels and apart <= OTHER_KERNELS * size:
        return "equal but for rounding", f"another {' and '.join(kernels)}"
    if record.low is not None and record.high is not None:
        if record.low <= again.value <= record.high:
            return "within its interval", ""
        return "different", "outside its interval"
    return "different", "the record has no interval"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something of a computation that two records tell, each another way."""

    what: str
    recorded: str
    here: str

    def as_row(self) -> dict[str, str]:
        """As a table shows it."""
        return {"what differs": self.what, "on record": self.recorded, "here": self.here}


def differences(record: QualityRecord, again: QualityRecord) -> list[Difference]:
    """What differs of where and with what two records were computed; of what only one of them
    tells, nothing is said."""
    here = dict(_circumstances(again))
    return [
        Difference(what=what, recorded=value, here=here[what])
        for what, value in _circumstances(record)
        if value and here.get(what) and here[what] != value
    ]


def _kernels(record: QualityRecord) -> set[str]:
    """The circumstances that choose the kernels, and so the last bits of features."""
    return {
        "device",
        "device type",
        "CPU instructions",
        "CUDA",
        "kernels",
        *record.environment.packages,
    }


def _circumstances(record: QualityRecord) -> Iterator[tuple[str, str]]:
    place = record.environment
    yield "genbench", place.genbench
    yield "git commit", place.git
    yield "code of the model", record.code_digest
    yield "kernels", record.kernels or "none"
    yield "python", place.python
    yield from sorted(place.packages.items())
    for name, value in record.detector_identity.items():
        yield f"detector's {name}", value
    yield "protocol", record.protocol_digest
    yield "reference", record.reference_digest
    yield "platform", place.platform
    yield "system", place.system
    yield "device", place.device
    yield "device type", place.device_type
    yield "CPU instructions", place.instructions
    yield "CUDA", place.cuda
    yield "threads", str(place.threads or "")
    yield "processes", str(place.processes)
    for name in ("tf32", "autotuned", "deterministic"):
        value = getattr(place, name)
        yield name, "" if value is None else str(value).lower()
