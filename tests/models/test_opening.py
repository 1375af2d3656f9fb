"""Models resolved once, then opened: what is refused, what is pinned, what the identity holds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from genbench.detectors.checked import CheckedDetector
from genbench.errors import GenbenchError, UsageError
from genbench.models import naming, opening
from genbench.models.contract import Adapter, ModelCard
from genbench.models.noise import NoiseStream
from genbench.models.opening import ModelRequest, ResolvedModel, open_model, resolve
from genbench.models.registry import find_adapter
from genbench.models.source import ModelSource, SampleSpec
from genbench.runtime.arithmetic import ARITHMETICS, FLOAT32, Switches, pinned, switches
from genbench.runtime.entry_points import Announced

CPU, GPU = torch.device("cpu"), torch.device("cuda")
EXACT = Switches(tf32=False, autotuned=False, deterministic=True)


def test_a_request_comes_down_to_adapter_card_and_options() -> None:
    found = resolve(ModelRequest(name="toy", resolution=64, options={"contrast": "0.25"}))
    assert (found.card.name, found.arithmetic, found.unknown) == ("toy-64", FLOAT32, ())
    assert getattr(found.adapter, "contrast") == 0.25  # noqa: B009
    assert "contrast" in found.options
    assert resolve(ModelRequest(name="toy", dtype="bfloat16")).arithmetic.name == "bfloat16"


def test_options_that_the_family_has_not_are_told_or_refused() -> None:
    request = ModelRequest(name="toy", options={"contrast": "0.5", "steps": "3"})
    assert resolve(request, lenient=True).unknown == ("steps",)
    with pytest.raises(UsageError, match="model toy has no option --steps; known: contrast"):
        resolve(request)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ModelRequest(name="toi"), "did you mean toy"),
        (ModelRequest(name="toy", resolution=48), "no variant at resolution 48; it has 32, 64"),
        (ModelRequest(name="toy", variant="toy-33"), "did you mean toy-32"),
        (ModelRequest(name="toy", dtype="float64"), "one of float32, tf32"),
        (ModelRequest(name="toy", batch_size=0), "at least 1"),
        (ModelRequest(name="toy", options={"contrast": "much"}), "must be of type float"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_loaded(
    request_: ModelRequest, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        resolve(request_)


def test_an_adapter_is_found_once_for_a_whole_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    import genbench

    found: list[str] = []
    find = find_adapter

    def counted(name: str) -> Announced:
        found.append(name)
        return find(name)

    monkeypatch.setattr(naming, "find_adapter", counted)
    genbench.evaluate(
        "toy", resolution=32, counts=(20,), protocol="bundled", reference="bundled[:20]",
        metrics=("fd",), device="cpu",
    )  # fmt: skip
    assert found == ["toy"]


class Looking:
    """A generator that looks how torch's switches stand while it draws."""

    def __init__(self) -> None:
        self.seen: list[Switches] = []

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        self.seen.append(switches(GPU))
        return torch.zeros(len(noise), 3, 8, 8, dtype=torch.uint8)


@pytest.mark.parametrize("name", ["float32", "tf32", "float16"])
def test_sampling_pins_the_models_arithmetic(name: str) -> None:
    generator = Looking()
    spec = SampleSpec(model="looking", card="looking-8", resolution=8, dtype=name, block=2)
    card = ModelCard(name="looking-8", resolution=8)
    source = ModelSource(generator, spec, card, CPU)
    with pinned(ARITHMETICS["tf32"], fastest=True):  # whatever stood before
        list(source.images(0, 3))
    wanted = Switches(tf32=name == "tf32", autotuned=False, deterministic=True)
    assert generator.seen == [wanted, wanted]


class LookingDetector:
    name, layers, identity = "looking", {"pool": 1}, {"made": "here"}

    def __init__(self) -> None:
        self.seen: list[Switches] = []

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        self.seen.append(switches(GPU))
        return {"pool": images.float().mean(dim=(1, 2, 3))[:, None]}


def test_detecting_pins_float32() -> None:
    detector = LookingDetector()
    checked = CheckedDetector(detector, name="looking", layers=["pool"])
    with pinned(ARITHMETICS["tf32"], fastest=True):
        checked(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert detector.seen == [EXACT]


def test_the_switches_are_part_of_a_samples_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_model(resolve(ModelRequest(name="toy")), CPU)
    assert source.identity()["switches"] == {
        "tf32": False, "autotuned": False, "deterministic": False,
    }  # fmt: skip
    monkeypatch.setattr(opening, "switches", lambda device: EXACT)
    other = open_model(resolve(ModelRequest(name="toy")), CPU)
    assert other.digest() != source.digest()
    with pytest.raises(UsageError, match="use float32 on a CPU"):
        open_model(resolve(ModelRequest(name="toy", dtype="tf32")), CPU)


def test_a_source_is_whole_when_it_is_made() -> None:
    source = open_model(resolve(ModelRequest(name="hit", resolution=32)), CPU)
    assert (source.device, source.checkpoint, source.size) == (CPU, "model.safetensors", (32, 32))
    other = source.asked_otherwise(block=3, seed=5)
    assert (other.checkpoint, other.spec.block, other.spec.seed) == ("model.safetensors", 3, 5)
    assert source.spec.seed == 0
    subject = source.subject()
    assert (subject.card, subject.arithmetic, subject.labels) == ("hit-32", "float32", "")


def test_a_stub_of_an_adapter_is_enough() -> None:
    class Least:
        cards: Sequence[ModelCard] = (ModelCard(name="least-8", resolution=8),)

        def load(
            self, card: ModelCard, checkpoint: object, device: torch.device, dtype: torch.dtype
        ) -> Looking:
            return Looking()

    adapter: Adapter = Least()
    model = ResolvedModel(
        request=ModelRequest(name="least"), adapter=adapter, card=adapter.cards[0],
        arithmetic=FLOAT32,
    )  # fmt: skip
    assert next(open_model(model, CPU).images(0, 4)).shape == (4, 3, 8, 8)


def test_kernels_that_mean_something_else_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Convolving:
        kernels = (3, 5)  # sizes, as a network may well call them

    monkeypatch.setattr(opening, "_loaded", lambda *_: Convolving())
    with pytest.raises(GenbenchError, match="`kernels` of the generator of toy is a tuple: it nam"):
        open_model(resolve(ModelRequest(name="toy")), CPU)


def test_the_gpus_name_is_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    monkeypatch.setattr(opening, "_loaded", lambda *_: object())
    source = open_model(resolve(ModelRequest(name="toy")), GPU)
    assert source.identity()["device_type"] == "cuda NVIDIA H200"


def test_on_a_cpu_the_memory_that_networks_free_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(opening, "keep_freed_memory", lambda: asked.append(1))
    open_model(resolve(ModelRequest(name="toy")), CPU)
    assert asked == [1]
