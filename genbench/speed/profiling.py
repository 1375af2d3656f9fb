"""Where the time of a sampler call goes: torch's profiler, its events in groups, and a trace."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import DeviceType

from genbench.models.noise import NoiseStream
from genbench.models.source import ModelSource
from genbench.runtime.arithmetic import Arithmetic
from genbench.runtime.files import replacing
from genbench.speed.flops import evaluations_of, flops_by_operator
from genbench.speed.instruments import Laboratory
from genbench.speed.sampling import ImageCost
from genbench.speed.stopwatches import Work

NOISE, OTHER = "noise", "other"
# The first pattern found in an operator's or a kernel's name says its group.
_GROUPS = (
    # torch.compile names a kernel after all that it fuses, such as what follows a convolution.
    ("pointwise", r"^triton_poi"),
    ("normalisation", r"^triton_(red|per)"),
    ("copies", r"nchwtonhwc|nhwctonchw"),  # cuDNN's, around its convolutions
    ("attention", r"attention|flash|fmha|softmax"),
    ("convolutions", r"conv|fprop|dgrad|wgrad|winograd|scudnn"),
    ("products", r"::(mm|addmm|bmm|baddbmm|mv|dot|linear|matmul|einsum)$|gemm|gemv|cutlass|nvjet"),
    ("normalisation", r"norm|var_mean"),
    ("copies", r"copy|memcpy|memset|catarray|reorder|::(cat|clone|contiguous|stack|index|gather|"
     r"index_select|embedding|constant_pad_nd|arange|to|empty\w*|fill|zero|zeros|full|scalar_tensor)_?$"),
    ("pointwise", r"elementwise|pointwise|vectorized|::(add|sub|rsub|mul|div|neg|abs|exp"
     r"|log|sqrt|rsqrt|pow|square|reciprocal|sin|cos|tanh|sigmoid|silu|relu|gelu|leaky_relu|clamp|"
     r"clamp_min|clamp_max|minimum|maximum|where|round|floor|trunc|lerp|addcmul|addcdiv|remainder|"
     r"bitwise_\w+|__\w+__|lt|le|gt|ge|eq|ne|frexp|isfinite|\w+_backward)_?$"),
)  # fmt: skip
_PATTERNS = [(name, re.compile(pattern)) for name, pattern in _GROUPS]
_COUNTED = {"attention", "convolutions", "products"}  # whose FLOPs torch counts
_MOST_WHOLE = 50  # network calls; a longer trajectory is looked at by one of each of its own


@dataclass(frozen=True, kw_only=True)
class GroupTime:
    """Operations of one kind within a call. seconds: of the device; on a CPU, which is host too, of
    the calling thread. ceiling: share of the FLOP/s that the device can do in this arithmetic, None
    where nobody counts them."""

    name: str
    seconds: float
    calls: int
    ceiling: float | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A sampler call looked into. wall: its seconds, on a GPU without the profiler, which slows the
    host down and not the device. groups: longest first. whole: whether all of it was looked at, or
    one of each of its network calls, times how often it makes them. traces: the files."""

    card: str
    batch: int
    wall: float
    groups: tuple[GroupTime, ...]
    whole: bool
    traces: tuple[Path, ...]

    @property
    def busy(self) -> float:
        """Seconds of all groups."""
        return sum(group.seconds for group in self.groups)


@dataclass(frozen=True)
class Profiling:
    """Asked for: traces in a folder, and to be told of each profile."""

    folder: Path
    told: Callable[[Profile], object]


class _ToldNoise(NoiseStream):
    """Random numbers whose making a profile tells from the networks' operations."""

    def normal(self, *given: Any, **named: Any) -> Tensor:
        with torch.profiler.record_function(NOISE):
            return super().normal(*given, **named)

    def normal_steps(self, *given: Any, **named: Any) -> Tensor:
        with torch.profiler.record_function(NOISE):
            return super().normal_steps(*given, **named)

    def uniform(self, *given: Any, **named: Any) -> Tensor:
        with torch.profiler.record_function(NOISE):
            return super().uniform(*given, **named)

    def integers(self, *given: Any, **named: Any) -> Tensor:
        with torch.profiler.record_function(NOISE):
            return super().integers(*given, **named)


def profile_sampling(
    source: ModelSource, cost: ImageCost, flops: Mapping[str, int], batch: int, lab: Laboratory,
    arithmetic: Arithmetic, folder: Path,
) -> Profile:  # fmt: skip
    """Look into a call that draws `batch` samples, after one that warms up and one for its length.

    flops: of one image (`flops_by_group`). The traces go to `folder`, for ui.perfetto.dev or
    chrome://tracing. Raises GenbenchError for a folder that cannot be written.
    """
    whole = cost.evaluations <= _MOST_WHOLE
    seconds: defaultdict[str, float] = defaultdict(float)
    calls, wall, traces = Counter[str](), 0.0, []
    for number, (work, times) in enumerate(_parts(source, batch, whole=whole)):
        suffix = "" if whole else f"-{number + 1}"
        traces.append(folder / f"{source.spec.card}-{batch}{suffix}.json")
        with torch.inference_mode():
            lab.stopwatch.window(work, 0, 1)
            alone = lab.stopwatch.window(work, 1, 1).wall
            found, made, profiled = _looked_into(work, lab.device, traces[-1])
        wall += times * (alone if lab.device.type == "cuda" else profiled)
        for name in found:
            seconds[name] += times * found[name]
            calls[name] += times * made[name]
    peak = _peak(lab, arithmetic) if flops else 0.0
    groups = [
        GroupTime(
            name=name, seconds=spent, calls=calls[name],
            ceiling=batch * flops[name] / spent / peak if name in flops and spent else None,
        )
        for name, spent in seconds.items()
    ]  # fmt: skip
    return Profile(
        card=source.spec.card, batch=batch, wall=wall, whole=whole, traces=tuple(traces),
        groups=tuple(sorted(groups, key=lambda group: -group.seconds)),
    )  # fmt: skip


def _parts(source: ModelSource, batch: int, *, whole: bool) -> list[tuple[Work, int]]:
    """A whole call, or each network call of it and how often it is made."""
    labels, indices = source.labels(0, batch), torch.arange(batch)
    noise = _ToldNoise(source.spec.seed, indices, source.device)
    if whole:
        return [(lambda _: source.generator.sample(labels, noise), 1)]
    evaluations = evaluations_of(source.generator, labels, noise)
    return [(lambda _, call=call: call(), times) for call, times in evaluations]  # type: ignore[misc]


def flops_by_group(source: ModelSource) -> dict[str, int]:
    """FLOPs of one image by group, of networks that are not compiled, which the counter cannot look
    into; each kind of evaluation is made once."""
    found: Counter[str] = Counter()
    with torch.no_grad():
        for call, times in evaluations_of(
            source.generator, source.labels(0, 1), source.noise(0, 1)
        ):
            for operator, flops in flops_by_operator(call).items():
                found[group_of(operator)] += times * flops
    return {name: flops for name, flops in found.items() if name in _COUNTED}


def _peak(lab: Laboratory, arithmetic: Arithmetic) -> float:
    """FLOP/s that the device can do: its datasheet's, else those of a large product."""
    peak = lab.gpu.peak(arithmetic.name) if lab.gpu else None
    return peak or lab.matmul(arithmetic)


def _looked_into(
    work: Work, device: torch.device, trace: Path
) -> tuple[dict[str, float], dict[str, int], float]:
    """`seconds_by_group` of one call, and its seconds by the clock."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        begin = time.perf_counter()
        work(2)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        profiled = time.perf_counter() - begin
    with replacing(trace, remedy="pass another folder to --profile") as temporary:
        profiler.export_chrome_trace(str(temporary))
    events = profiler.events() or ()
    return *seconds_by_group(events, on_gpu=device.type == "cuda"), profiled


def seconds_by_group(
    events: Iterable[Any], *, on_gpu: bool
) -> tuple[dict[str, float], dict[str, int]]:
    """Seconds and operations of each group. events: torch.autograd.profiler_util.FunctionEvent; on
    a GPU its kernels count, each for the operator that started it, else its own time on the CPU."""
    seconds: defaultdict[str, float] = defaultdict(float)
    calls: Counter[str] = Counter()
    for event in events:
        if event.device_type != DeviceType.CPU:
            continue  # the same kernels once more, without the operator
        spent = [(event.name, event.self_cpu_time_total)]
        if on_gpu:
            spent = [(kernel.name, kernel.duration) for kernel in event.kernels]
        for kernel, microseconds in spent:
            name = _group_within(event, kernel)
            seconds[name] += microseconds / 1e6
            calls[name] += on_gpu or name != _parents_group(event)  # of operators the outermost
    return dict(seconds), dict(calls)


def _group_within(event: Any, kernel: str) -> str:
    """The group of an operator, or where its name tells nothing that of its kernel."""
    above = event
    while above is not None:
        if above.name == NOISE:
            return NOISE
        above = above.cpu_parent
    found = group_of(event.name)
    return group_of(kernel) if found == OTHER else found


def _parents_group(event: Any) -> str:
    parent = event.cpu_parent
    return "" if parent is None else _group_within(parent, parent.name)


def group_of(name: str) -> str:
    """The group of an operator ("aten::mm") or of a kernel, by its name."""
    lower = name.lower()
    return next((group for group, pattern in _PATTERNS if pattern.search(lower)), OTHER)
