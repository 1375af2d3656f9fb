"""One number with everything needed to cite it and to compute it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from genbench.errors import GenbenchError

# "given": a file that the user named, of which no more is known
WeightKind = Literal["official", "converted", "trained-here", "random-init", "given", "none"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number with everything needed to cite it and to compute it again."""

    model: str  # model or, for image sets, the name of the samples
    resolution: int
    metric: str  # "fid" only when the detector is Inception, else "fd", ...
    value: float
    unit: str
    samples: int
    detector: str
    protocol: str
    protocol_digest: str
    checkpoint: str
    seed: int | None
    run: str
    environment: Mapping[str, Any]
    low: float | None = None
    high: float | None = None
    interval: str = ""  # how [low, high] was computed
    card: str = ""
    checkpoint_digest: str = ""
    weight_kind: WeightKind = "none"
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: str = ""
    nfe: float | None = None  # network evaluations of one sample, counted; None: nobody counted
    nfe_guidance: float | None = None  # of networks that only steer, such as a classifier
    samples_digest: str = ""
    reference: str = ""
    reference_digest: str = ""
    reference_samples: int = 0
    detector_identity: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)  # k, splits, ... of this metric
    notes: tuple[str, ...] = ()
    trials: tuple[float, ...] = ()
    created: str = ""

    def to_json(self) -> str:
        """One line of JSON, every digit kept."""
        return json.dumps(asdict(self), allow_nan=False, default=str)

    @classmethod
    def from_json(cls, line: str) -> Measurement:
        """Inverse of `to_json`; unknown keys (of a newer genbench) are an error."""
        values = json.loads(line)
        known = {item.name for item in fields(cls)}
        if unknown := set(values) - known:
            raise GenbenchError(
                f"record has unknown keys {sorted(unknown)}: written by a newer genbench?"
            )
        for name in ("notes", "trials"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)
