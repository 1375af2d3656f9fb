"""What the figures of the report show, read off records: fronts, curves and extrapolations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.metrics.catalogue import METRICS
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.records.labels import Labels, sampler_options
from genbench.records.labels import labels_of as labels_of

_OF_A_LINE = ("variant", "checkpoint")  # what tells lines apart; along them options change
FRECHET = (METRICS["fid"].key, METRICS["fid"].generic_key)


@dataclass(frozen=True, kw_only=True)
class SpeedPoint:
    """One model's Fréchet distance beside its sampling speed."""

    model: str
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
    """Precision and recall of one model over one of its options."""

    model: str
    option: str
    samples: int
    settings: tuple[str, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class EvaluationPoint:
    """One sampler's Fréchet distance beside the network evaluations of one sample."""

    model: str
    evaluations: float
    quality: QualityRecord


@dataclass(frozen=True, kw_only=True)
class EvaluationPlot(Compared):
    """Points at several numbers of network evaluations."""

    points: tuple[EvaluationPoint, ...]


@dataclass(frozen=True, kw_only=True)
class BatchCurve:
    """Images a second of one model at several batch sizes on one device."""

    model: str
    device: str
    batches: tuple[int, ...]
    rates: tuple[float, ...]


def speed_plots(records: Sequence[Record]) -> list[SpeedPlot]:
    """Quality against speed, one plot a protocol and device, at the largest sample count.

    Of several records of one model with one set of weights and options the latest counts.
    """
    label = labels_of(records)
    quality: dict[tuple[Any, ...], QualityRecord] = {}
    speeds: dict[tuple[Any, ...], SpeedRecord] = {}
    for record in records:
        if isinstance(record, SpeedRecord):
            if record.metric == "throughput" and record.mode == "sample":
                speeds[record.environment.device, _sampler(record)] = record
        elif record.metric in FRECHET:
            same = (record.metric, record.protocol_digest, record.reference_digest)
            quality[(*same, record.samples, record.checkpoint_digest, _sampler(record))] = record
    most: dict[tuple[Any, ...], int] = {}  # of each comparison only the largest count is plotted
    for *compared, samples, _, _ in quality:
        most[tuple(compared)] = max(samples, most.get(tuple(compared), 0))
    plots: dict[tuple[Any, ...], list[SpeedPoint]] = {}
    for (*compared, samples, _, sampler), measured in quality.items():
        for (device, other), speed in speeds.items():
            if sampler == other and samples == most[tuple(compared)]:
                point = SpeedPoint(model=label(measured), quality=measured, speed=speed)
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


def evaluation_plots(records: Sequence[Record]) -> list[EvaluationPlot]:
    """Quality against counted network evaluations, where they differ.

    Of one protocol's sample counts the one with most points is plotted, of those the largest; of
    several records of one model with one set of weights and options the latest counts.
    """
    label = Labels(records, _OF_A_LINE, named=False)
    found: dict[tuple[Any, ...], dict[tuple[Any, ...], QualityRecord]] = {}
    for record in quality_records(records):
        if record.metric in FRECHET and record.nfe is not None:
            same = (record.metric, record.protocol_digest, record.reference_digest)
            sampler = (record.checkpoint_digest, *_sampler(record))
            found.setdefault((*same, record.samples), {})[sampler] = record
    plots: dict[tuple[Any, ...], EvaluationPlot] = {}
    for (metric, *compared, samples), measured in sorted(found.items(), key=lambda item: item[0]):
        points = [
            EvaluationPoint(model=label(record), evaluations=record.nfe, quality=record)
            for record in measured.values()
            if record.nfe is not None
        ]
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
        yield SpeedPoint(
            model=point.model, quality=point.quality, speed=point.speed, on_front=leads
        )


def sweeps(records: Iterable[Record]) -> list[OptionSweep]:
    """Precision and recall over every numeric option that was tried at two settings or more."""
    known = list(quality_records(records))
    label = Labels(known, _OF_A_LINE, named=False)
    found: dict[tuple[Any, ...], dict[Any, dict[str, float]]] = {}
    for record in known:
        if record.metric not in ("precision", "recall") or not record.card:
            continue
        options = sampler_options(record)
        compared = (record.protocol_digest, record.reference_digest)
        for name, value in options.items():
            if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
                rest = tuple(sorted((k, str(v)) for k, v in options.items() if k != name))
                whose = (label(record), record.card, record.checkpoint_digest)
                key = (name, record.samples, whose, record.seed, *compared, rest)
                found.setdefault(key, {}).setdefault(value, {})[record.metric] = record.value
    curves = []
    for (option, samples, (model, *_), *_), settings in found.items():
        whole = {key: item for key, item in settings.items() if len(item) == 2}
        order = sorted(whole, key=lambda value: (value is None, value))
        if len(order) > 1:
            curves.append(
                OptionSweep(
                    model=model, option=option, samples=samples,
                    settings=tuple("default" if key is None else f"{key:g}" for key in order),
                    precision=tuple(whole[key]["precision"] for key in order),
                    recall=tuple(whole[key]["recall"] for key in order),
                )
            )  # fmt: skip
    return curves


def batch_curves(records: Sequence[Record]) -> list[BatchCurve]:
    """Measured images a second over the batch size: sweeps, and single sizes taken together."""
    label = labels_of(records)
    found: dict[tuple[str, str], dict[int, float]] = {}
    for record in records:
        if not isinstance(record, SpeedRecord) or record.metric != "throughput":
            continue
        points = found.setdefault((label(record), record.environment.device), {})
        for point in record.sweep.points if record.sweep else ():
            points[point.batch] = point.rate
        if record.batch:
            points[record.batch] = record.value
    return [
        BatchCurve(
            model=model,
            device=device,
            batches=tuple(sorted(points)),
            rates=tuple(points[batch] for batch in sorted(points)),
        )
        for (model, device), points in found.items()
        if len(points) > 1
    ]


def quality_records(records: Iterable[Record]) -> Iterator[QualityRecord]:
    """The records of quality among them."""
    return (record for record in records if isinstance(record, QualityRecord))


def _sampler(record: Record) -> tuple[Any, ...]:
    """What draws the images: two records of one sampler may stand in one point."""
    options = tuple(sorted((key, str(value)) for key, value in sampler_options(record).items()))
    return (record.model, record.card, record.resolution, options)
