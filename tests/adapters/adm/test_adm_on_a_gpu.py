"""What ADM promises of a GPU, as far as a CPU can tell: no waiting, the same gradient every time,
small gradients kept in half precision, a step that a graph can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

import pytest
import torch
from adm_files import CLASSIFIER, UNET, filled
from synchronisations import GPU, synchronisations
from torch import Tensor
from torch.nn import functional

from genbench.errors import UsageError
from genbench.models.noise import NoiseStream
from genbench_adapters.adm.adapter import AdmGuided
from genbench_adapters.adm.generator import AdmGenerator
from genbench_adapters.adm.graphs import Graphed
from genbench_adapters.adm.network import AttentionBlock, Classifier, SuperResUNet, UNet
from genbench_adapters.adm.sampler import Sampling, Tables, classifier_guide, one_step, walk
from genbench_adapters.adm.schedule import respaced

Kind = Literal["ddpm", "ddim"]


def sampling(kind: Kind, eta: float = 0.0, steps: str = "2") -> Sampling:
    return Sampling(schedule=respaced("linear", 1000, steps), kind=kind, eta=eta)


@pytest.mark.parametrize(("kind", "eta"), [("ddpm", 0.0), ("ddim", 0.0), ("ddim", 0.5)])
def test_no_step_waits_for_the_device(kind: Kind, eta: float) -> None:
    with GPU:
        unet, classifier = UNet(UNET).eval(), Classifier(CLASSIFIER).eval().requires_grad_(False)
    unet.use_fused_attention(True)
    for network in (unet, classifier):
        network.convolutions_to(torch.float16)
    tables = Tables(sampling(kind, eta), GPU)
    labels = torch.zeros(2, dtype=torch.int64, device=GPU)

    def denoise(x: Tensor, timesteps: Tensor) -> Tensor:
        out: Tensor = unet(x, timesteps, labels)
        return out

    with torch.inference_mode(), synchronisations() as waits:
        guide = classifier_guide(classifier, labels, 2.0)
        step = partial(one_step, denoise, tables, guide)
        for x, _ in walk(step, tables, lambda _: torch.empty(2, 3, 16, 16, device=GPU)):
            assert x.shape == (2, 3, 16, 16)
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
        for indices in ([0, 1], [2, 3], [4]):  # other labels and noise, and another size
            stream, labels = NoiseStream(5, torch.tensor(indices)), torch.tensor(indices) % 10
            expected, ours = eager.sample(labels, stream), recorded.sample(labels, stream)
            assert torch.equal(ours, expected)
    assert recorded.evaluations == eager.evaluations == (4 if upsampled else 2)
    assert recorded.guide_evaluations == 2
    # One graph for all steps of a size and network.
    assert len(recordings) == (4 if upsampled else 2)


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
