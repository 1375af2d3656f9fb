"""What every record holds: one number, what it was measured of, how, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge

from genbench.errors import GenbenchError

# "given": a file that the user named, of which no more is known
WeightKind = Literal["official", "converted", "trained-here", "random-init", "given", "none"]
Scalar = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What was measured: a model with its settings, or an image set.

    model: the model or, for image sets, the name of the samples. resolution: side in pixels, 0 for
    images that are not square, whose `size` is (height, width). arithmetic: what the networks
    computed in ("float32", "tf32", "float16", "bfloat16"). labels: the schedule; empty without
    classes. block: samples of one network call, whose size moves last bits. compiled: whether
    torch.compile made the networks, which moves them too; None for an image set and where nobody
    told. kernels: operations that kernels of genbench's own made as one where they could be made,
    which moves them as well. code_digest: of the adapter's sources.
    """

    model: str
    resolution: Annotated[int, Ge(0)]
    size: tuple[int, int] | None = None
    card: str = ""
    checkpoint: str = ""  # file name of the weights
    checkpoint_digest: str = ""
    weight_kind: WeightKind = "none"
    options: Mapping[str, Scalar] = field(default_factory=dict)  # the family's own
    arithmetic: str = ""
    block: int | None = None
    compiled: bool | None = None
    kernels: str | None = None
    labels: str = ""
    seed: int | None = None
    code_digest: str = ""


@dataclass(frozen=True, kw_only=True)
class GpuFacts:
    """What identifies a GPU; what NVML does not tell is None."""

    name: str
    capability: str
    memory_bytes: int
    processors: int
    count: int  # GPUs of the machine
    alike: int  # of this type
    cudnn: int | None = None
    cublas_workspace: str = ""
    driver: str | None = None
    power_limit_watts: float | None = None
    max_sm_clock_mhz: int | None = None
    persistence: bool | None = None
    mig: bool | None = None
    ecc: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where a figure was computed, and how torch's switches stood while it was.

    packages: installed versions of the libraries that can change a figure. system: the operating
    system's release. instructions: the widest that torch's CPU kernels use ("AVX512"), which move
    last bits. Both are empty in records that did not tell. tf32, autotuned, deterministic: see
    genbench.runtime.arithmetic.Switches; None in records of format 1, which did not tell.
    load_average: of the machine, when a speed measurement began.
    """

    genbench: str = ""
    git: str = ""
    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    system: str = ""
    instructions: str = ""
    device: str = "an unnamed device"  # as its maker calls it
    device_type: str = ""
    cuda: str = ""
    threads: int | None = None
    processors: int | None = None
    processes: int = 1
    tf32: bool | None = None
    autotuned: bool | None = None
    deterministic: bool | None = None
    command: tuple[str, ...] = ()
    gpu: GpuFacts | None = None
    load_average: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Measurement(Subject):
    """One number with everything needed to cite it and to compute it again.

    A quality or a speed record (genbench.records.kinds): the base alone is never written. samples:
    images behind the number. interval: how [low, high] was computed. notes: for people; what a
    program must know is a field. name: that the user gave the run, for tables and to find it by.
    """

    metric: str  # "fid" only when the detector is Inception, else "fd", ...
    value: float
    unit: str
    samples: Annotated[int, Ge(0)]
    protocol: str
    protocol_digest: str
    run: str
    environment: Environment
    low: float | None = None
    high: float | None = None
    interval: str = ""
    trials: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    created: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        low, high = self.low, self.high
        if (low is None) != (high is None) or (low is not None and high is not None and low > high):
            raise GenbenchError(f"low {low} and high {high} are no interval: give both, in order")
