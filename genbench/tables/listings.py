"""Records of one run as a table of text: what a command prints and a notebook shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genbench.metrics.catalogue import compared_with, metric_named
from genbench.metrics.metric import Metric
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.tables.numbers import decimals_of, in_full, shown_flops

_RATES = ("throughput", "training_throughput")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Rows of text under their columns. numbers: columns set to the right. notes: lines below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def metric_title(metric: Metric, detector: str) -> str:
    """The name to print: FID with Inception, FD (detector) with anything else."""
    if metric.named_for(detector):
        return metric.title
    if metric.generic_key == metric.key:
        return metric.title
    return f"{metric.generic_short} ({detector})"


def rounded(value: float) -> str:
    """Six significant digits: what a table shows; records keep every digit."""
    return f"{value:.6g}"


def list_quality(records: Sequence[QualityRecord], label: str) -> Listing:
    """Figures of one run under its label, and below them what is needed to cite them."""
    intervals = any(record.low is not None for record in records)
    columns = ("metric", "value", *(["95% interval"] if intervals else []), "samples", "better")
    return Listing(
        title=_title(records[0], label),
        columns=columns,
        rows=tuple(_quality_row(record, intervals) for record in records),
        numbers=frozenset({"value", "95% interval", "samples"}),
        notes=tuple(_quality_notes(records)),
    )


def _quality_row(record: QualityRecord, intervals: bool) -> tuple[str, ...]:
    metric = metric_named(record.metric)
    better = "higher ↑" if metric.higher_is_better else "lower ↓"
    return (
        metric_title(metric, record.detector),
        *with_interval(record, intervals),
        f"{record.samples:,}",
        better,
    )


def with_interval(record: Record, intervals: bool) -> tuple[str, ...]:
    """The value, and where `intervals` are asked for its interval: to the digits that the interval
    leaves a meaning."""
    if record.low is None or record.high is None:
        return (rounded(record.value), *(["–"] if intervals else []))
    decimals = decimals_of((record.high - record.low) / 2)
    if decimals is None:  # of no width, or without end
        value, low, high = map(rounded, (record.value, record.low, record.high))
    else:
        value, low, high = (f"{x:.{decimals}f}" for x in (record.value, record.low, record.high))
    return value, f"{low} … {high}"


def _title(record: QualityRecord, label: str) -> str:
    sides = (record.resolution, record.resolution) if record.resolution else record.size
    size = f" {sides[1]}×{sides[0]}" if sides else ""
    name = f"{label}: {record.model}" if record.name else label
    return f"{name}{size}, measured here"


def _quality_notes(records: Sequence[QualityRecord]) -> Iterator[str]:
    first = records[0]
    yield f"protocol {first.protocol} [{first.protocol_digest}], detector {first.detector}"
    compared = [item for item in records if item.reference]
    if compared:
        count = compared_with(compared[0].metric, compared[0].reference_samples)
        told = f"reference {compared[0].reference} [{compared[0].reference_digest[:12]}]"
        yield ", ".join(filter(None, [told, count]))
    learned = next((item for item in records if item.training), None)
    if learned:
        yield f"training images {learned.training} [{learned.training_digest[:12]}]"
    origin = f"seed {first.seed}, " if first.seed is not None else ""
    where = first.environment
    yield (
        f"samples [{first.samples_digest[:12]}], {origin}run {first.run}, genbench "
        f"{where.genbench}, torch {where.packages.get('torch')}, {where.device}"
    )
    if first.nfe is not None:
        guided = (
            f", and {first.nfe_guidance:g} of networks that guide" if first.nfe_guidance else ""
        )
        yield f"network evaluations a sample, counted: {first.nfe:g}{guided}"
    for interval in dict.fromkeys(item.interval for item in records if item.interval):
        named = ", ".join(
            dict.fromkeys(item.metric for item in records if item.interval == interval)
        )
        yield f"interval of {named}: {interval}"
    for note in dict.fromkeys(note for item in records for note in item.notes):
        yield f"note: {note}"


def list_speeds(records: Sequence[SpeedRecord]) -> Listing:
    """The device's own rates, one row a model and batch size; "–" for a model that was not
    measured, and the reason below."""
    rates = [record for record in records if record.metric in _RATES]
    seen = {network_of(rate) for rate in rates}
    reasons = {network_of(item): item.notes for item in records if network_of(item) not in seen}
    rows = [_speed_row(rate, records) for rate in rates]
    rows += [(name, *["–"] * (len(_SPEED_COLUMNS) - 1)) for name in reasons]
    told = dict.fromkeys(note for notes in reasons.values() for note in notes)
    return Listing(
        title=f"{rates[0].environment.device}, measured here" if rates else "nothing was measured",
        columns=_SPEED_COLUMNS,
        rows=tuple(rows),
        numbers=frozenset(_SPEED_COLUMNS[2:]),
        notes=(*(_speed_notes(rates) if rates else ()), *(f"–: {note}" for note in told)),
    )


_SPEED_COLUMNS = (
    "model", "step", "batch", "images/s", "95% interval", "latency", "TFLOP/s", "of peak",
    "of matmul", "memory", "J/image",
)  # fmt: skip


def _speed_row(rate: SpeedRecord, records: Sequence[SpeedRecord]) -> tuple[str, ...]:
    near = [item for item in records if item.card == rate.card and item.model == rate.model]
    latency = next((item.value for item in near if item.metric == "latency"), None)
    memory = [
        item.value for item in near if item.metric == "peak_memory" and item.batch == rate.batch
    ]
    work = rate.work
    return (
        network_of(rate),
        step_of(rate),
        str(rate.batch),
        *with_interval(rate, True),
        "–" if rate.training or latency is None else f"{latency * 1e3:.1f} ms",
        "–" if work is None else f"{work.achieved_flops / 1e12:.3g}",
        _share(work.utilisation_datasheet if work else None),
        _share(work.utilisation_matmul if work else None),
        f"{memory[0] / 2**20:,.0f} MiB" if memory and memory[0] else "–",
        "–" if rate.power is None else f"{rate.power.joules_per_image:.3g}",
    )


def network_of(record: SpeedRecord) -> str:
    """What a speed record is of: a network that is trained, or a variant that is sampled."""
    return record.training.network if record.training else record.card


def step_of(record: SpeedRecord) -> str:
    """What is timed: sampling, or a form of a training step."""
    return f"training, {record.training.form}" if record.training else "sampling"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _speed_notes(rates: Sequence[SpeedRecord]) -> Iterator[str]:
    first = rates[0]
    weights = dict.fromkeys(f"{rate.card}: {rate.weight_kind}" for rate in rates if rate.card)
    yield (
        f"{first.arithmetic}, clock: {first.clock}, protocol {first.protocol} "
        f"[{first.protocol_digest}], run {first.run}, genbench {first.environment.genbench}, "
        f"torch {first.environment.packages.get('torch')}"
    )
    if weights:
        yield f"weights: {', '.join(weights)}"
    for rate in rates:
        if rate.flops_per_image and not rate.training:
            published = rate.published_flops_per_image
            beside = (
                f", {shown_flops(published)} as published (layers are folded)" if published else ""
            )
            yield (
                f"{rate.card} at batch {rate.batch}: {shown_flops(rate.flops_per_image)} an image "
                f"as run{beside}"
            )
        if rate.timing is not None:
            told = rate.timing
            yield (
                f"{rate.card} at batch {rate.batch}: {told.calls} calls in "
                f"{told.wall_seconds:.1f} s, median {told.median_seconds * 1e3:.1f} ms, "
                f"interquartile range {told.iqr_seconds * 1e3:.1f} ms"
            )
        if rate.sweep is not None:
            curve = "; ".join(
                f"{point.batch}: {in_full(point.rate)}" for point in rate.sweep.points
            )
            yield f"batch sweep of {rate.card}: {curve} images/s; {rate.sweep.ended}"
        if rate.host_copy_seconds is not None:
            yield (
                f"copying {rate.batch} images of {rate.card} to the host takes "
                f"{rate.host_copy_seconds * 1e3:.2f} ms more a batch, not in the rate"
            )
    for note in dict.fromkeys(
        f"{network_of(rate)}: {note}" for rate in rates for note in rate.notes
    ):
        yield f"note: {note}"
