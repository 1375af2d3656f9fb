"""What ADM promises of a GPU, as far as a CPU can tell: no waiting, the same gradient every time,
small gradients kept in half precision, a step that a graph can hold."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal, cast

import pytest
import torch
from adm_files import CLASSIFIER, UNET, filled
from synchronisations import GPU, synchronisations
from torch import Tensor
from torch.nn import functional

from genbench.errors import GenbenchError, UsageError
from genbench.images.rounding import finiteness_left, to_uint8
from genbench.models.noise import NoiseStream
from genbench_adapters.adm import graphs
from genbench_adapters.adm.adapter import AdmGuided
from genbench_adapters.adm.generator import AdmGenerator
from genbench_adapters.adm.graphs import Graphed
from genbench_adapters.adm.network import AttentionBlock, Classifier, SuperResUNet, UNet
from genbench_adapters.adm.sampler import Sampling, Tables, classifier_guide, trajectory
from genbench_adapters.adm.schedule import respaced

Kind = Literal["ddpm", "ddim"]
INDICES = torch.arange(2, device=GPU)


def sampling(kind: Kind, eta: float = 0.0, steps: str = "2") -> Sampling:
    return Sampling(schedule=respaced("linear", 1000, steps), kind=kind, eta=eta)


@pytest.mark.parametrize(
    ("kind", "eta", "record"), [("ddpm", 0.0, False), ("ddim", 0.0, False), ("ddim", 0.5, True)]
)
def test_no_step_waits_for_the_device(kind: Kind, eta: float, record: bool) -> None:
    """A recorded one holds its draw as well."""
    with GPU:
        unet, classifier = UNet(UNET).eval(), Classifier(CLASSIFIER).eval().requires_grad_(False)
    unet.use_fused_attention(True)
    for network in (unet, classifier):
        network.convolutions_to(torch.float16)
    made = AdmGenerator(unet, sampling(kind, eta), 16, (classifier, 2.0))
    labels, stream = torch.zeros(2, dtype=torch.int64, device=GPU), NoiseStream(0, INDICES, GPU)
    if record:
        made.record_steps(partial(Graphed, recorder=rerun))
    with torch.inference_mode(), finiteness_left(), synchronisations() as waits:
        assert made.sample(labels, stream).shape == (2, 3, 16, 16)
    assert waits == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_small_gradients_survive_half_precision(dtype: torch.dtype) -> None:
    """Of a classifier so sure of itself that its gradients are subnormal numbers of float16."""
    classifier = filled(Classifier(CLASSIFIER))
    with torch.no_grad():
        classifier.get_parameter("out.2.c_proj.weight").mul_(1e-4)
    x = NoiseStream(2, torch.arange(2)).normal((3, 16, 16))
    given = (x, torch.tensor([300, 20]))
    labels = torch.tensor([4, 7])
    exact = classifier_guide(classifier, labels, 2.0)(*given)
    assert 0 < exact.abs().max() < 6e-5  # float16 has no normal numbers below
    classifier.convolutions_to(dtype)
    half = classifier_guide(classifier, labels, 2.0)(*given)
    assert half.dtype == torch.float32
    bound = {torch.float16: 0.01, torch.bfloat16: 0.06}[dtype]
    assert (half - exact).norm() < bound * exact.norm()


def test_a_classifier_never_takes_the_fused_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose gradient on a GPU depends on the order in which its threads finish."""
    made = AdmGuided(attention="fused").load_random(
        AdmGuided.cards[0], torch.device("cpu"), torch.float32
    )
    assert made.guidance is not None
    blocks = [module for module in made.unet.modules() if isinstance(module, AttentionBlock)]
    assert blocks
    assert all(block.fused for block in blocks)

    def refused(*_: object, **__: object) -> Tensor:
        raise AssertionError("the fused attention was called")

    monkeypatch.setattr(functional, "scaled_dot_product_attention", refused)
    x, t = torch.zeros(1, 3, 32, 32), torch.tensor([5])
    guide = classifier_guide(made.guidance[0].requires_grad_(False), torch.tensor([1]), 1.0)
    assert guide(x, t).shape == x.shape
    with pytest.raises(AssertionError, match="was called"):
        made.unet(x, t, torch.tensor([1]))


def rerun(
    function: Callable[[], tuple[Tensor, ...]],
) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
    """A recorder for a CPU: as a graph, it reads and writes the tensors of the recording alone."""
    outputs = function()

    def replay() -> None:
        for held, made in zip(outputs, function(), strict=True):
            held.copy_(made)

    return outputs, replay


def generator(kind: Kind, eta: float, *, upsampled: bool = False) -> AdmGenerator:
    guidance = (filled(Classifier(CLASSIFIER)), 3.0)
    made = AdmGenerator(filled(UNet(UNET)), sampling(kind, eta), 16, guidance)
    if upsampled:
        large = filled(SuperResUNet(replace(UNET, image_size=32)))
        made.add_upsampler(large, sampling("ddpm"), 32)
    return made


@pytest.mark.parametrize(
    ("kind", "eta", "upsampled"),
    [("ddpm", 0.0, True), ("ddim", 0.0, False), ("ddim", 0.5, False)],
)
def test_recorded_steps_give_the_same_bits(kind: Kind, eta: float, upsampled: bool) -> None:
    eager = generator(kind, eta, upsampled=upsampled)
    recorded = generator(kind, eta, upsampled=upsampled)
    recordings = []

    def counted(
        function: Callable[[], tuple[Tensor, ...]],
    ) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        recordings.append(function)
        return rerun(function)

    recorded.record_steps(partial(Graphed, recorder=counted))
    with torch.inference_mode():
        # Other labels and noise; another size; another seed.
        for seed, indices in ((5, [0, 1]), (5, [2, 3]), (5, [4]), (6, [4])):
            stream, labels = NoiseStream(seed, torch.tensor(indices)), torch.tensor(indices) % 10
            expected, ours = eager.sample(labels, stream), recorded.sample(labels, stream)
            assert torch.equal(ours, expected)
    assert recorded.evaluations == eager.evaluations == (4 if upsampled else 2)
    assert recorded.guide_evaluations == 2
    # One graph for all steps of a size, a seed and a network.
    assert len(recordings) == (6 if upsampled else 3)


@pytest.mark.parametrize(("kind", "eta"), [("ddpm", 0.0), ("ddim", 0.5)])
def test_a_step_draws_what_its_number_says(kind: Kind, eta: float) -> None:
    """A number on the device, so that a graph can hold the draw."""
    made, labels = generator(kind, eta), torch.tensor([4, 7])
    assert made.guidance is not None
    stream = NoiseStream(5, torch.tensor([3, 2**33]))
    guide = classifier_guide(made.guidance[0], labels, made.guidance[1])
    with torch.inference_mode():
        *_, (x, _) = trajectory(
            lambda x, timesteps: made.unet(x, timesteps, labels), made.sampling,
            lambda number: stream.normal((3, 16, 16), step=number), guide=guide,
        )  # fmt: skip
        assert torch.equal(made.sample(labels, stream), to_uint8(x, rounding="truncate"))


def test_few_recordings_are_kept() -> None:
    recordings = []

    def counted(
        function: Callable[[], tuple[Tensor, ...]],
    ) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        recordings.append(function()[0].shape)
        return rerun(function)

    doubled = Graphed(lambda x: (x * 2,), recorder=counted)
    for size in (1, 2, 3, 4, 1, 5, 1, 2):  # 5 drops 2, the longest unused
        assert torch.equal(doubled(torch.ones(size))[0], torch.full((size,), 2.0))
    assert [size for (size,) in recordings] == [1, 2, 3, 4, 5, 2]


def test_what_cannot_be_recorded_is_computed_step_by_step() -> None:
    calls: list[str] = []

    def failing(_: object) -> Any:
        calls.append("tried")
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA says more")

    doubled = Graphed(lambda x: (x * 2,), recorder=failing)
    with pytest.warns(UserWarning, match="one by one, .*RuntimeError: operation .* capturing.$"):
        assert doubled(torch.ones(2))[0].tolist() == [2, 2]
    assert doubled(torch.ones(2))[0].tolist() == [2, 2]
    assert calls == ["tried"]  # once for a set of shapes

    def refusing(error: Exception) -> Graphed:
        def recorder(_: object) -> Any:
            raise error

        return Graphed(lambda x: (x,), recorder=recorder)

    with pytest.raises(RuntimeError, match="out of memory"):  # fewer samples would fit
        refusing(RuntimeError("CUDA out of memory"))(torch.ones(2))
    with pytest.raises(GenbenchError, match="labels"):
        refusing(GenbenchError("guidance needs labels"))(torch.ones(2))


@pytest.mark.parametrize("fails", [False, True])
def test_how_a_graph_is_recorded(monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> None:
    """By torch's documentation: warmed and recorded on a stream beside the caller's, which is the
    current one afterwards, even where torch gave up halfway."""
    told: list[object] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            told.append(f"{self.name} waits for {other.name}")

    class Recording:
        def __enter__(self) -> None:
            told.append("begin")

        def __exit__(self, *_: object) -> None:
            told.append("end")
            if fails:
                raise RuntimeError("capture was invalidated")

    def graph(made: object, **options: object) -> Recording:
        assert options["pool"] == "pool"
        assert options["capture_error_mode"] == "thread_local"
        told.append(f"on {cast(Stream, options['stream']).name}")
        return Recording()

    caller, side = Stream("caller"), Stream("side")
    fakes = {
        "current_device": lambda: 0, "current_stream": lambda: caller, "graph": graph,
        "stream": lambda _: nullcontext(), "CUDAGraph": lambda: SimpleNamespace(replay="replay"),
        "set_stream": lambda stream: told.append(f"back on {stream.name}"),
    }  # fmt: skip
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(graphs, "_shared", lambda device: ("pool", side))

    def function() -> tuple[Tensor, ...]:
        told.append("call")
        return (torch.ones(1),)

    with pytest.raises(RuntimeError, match="invalidated") if fails else nullcontext():
        assert cast(object, graphs.recorded(function)[1]) == "replay"
    assert told == [
        "side waits for caller", "call", "call", "call", "caller waits for side", "on side",
        "begin", "call", "end", "back on caller",
    ]  # fmt: skip


def test_a_graph_keeps_nothing_of_the_call_before() -> None:
    doubled = Graphed(lambda x, y: (x * 2 if y is None else x + y,), recorder=rerun)
    one = torch.ones(2)
    first, second = doubled(one, None)[0], doubled(one * 5, None)[0]
    assert (first.tolist(), second.tolist()) == ([2, 2], [10, 10])
    assert doubled(one, one * 3)[0].tolist() == [4, 4]
    assert doubled(torch.ones(3), None)[0].shape == (3,)
    for kind in (torch.float16, torch.float64):
        assert doubled(one.to(kind), None)[0].dtype == kind


def test_graphs_are_refused_on_a_cpu() -> None:
    with pytest.raises(UsageError, match="--graph records the steps of a GPU: leave it out"):
        AdmGuided(graph=True).load_random(AdmGuided.cards[0], torch.device("cpu"), torch.float32)


@pytest.mark.gpu
def test_a_graph_of_a_gpu_gives_the_bits_of_single_steps() -> None:
    """Half precision, guided, draws and all; a second block is a replay alone."""
    if not torch.cuda.is_available():
        pytest.fail("the gpu mark was asked for but there is no CUDA device")
    device = torch.device("cuda")
    eager, recorded = generator("ddpm", 0.0), generator("ddpm", 0.0)
    for made in (eager, recorded):
        assert made.guidance is not None
        for network in (made.unet, made.guidance[0].requires_grad_(False)):
            network.to(device).to(memory_format=torch.channels_last)
            network.convolutions_to(torch.float16)
            network.use_fused_norms(True)
        made._tables = Tables(made.sampling, device)
    recorded.record_steps()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("error")  # neither the kernels nor the graph fall back
        for indices in ([0, 1], [2, 3]):
            stream = NoiseStream(5, torch.tensor(indices, device=device))
            labels = torch.tensor(indices, device=device)
            assert torch.equal(recorded.sample(labels, stream), eager.sample(labels, stream))
