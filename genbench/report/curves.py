"""What the figures of the report show, read off records: fronts, curves and extrapolations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from genbench.metrics.catalogue import METRICS
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.records.labels import sampler_options
from genbench.report.looks import Look, Looks, sampler_of, subject_of

FRECHET = (METRICS["fid"].key, METRICS["fid"].generic_key)
Interval = tuple[float | None, float | None]  # low and high of a record; None, None: it has none


@dataclass(frozen=True, kw_only=True)
class SpeedPoint:
    """One model's Fréchet distance beside its sampling speed."""

    model: str
    look: Look
    quality: QualityRecord
    speed: SpeedRecord
    on_front: bool = False  # no other point of the plot is both better and faster


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What points that compare have in common."""

    metric: str
    protocol: str
    samples: int


@dataclass(frozen=True, kw_only=True)
class SpeedPlot(Compared):
    """Points of one device."""

    device: str
    points: tuple[SpeedPoint, ...]


@dataclass(frozen=True, kw_only=True)
class OptionSweep:
    """Precision and recall of one model over one of its options, a pair of records a setting."""

    model: str
    look: Look
    option: str
    samples: int
    settings: tuple[str, ...]
    pairs: tuple[tuple[QualityRecord, QualityRecord], ...]

    @property
    def precision(self) -> tuple[float, ...]:
        """At each setting."""
        return tuple(precision.value for precision, _ in self.pairs)

    @property
    def recall(self) -> tuple[float, ...]:
        """At each setting."""
        return tuple(recall.value for _, recall in self.pairs)


@dataclass(frozen=True, kw_only=True)
class EvaluationPoint:
    """One sampler's Fréchet distance beside the network evaluations of one sample."""

    model: str
    look: Look
    evaluations: float
    quality: QualityRecord


@dataclass(frozen=True, kw_only=True)
class EvaluationPlot(Compared):
    """Points at several numbers of network evaluations."""

    points: tuple[EvaluationPoint, ...]


@dataclass(frozen=True, kw_only=True)
class BatchCurve:
    """Images a second of one model at several batch sizes on one device. intervals: of rates that
    were measured for longer than a sweep's moment."""

    model: str
    look: Look
    device: str
    batches: tuple[int, ...]
    rates: tuple[float, ...]
    intervals: tuple[Interval, ...]


def speed_plots(records: Sequence[Record], looks: Looks | None = None) -> list[SpeedPlot]:
    """Quality against speed, one plot a protocol and device, at the largest sample count.

    Of several records of one model with one set of options the latest counts.
    """
    looks = looks or Looks(records)
    quality: dict[tuple[Any, ...], QualityRecord] = {}
    for record in quality_records(records):
        if record.metric in FRECHET:
            same = (record.metric, record.protocol_digest, record.reference_digest)
            quality[(*same, record.samples, subject_of(record))] = record
    speeds: dict[tuple[Any, ...], list[tuple[str, SpeedRecord]]] = {}
    for (device, sampler), speed in latest_speeds(records).items():
        speeds.setdefault(sampler, []).append((device, speed))
    most: dict[tuple[Any, ...], int] = {}  # of each comparison only the largest count is plotted
    for *compared, samples, _ in quality:
        most[tuple(compared)] = max(samples, most.get(tuple(compared), 0))
    plots: dict[tuple[Any, ...], list[SpeedPoint]] = {}
    for (*compared, samples, _), measured in quality.items():
        if samples != most[tuple(compared)]:
            continue
        for device, speed in speeds.get(sampler_of(measured), ()):
            point = SpeedPoint(
                model=looks.name(measured), look=looks.look(measured), quality=measured,
                speed=speed,
            )  # fmt: skip
            plots.setdefault((*compared, device), []).append(point)
    return [
        SpeedPlot(
            metric=points[0].quality.metric,
            protocol=points[0].quality.protocol,
            samples=points[0].quality.samples,
            device=points[0].speed.environment.device,
            points=tuple(pareto_front(points)),
        )
        for points in plots.values()
    ]


def latest_speeds(records: Iterable[Record]) -> dict[tuple[str, tuple[Any, ...]], SpeedRecord]:
    """The latest measured rate of sampling by device and sampler."""
    return {
        (record.environment.device, sampler_of(record)): record
        for record in records
        if isinstance(record, SpeedRecord)
        and (record.metric, record.mode, record.tier) == ("throughput", "sample", "measured")
    }


def evaluation_plots(records: Sequence[Record], looks: Looks | None = None) -> list[EvaluationPlot]:
    """Quality against counted network evaluations, where they differ.

    Of one protocol's sample counts the one with most points is plotted, of those the largest; of
    several records of one model with one set of options the latest counts.
    """
    looks = looks or Looks(records)
    found: dict[tuple[Any, ...], dict[tuple[Any, ...], QualityRecord]] = {}
    for record in quality_records(records):
        if record.metric in FRECHET and record.nfe is not None:
            same = (record.metric, record.protocol_digest, record.reference_digest)
            found.setdefault((*same, record.samples), {})[subject_of(record)] = record
    plots: dict[tuple[Any, ...], EvaluationPlot] = {}
    for (metric, *compared, samples), measured in sorted(found.items(), key=lambda item: item[0]):
        points = [
            EvaluationPoint(
                model=looks.series(record), look=looks.look(record), evaluations=record.nfe,
                quality=record,
            )
            for record in measured.values()
            if record.nfe is not None
        ]  # fmt: skip
        if len({point.evaluations for point in points}) > 1:
            order = sorted(points, key=lambda point: (point.model, point.evaluations))
            protocol = order[0].quality.protocol
            other = plots.get((metric, *compared))
            if other is None or len(order) >= len(other.points):
                plots[metric, *compared] = EvaluationPlot(
                    metric=metric, protocol=protocol, samples=samples, points=tuple(order)
                )
    return list(plots.values())


def pareto_front(points: Sequence[SpeedPoint]) -> Iterable[SpeedPoint]:
    """The points, fastest first, those marked that no other beats in both quality and speed."""
    best = float("inf")
    for point in sorted(points, key=lambda item: (-item.speed.value, item.quality.value)):
        leads = point.quality.value < best
        best = min(best, point.quality.value)
        yield replace(point, on_front=leads)


def sweeps(records: Sequence[Record], looks: Looks | None = None) -> list[OptionSweep]:
    """Precision and recall over every numeric option that was tried at two settings or more."""
    looks = looks or Looks(records)
    found: dict[tuple[Any, ...], dict[Any, dict[str, QualityRecord]]] = {}
    for record in quality_records(records):
        if record.metric not in ("precision", "recall") or not record.card:
            continue
        options = sampler_options(record)
        compared = (record.protocol_digest, record.reference_digest, record.samples)
        for name, value in options.items():
            if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
                rest = tuple(sorted((k, str(v)) for k, v in options.items() if k != name))
                model = (record.model, record.card, record.checkpoint_digest)
                key = (name, *model, record.seed, *compared, rest)
                found.setdefault(key, {}).setdefault(value, {})[record.metric] = record
    curves = []
    for (option, *_), settings in found.items():
        whole = {key: item for key, item in settings.items() if len(item) == 2}
        order = sorted(whole, key=lambda value: (value is None, value))
        if len(order) > 1:
            one = whole[order[0]]["precision"]
            curves.append(
                OptionSweep(
                    model=looks.series(one), look=looks.look(one), option=option,
                    samples=one.samples,
                    settings=tuple("default" if key is None else f"{key:g}" for key in order),
                    pairs=tuple((whole[key]["precision"], whole[key]["recall"]) for key in order),
                )
            )  # fmt: skip
    return curves


def batch_curves(records: Sequence[Record], looks: Looks | None = None) -> list[BatchCurve]:
    """Measured images a second over the batch size: sweeps, and single sizes taken together."""
    looks = looks or Looks(records)
    found: dict[tuple[str, str], dict[int, tuple[float, Interval]]] = {}
    seen: dict[tuple[str, str], Look] = {}
    for record in records:
        if not isinstance(record, SpeedRecord) or record.metric != "throughput":
            continue
        key = (looks.name(record), record.environment.device)
        points, seen[key] = found.setdefault(key, {}), looks.look(record)
        for point in record.sweep.points if record.sweep else ():
            points[point.batch] = (point.rate, (None, None))
        if record.batch:
            points[record.batch] = (record.value, (record.low, record.high))
    return [
        BatchCurve(
            model=key[0],
            look=seen[key],
            device=key[1],
            batches=tuple(sorted(points)),
            rates=tuple(points[batch][0] for batch in sorted(points)),
            intervals=tuple(points[batch][1] for batch in sorted(points)),
        )
        for key, points in found.items()
        if len(points) > 1
    ]


def quality_records(records: Iterable[Record]) -> Iterator[QualityRecord]:
    """The records of quality among them."""
    return (record for record in records if isinstance(record, QualityRecord))
