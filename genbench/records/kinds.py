"""The two kinds of record: a figure of quality, and a figure of speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge

from genbench.metrics.settings import MetricSettings
from genbench.records.measurement import Measurement

# What a rate of another GPU rests on; never mixed.
Tier = Literal["measured", "theoretical", "projected"]


@dataclass(frozen=True, kw_only=True)
class QualityRecord(Measurement):
    """A metric of samples, against a reference or alone.

    nfe: network evaluations of one sample, counted; None: nobody counted. nfe_guidance: of networks
    that only steer, such as a classifier. detector_identity: everything that decides its features.
    settings: the metric's own (k, splits, subsets …). singular: whether the covariance of so few
    samples has no full rank, which biases a Fréchet distance upwards. exact: the figure by exact
    distances, where the value is by the float16 ones of ADM's evaluator. reference_bias: what the
    finite reference adds to a Fréchet distance, about: None where nobody computed it. training:
    the images that the model learned from, of a figure that compares with them. step: of the
    training, of a checkpoint that was measured while it ran. labels_digest: of the samples' labels,
    of a figure that needs them, and reference_labels_digest of the reference's.
    """

    kind: Literal["quality"] = "quality"
    detector: str
    detector_identity: Mapping[str, str] = field(default_factory=dict)
    settings: MetricSettings | None = None
    singular: bool = False
    exact: float | None = None
    reference_bias: float | None = None
    nfe: float | None = None
    nfe_guidance: float | None = None
    samples_digest: str = ""
    reference: str = ""
    reference_digest: str = ""
    reference_samples: int = 0
    labels_digest: str = ""
    reference_labels_digest: str = ""
    training: str = ""
    training_digest: str = ""
    step: Annotated[int, Ge(0)] | None = None


@dataclass(frozen=True, kw_only=True)
class WarmUpFacts:
    """What it took before times repeated themselves. seconds: of all calls; first: of the first,
    which compiles and tunes; typical: of a call at the end."""

    calls: int
    seconds: float
    first: float
    typical: float
    steady: bool


@dataclass(frozen=True, kw_only=True)
class TimingFacts:
    """What a measured window says beside its trials. busy: share of the wall clock in which the
    device computed (on a CPU, that the calls account for); host_bound: whether it waited for the
    host."""

    calls: int
    wall_seconds: float
    processor_seconds: float
    median_seconds: float
    iqr_seconds: float
    busy: float
    host_bound: bool
    warm_up: WarmUpFacts


@dataclass(frozen=True, kw_only=True)
class WorkFacts:
    """FLOP/s reached, and the shares of the datasheet's peak and of a large product measured in the
    same arithmetic. convention: how FLOPs are counted."""

    convention: str
    achieved_flops: float
    datasheet_flops: float | None = None
    utilisation_datasheet: float | None = None
    matmul_flops: float
    utilisation_matmul: float


class SweptBatch(NamedTuple):
    """One batch size of a sweep: images a second, and bytes at the peak."""

    batch: int
    rate: float
    memory: int


@dataclass(frozen=True, kw_only=True)
class SweepFacts:
    """The batch sizes tried before the best was measured. of: "single evaluations" of a long
    trajectory, or "whole calls"."""

    points: tuple[SweptBatch, ...]
    ended: str
    of: str


@dataclass(frozen=True, kw_only=True)
class PowerFacts:
    """What NVML saw while the window lasted: means, and the ends of the clock; None for what it
    does not tell."""

    samples: int
    mean_watts: float | None
    sm_clock_mhz: tuple[int, int] | None
    memory_clock_mhz: int | None
    temperature_c: int | None
    power_capped: bool
    throttled: tuple[str, ...] = ()
    energy_joules: float | None = None
    joules_per_image: float | None
    energy_from: Literal["mean power", "energy counter"] | None


@dataclass(frozen=True, kw_only=True)
class TrainingFacts:
    """Which network an optimiser step is of, and how the step was implemented. published_batch:
    whether the batch is the paper's a GPU."""

    network: str
    form: str
    implementation: str
    published_batch: bool | None = None
    flops_rule: str = ""


@dataclass(frozen=True, kw_only=True)
class TargetFacts:
    """The GPU whose second a rate is expressed in, and what the rate follows from."""

    gpu: str
    how: str


@dataclass(frozen=True, kw_only=True)
class SpeedRecord(Measurement):
    """A rate, a latency or a peak of memory: of the device at hand or, by tier, of a target GPU.

    gpu: name of the device's datasheet; empty without one. batch: None for what has none.
    flops_per_image: as the network was run; None where there is no product to count.
    published_flops_per_image: of the network as published, where layers are folded into less work:
    what another GPU's seconds are reckoned by; None: the same. statistic: of the trials, where the
    value is not their mean.
    """

    kind: Literal["speed"] = "speed"
    mode: Literal["sample", "train"] | None = None
    tier: Tier = "measured"
    gpu: str = ""
    clock: str = ""
    batch: Annotated[int, Ge(1)] | None = None
    batch_rule: str = ""
    statistic: str = ""
    evaluations: int | None = None  # network calls of one image
    host_copy_seconds: float | None = None  # of a batch, not in the rate
    flops_per_image: float | None = None
    published_flops_per_image: float | None = None
    timing: TimingFacts | None = None
    work: WorkFacts | None = None
    sweep: SweepFacts | None = None
    power: PowerFacts | None = None
    training: TrainingFacts | None = None
    target: TargetFacts | None = None


Record = QualityRecord | SpeedRecord
