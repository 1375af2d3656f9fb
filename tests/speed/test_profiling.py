"""Where the time of a call goes: events in groups, of a GPU's kernels and of a CPU's operators."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from strangers import genbench
from torch.profiler import DeviceType

from genbench.errors import GenbenchError
from genbench.models.contract import ModelCard
from genbench.models.noise import NoiseStream
from genbench.models.opening import ModelRequest, open_model, resolve
from genbench.models.optional import Evaluation
from genbench.models.source import ModelSource, SampleSpec
from genbench.runtime.arithmetic import ARITHMETICS
from genbench.speed.instruments import Laboratory
from genbench.speed.memory import HostMeter
from genbench.speed.profiling import (
    Profile,
    flops_by_group,
    group_of,
    profile_sampling,
    seconds_by_group,
)
from genbench.speed.sampling import ImageCost
from genbench.speed.stopwatches import HostStopwatch

CPU = torch.device("cpu")
LAB = Laboratory(
    device=CPU, stopwatch=HostStopwatch(), memory=HostMeter(), seconds=0.1,
    matmuls={"float32": 1e12},
)  # fmt: skip


@dataclass
class Kernel:
    name: str
    duration: float  # microseconds


@dataclass
class Event:
    name: str
    self_cpu_time_total: float = 0.0
    kernels: Sequence[Kernel] = ()
    device_type: DeviceType = DeviceType.CPU
    cpu_parent: Event | None = field(default=None, repr=False)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("aten::cudnn_convolution", "convolutions"),
        ("aten::convolution_backward", "convolutions"),
        ("aten::addmm", "products"),
        ("ampere_sgemm_128x64_tn", "products"),
        ("aten::_scaled_dot_product_flash_attention", "attention"),
        ("aten::_softmax", "attention"),
        ("aten::native_group_norm", "normalisation"),
        ("triton_red_fused_native_group_norm_3", "normalisation"),
        ("aten::batch_norm", "normalisation"),
        ("aten::silu", "pointwise"),
        ("aten::add_", "pointwise"),
        ("aten::__rshift__", "pointwise"),
        ("triton_poi_fused_add_silu_0", "pointwise"),
        ("triton_poi_fused_convolution_relu_0", "pointwise"),
        ("triton_poi_fused__softmax_3", "pointwise"),
        ("triton_per_fused__softmax_4", "normalisation"),
        ("triton_red_fused_convolution_native_group_norm_1", "normalisation"),
        ("triton_tem_fused_convolution_2", "convolutions"),
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NNT", "products"),
        ("maxwell_scudnn_128x64_relu_medium_nn_v0", "convolutions"),
        ("void cudnn::ops::nchwToNhwcKernel<__half, float>", "copies"),
        ("void cudnn::engines_precompiled::nhwcToNchwKernel<float>", "copies"),
        ("aten::copy_", "copies"),
        ("Memcpy DtoH (Device -> Pinned)", "copies"),
        ("aten::empty_strided", "copies"),
        ("aten::view", "other"),
    ],
)
def test_names_say_the_group(name: str, group: str) -> None:
    assert group_of(name) == group


def test_a_kernel_belongs_to_its_operator_and_counts_once() -> None:
    noise = Event("noise", kernels=[Kernel("void elementwise_kernel", 1e6)])
    events = [
        noise,
        Event("aten::mul", kernels=[Kernel("void elementwise_kernel", 2e6)], cpu_parent=noise),
        Event("aten::cudnn_convolution", kernels=[Kernel("cutlass_gemm", 4e6)]),
        Event("Torch-Compiled Region", kernels=[Kernel("triton_poi_fused_add", 8e6)]),
        Event("cutlass_gemm", device_type=DeviceType.CUDA),  # the kernel's own, once more
        Event("aten::view", self_cpu_time_total=5e6),  # of the host, for which nothing waits
    ]
    seconds, calls = seconds_by_group(events, on_gpu=True)
    assert seconds == {"noise": 3.0, "convolutions": 4.0, "pointwise": 8.0}
    assert calls == {"noise": 2, "convolutions": 1, "pointwise": 1}
    seconds, _ = seconds_by_group(events, on_gpu=False)
    assert seconds["other"] == 5.0


def profile_of(source: ModelSource, evaluations: int, folder: Path) -> Profile:
    cost = ImageCost(flops=0, published=0, evaluations=evaluations, seconds=0.0)
    flops = flops_by_group(source)
    return profile_sampling(source, cost, flops, 2, LAB, ARITHMETICS["float32"], folder)


def test_a_gan_is_convolutions_and_noise(tmp_path: Path) -> None:
    source = open_model(resolve(ModelRequest(name="biggan-deep")), CPU)
    flops = flops_by_group(source)
    found = profile_of(source, 1, tmp_path)
    groups = {group.name: group for group in found.groups}
    assert {"convolutions", "noise", "pointwise", "products"} <= set(groups)
    convolutions = groups["convolutions"]
    assert convolutions.ceiling == pytest.approx(
        2 * flops["convolutions"] / convolutions.seconds / 1e12
    )
    assert groups["noise"].ceiling is None
    spent = [group.seconds for group in found.groups]
    assert spent == sorted(spent, reverse=True)  # longest first
    assert spent[0] > spent[-1]
    assert found.whole
    assert found.wall > found.busy > 0.5 * found.wall
    (trace,) = found.traces
    assert trace == tmp_path / "biggan-deep-32-2.json"
    names = {event.get("name") for event in json.loads(trace.read_text())["traceEvents"]}
    assert {"noise", "aten::convolution"} <= names


class Long:
    """Two networks, of which a sampler makes 300 calls and 7."""

    def sample(self, labels: torch.Tensor | None, noise: NoiseStream) -> torch.Tensor:
        raise AssertionError("a long trajectory is not waited for")

    def repeated(self, labels: torch.Tensor | None, noise: NoiseStream) -> list[Evaluation]:
        x = torch.ones(len(noise), 4)
        return [(lambda: x @ torch.ones(4, 4), 300), (lambda: torch.relu(x), 7)]


def test_a_long_trajectory_is_its_network_calls(tmp_path: Path) -> None:
    card = ModelCard(name="long-4", resolution=4)
    spec = SampleSpec(model="long", card="long-4", resolution=4)
    found = profile_of(ModelSource(Long(), spec, card, CPU), 307, tmp_path)
    calls = {group.name: group.calls for group in found.groups}
    assert calls["products"] == 300  # aten::matmul, not aten::mm within it
    assert calls["pointwise"] == 7
    assert not found.whole
    assert [trace.name for trace in found.traces] == ["long-4-2-1.json", "long-4-2-2.json"]


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = open_model(resolve(ModelRequest(name="toy")), CPU)
    with pytest.raises(GenbenchError, match="pass another folder to --profile"):
        profile_of(source, 1, tmp_path / "file" / "traces")


def test_the_command_shows_the_table_and_names_the_trace(tmp_path: Path) -> None:
    words = ("throughput", "-m", "toy", "--res", "32", "--batch", "2", "--seconds", "0.02")
    run = genbench(*words, "--records", tmp_path / "r.jsonl", "--profile", tmp_path / "traces")
    assert run.returncode == 0, run.stderr
    assert "toy-32, batch 2: a call of" in run.stdout
    assert "pointwise" in run.stdout
    assert f"trace: {tmp_path / 'traces' / 'toy-32-2.json'}" in run.stdout
    refused = genbench(*words, "--train", "--profile", tmp_path)
    assert refused.returncode == 2
    assert "--profile looks into sampling" in refused.stderr
