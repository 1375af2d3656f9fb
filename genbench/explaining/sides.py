"""The two ends of an explanation, and the steps that lead from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, fields, replace
from pathlib import Path

from genbench.explaining.altered import Altered
from genbench.images.rounding import Rounding
from genbench.images.sets import ImageSet
from genbench.metrics.metric import Metric
from genbench.quality.request import QualityRequest
from genbench.quality.source import Source
from genbench.records.protocols import EvalProtocol

# Of a protocol: what has a step of its own, or belongs to both sides.
_APART = {
    "name", "metrics", "counts", "reference", "resolution", "crop", "detector", "weights",
    "preprocessing", "logits_bias", "rounding",
}  # fmt: skip
_TITLES = {
    "pr_neighbours": "k of precision and recall",
    "dc_neighbours": "k of density and coverage",
    "pr_half": "float16 distances",
    "neighbours_strict": "rim of the balls counted as outside",
    "neighbour_rows": "rows of each side at most, for nearest neighbours",
    "is_splits": "splits of the score",
    "is_split_size": "images of a split",
    "is_shuffle": "shuffled before splitting",
    "kid_subsets": "subsets",
    "kid_subset_size": "images of a subset",
    "kid_seed": "seed of the subsets",
}


@dataclass(frozen=True, kw_only=True)
class Side:
    """One end: samples, how they are prepared, and how the figure is computed.

    source: the samples; files: what they are called. was: how they were rounded to uint8, where
    that is known; rounding: how they are to be. jpeg: quality of lossy files, 0 for none.
    reference: an image-set spec or a reference file. weights: of the detector, None for the
    published ones.
    """

    protocol: EvalProtocol
    source: Source
    files: str
    count: int
    reference: str | ImageSet
    was: Rounding | None = None
    rounding: Rounding | None = None
    jpeg: int = 0
    weights: Path | None = None

    def request(self, metric: Metric, *, interval: bool, cache: Path | None) -> QualityRequest:
        """The quality job that computes the figure."""
        altered = self.jpeg or (self.was and self.rounding and self.was != self.rounding)
        source = self.source
        if altered:
            source = Altered(source, was=self.was, rounding=self.rounding, jpeg=self.jpeg)
        return QualityRequest(
            protocol=self.protocol, samples=source, counts=(self.count,), metrics=(metric.key,),
            reference=self.reference if metric.needs_reference else "",
            detector_weights=self.weights, interval=interval, cache=cache,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing in which the two ends differ. take: the side given first, with that thing as the
    second has it. draws: whether images go through the detector again."""

    key: str
    title: str
    start: str
    end: str
    take: Callable[[Side, Side], Side]
    draws: bool = False

    def __str__(self) -> str:
        return f"{self.title}: {self.start} → {self.end}"


def mixed(start: Side, end: Side, steps: tuple[Step, ...], taken: Set[str]) -> Side:
    """The start once the steps of these keys were taken."""
    side = start
    for step in steps:
        if step.key in taken:
            side = step.take(side, end)
    return side


def steps_between(start: Side, end: Side, metric: Metric) -> Iterator[Step]:
    """What the ends differ in, as far as it can move the metric, from the samples to the figure."""
    one, other = start.protocol, end.protocol
    if start.source.digest() != end.source.digest():
        yield Step(key="samples", title="samples", start=start.files, end=end.files, draws=True,
                   take=_with_samples)  # fmt: skip
    if start.rounding != end.rounding and start.was:
        yield Step(key="rounding", title="rounding to uint8, simulated",
                   start=start.rounding or start.was, end=end.rounding or start.was, draws=True,
                   take=lambda side, to: replace(side, rounding=to.rounding))  # fmt: skip
    if start.jpeg != end.jpeg:
        yield Step(key="files", title="lossy files", start=_jpeg(start.jpeg), end=_jpeg(end.jpeg),
                   take=lambda side, to: replace(side, jpeg=to.jpeg), draws=True)  # fmt: skip
    if one.preprocessing != other.preprocessing:
        yield Step(key="resize", title="resize", start=_resize(one), end=_resize(other),
                   take=_of_protocol("preprocessing"), draws=True)  # fmt: skip
    if start.weights != end.weights:
        yield Step(key="weights", title="weights", start=_weights(start), end=_weights(end),
                   take=_with_weights, draws=True)  # fmt: skip
    if one.logits_bias != other.logits_bias and metric.layer == "logits":
        yield Step(key="bias", title="bias of the classifier", start=_said(one.logits_bias),
                   end=_said(other.logits_bias), take=_of_protocol("logits_bias"),
                   draws=True)  # fmt: skip
    if metric.needs_reference and start.reference != end.reference:
        yield Step(key="reference", title="reference", start=_name(start.reference),
                   end=_name(end.reference),
                   take=lambda side, to: replace(side, reference=to.reference))  # fmt: skip
    if start.count != end.count:
        yield Step(key="count", title="sample count", start=f"{start.count:,}",
                   end=f"{end.count:,}",
                   take=lambda side, to: replace(side, count=to.count))  # fmt: skip
    every = {"neighbour_rows": "all"}  # what 0 stands for
    for item in fields(EvalProtocol):
        name = item.name
        changed = replace(one, **{name: getattr(other, name)})
        if name not in _APART and metric.settings(changed) != metric.settings(one):
            yield Step(key=name, title=_TITLES.get(name, name.replace("_", " ")),
                       start=_said(getattr(one, name), every.get(name, "")),
                       end=_said(getattr(other, name), every.get(name, "")),
                       take=_of_protocol(name))  # fmt: skip


def _of_protocol(name: str) -> Callable[[Side, Side], Side]:
    def take(side: Side, to: Side) -> Side:
        changed = replace(side.protocol, **{name: getattr(to.protocol, name)})
        return replace(side, protocol=changed)

    return take


def _with_samples(side: Side, to: Side) -> Side:
    return replace(side, source=to.source, files=to.files)


def _with_weights(side: Side, to: Side) -> Side:
    return replace(side, weights=to.weights)


def _jpeg(quality: int) -> str:
    return f"JPEG {quality}" if quality else "as they are"


def _resize(protocol: EvalProtocol) -> str:
    return protocol.preprocessing or f"{protocol.detector}'s own"


def _weights(side: Side) -> str:
    return side.weights.name if side.weights else "published"


def _name(reference: str | ImageSet) -> str:
    return reference if isinstance(reference, str) else reference.name


def _said(value: object, zero: str = "") -> str:
    if zero and not value:
        return zero
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
