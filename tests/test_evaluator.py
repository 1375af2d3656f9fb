"""genbench.Evaluator: in batches what `evaluate` gives at once, and within a real training."""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_detector import afar
from torch import Tensor, nn

import genbench
from genbench import Evaluator, GenbenchError, QualityRecord, UsageError
from genbench.quality import reading
from genbench.quality.seen import Seen
from genbench.runtime.progress import SilentReporter

ASKED: dict[str, Any] = {"reference": "bundled[300:420]", "protocol": "bundled"}
IMAGES = genbench.open_images("bundled[:130]").read(0, 130)
LABELS = torch.arange(130) * 7 % 10


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("genbench.quality.reading.create_detector", afar)
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))


def facts(records: Sequence[QualityRecord]) -> list[dict[str, Any]]:
    """All of the records but what is of the run and not of the images."""
    found = [asdict(record) for record in records]
    for values in found:
        del values["run"], values["created"]
    return found


def built(**more: Any) -> Evaluator:
    return Evaluator(**{"reporter": SilentReporter(), **ASKED, **more})


def fed(evaluator: Evaluator, *cuts: int, labels: bool = False) -> Evaluator:
    for begin, end in zip((0, *cuts), (*cuts, len(IMAGES)), strict=True):
        evaluator.update(IMAGES[begin:end], LABELS[begin:end] if labels else None)
    return evaluator


def evaluated(images: Any = IMAGES, **more: Any) -> Sequence[QualityRecord]:
    return genbench.evaluate(samples=images, reporter=SilentReporter(), **{**ASKED, **more})


def test_batches_of_any_size_give_the_records_of_all_images_at_once() -> None:
    asked = {"counts": (60, 130), "ci": True}
    whole = facts(evaluated(**asked))
    assert len(whole) > 6
    for cuts in ((), (1, 7, 120, 121), (50, 100)):
        assert facts(fed(built(**asked), *cuts).compute()) == whole


def test_labels_go_with_the_images() -> None:
    metrics = {"metrics": ("class_fd", "fd")}
    images = genbench.open_images(IMAGES, labels=LABELS, name="samples")
    reference = genbench.open_images(IMAGES.flip(3), labels=LABELS.roll(3), name="reference")
    whole = evaluated(images, reference=reference, **metrics)
    seen = fed(built(reference=reference, **metrics), 33, labels=True)
    assert facts(seen.compute()) == facts(whole)


def test_more_images_may_come_after_a_compute() -> None:
    evaluator = built(metrics="fd")
    evaluator.update(IMAGES[:70])
    assert facts(evaluator.compute()) == facts(evaluated(IMAGES[:70], metrics="fd"))
    evaluator.update(IMAGES[70:])
    assert evaluator.count == 130
    assert facts(evaluator.compute()) == facts(evaluated(metrics="fd"))
    evaluator.reset()
    assert evaluator.count == 0
    evaluator.update(IMAGES[:20])
    assert facts(evaluator.compute()) == facts(evaluated(IMAGES[:20], metrics="fd"))


def test_floats_are_rounded_as_to_uint8_rounds() -> None:
    x = torch.linspace(-1.1, 1.1, 60 * 3 * 32 * 32).view(60, 3, 32, 32).requires_grad_()
    evaluator = built(metrics="fd", value_range=(-1, 1))
    evaluator.update(x)
    whole = evaluated(genbench.to_uint8(x.detach()), metrics="fd")
    assert facts(evaluator.compute()) == facts(whole)
    shifted = built(metrics="fd", value_range=(0, 1))
    shifted.update(IMAGES[:60] / 255 + 1e-4)
    assert facts(shifted.compute()) == facts(evaluated(IMAGES[:60], metrics="fd"))


def test_a_state_that_was_saved_goes_on_to_the_same_bits() -> None:
    begun = built(metrics="fd, recall")
    begun.update(IMAGES[:64], LABELS[:64])
    file = io.BytesIO()
    torch.save(begun.state_dict(), file)
    file.seek(0)
    resumed = built(metrics=("fd", "recall"))
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert resumed.count == 64
    for evaluator in (begun, resumed):
        evaluator.update(IMAGES[64:], LABELS[64:])
    again = resumed.state_dict()
    assert str(begun.state_dict()) == str(again)
    assert facts(begun.compute()) == facts(resumed.compute())
    empty = built(metrics="fd")
    empty.load_state_dict(built(metrics="fd").state_dict())
    assert empty.count == 0


def test_states_of_processes_merge_each_image_once() -> None:
    parts = ((0, 60), (60, 95), (95, 130))
    states = []
    for first, last in parts:
        evaluator = built(metrics=("fd", "recall"))
        evaluator.update(IMAGES[first:last], LABELS[first:last])
        states.append(evaluator.state_dict())
    states.append(built(metrics=("fd", "recall")).state_dict())  # one that had nothing to do
    merged = built(metrics=("fd", "recall"))
    merged.load_state_dict(Evaluator.merged(states))
    # Whole batches first, then what was beyond them.
    order = [*range(50), *range(50, 60), *range(60, 95), *range(95, 130)]
    assert merged.count == 130
    assert facts(merged.compute()) == facts(evaluated(IMAGES[order], metrics=("fd", "recall")))
    assert torch.equal(merged.state_dict()["labels"], LABELS[order])


def test_two_processes_give_one_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch.distributed brings to the first process, without starting a second."""
    first, second = built(metrics="fd"), built(metrics="fd")
    first.update(IMAGES[:100])
    second.update(IMAGES[100:])
    sent: list[Any] = []

    def gather(state: Any, box: list[Any] | None, dst: int) -> None:
        sent.append(state)
        if box is not None:
            box[:] = [state, second.state_dict()]

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.gather_object", gather)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
    assert facts(first.compute()) == facts(evaluated(metrics="fd"))
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    assert len(second.compute()) == 0
    assert len(sent) == 2


def test_a_training_is_not_disturbed() -> None:
    network = nn.Dropout()
    before = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    with torch.no_grad():
        evaluator = fed(built(metrics=("fd", "is", "recall"), ci=True), 77)
        evaluator.compute()
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert network.training
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]
    assert random.getstate() == before[2]


def test_the_detector_and_the_reference_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(name: str, **more: Any) -> Any:
        calls.append("detector")
        return afar(name, **more)

    monkeypatch.setattr("genbench.quality.reading.create_detector", counted)
    opened = reading.extracted

    def reference(*asked: Any, **more: Any) -> Any:
        calls.append("reference")
        return opened(*asked, **more)

    monkeypatch.setattr("genbench.quality.reading.extracted", reference)
    evaluator = fed(built(metrics="fd"))
    evaluator.compute()
    evaluator.reset()
    fed(evaluator).compute()
    assert calls == ["detector", "reference"]


def test_figures_are_appended_to_records_under_the_runs_name(tmp_path: Path) -> None:
    evaluator = fed(built(metrics="fd"))
    evaluator.compute(records=tmp_path / "runs.jsonl", run_name="step 100")
    [record] = genbench.read_records(tmp_path / "runs.jsonl")
    assert (record.name, record.model, record.samples) == ("step 100", "samples", 130)


@pytest.mark.parametrize(
    ("images", "labels", "told"),
    [
        (IMAGES[:, :1], None, "[N, 3, H, W]"),
        (IMAGES[:0], None, "[N, 3, H, W]"),
        (IMAGES.numpy(), None, "a tensor of images, not a ndarray"),
        (IMAGES.int(), None, "not torch.int32"),
        (IMAGES / 255, None, "value_range"),
        (IMAGES[:, :, :16], None, "images of 32x32 as the images before them, not 32x16"),
        (IMAGES, LABELS[:5], "one an image"),
        (IMAGES, LABELS.float(), "labels are integers"),
        (IMAGES, LABELS, "others without"),
        (IMAGES, LABELS > 3, "labels are integers"),
        (IMAGES, LABELS + 0j, "labels are integers"),
        (IMAGES, LABELS.to_sparse(), "labels are integers"),
        (IMAGES.to_sparse(), None, "sparse_coo tensor: make it dense"),
        (IMAGES.to("meta"), None, "a meta tensor has no values"),
    ],
)
def test_what_is_no_batch_is_refused_and_changes_nothing(
    images: Any, labels: Any, told: str
) -> None:
    evaluator = built(metrics="fd")
    evaluator.update(IMAGES[:60])
    with pytest.raises(GenbenchError) as refused:
        evaluator.update(images, labels)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert evaluator.count == 60


def test_nan_is_refused() -> None:
    x = torch.zeros(4, 3, 32, 32)
    x[1, 0, 0, 0] = float("nan")
    with pytest.raises(GenbenchError, match="1 of 4 images hold NaN"):
        built(metrics="fd", value_range=(-1, 1)).update(x)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (IMAGES.float(), r"from 0 to 255, far beyond value_range \(-1, 1\): .* \(0, 255\)"),
        (IMAGES.half() - 128, "far beyond value_range"),
        (IMAGES.float().to_sparse(), "make it dense"),
        (torch.zeros(2, 3, 32, 32).to(torch.float8_e4m3fn), "not torch.float8_e4m3fn: convert"),
    ],
)  # fmt: skip
def test_floats_of_another_range_or_kind_are_refused(images: Tensor, told: str) -> None:
    evaluator = built(metrics="fd", value_range=(-1, 1))
    with pytest.raises(GenbenchError, match=told):
        evaluator.update(images)
    assert evaluator.count == 0


def test_a_little_beyond_the_range_is_clipped() -> None:
    evaluator = built(metrics="fd", value_range=(-1, 1))
    evaluator.update(torch.full((2, 3, 32, 32), 3.0))
    assert bool((evaluator.state_dict()["pending"] == 255).all())


def test_an_evaluator_is_not_pickled_but_its_state() -> None:
    with pytest.raises(GenbenchError, match=r"save its state_dict\(\)"):
        pickle.dumps(built(metrics="fd"))


def test_too_few_images_and_a_wrong_size_are_told() -> None:
    with pytest.raises(GenbenchError, match="no images came yet"):
        built(metrics="fd").compute()
    evaluator = built(metrics="fd")
    evaluator.update(IMAGES[:1])
    with pytest.raises(UsageError, match="at least 2 samples"):
        evaluator.compute()
    with pytest.raises(GenbenchError, match="32x32 as the protocol's, not 16x16"):
        built(metrics="fd").update(IMAGES[:, :, :16, :16])
    with pytest.raises(UsageError, match="no metric fdd"):
        built(metrics="fdd")
    with pytest.raises(UsageError, match="a greater one"):
        built(value_range=(1, 1))


def test_another_state_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = fed(built(metrics="fd"))
    state = evaluator.state_dict()
    for wrong in ({}, None, {**state, "format": 9}, {**state, "digests": state["digests"][:9]},
                  {**state, "pending": "x"}, {**state, "features": {}}, {**state, "features": 3},
                  {**state, "size": [16, 16]},
                  {**state, "size": []}, {**state, "size": 32}, {**state, "pending": None},
                  {**state, "pending": state["pending"].float()},
                  {**state, "digests": state["digests"][:, :9]},
                  {**state, "features": {"pool": state["features"]["pool"][:50]}},
                  {**state, "features": {"pool": state["features"]["pool"][:, :9]}},
                  {**state, "features": {"logits": state["features"]["pool"]}}):  # fmt: skip
        with pytest.raises(GenbenchError, match="state"):
            evaluator.load_state_dict(wrong)  # type: ignore[arg-type]
    with pytest.raises(GenbenchError, match="another detector"):
        evaluator.load_state_dict({**state, "detector": {"weights": "others"}})
    larger = {**state, "size": [64, 64], "pending": torch.zeros(30, 3, 64, 64, dtype=torch.uint8)}
    with pytest.raises(GenbenchError, match="several sizes"):
        Evaluator.merged([state, larger])
    with pytest.raises(GenbenchError, match="several layers"):
        Evaluator.merged([state, {**state, "features": {"logits": state["features"]["pool"]}}])
    assert evaluator.count == 130


class Generator(nn.Module):
    """Noise [N, 24] -> images [N, 3, 32, 32] in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(24, 48), nn.ReLU(), nn.Linear(48, 3 * 32 * 32))

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z).tanh()
        return images.view(-1, 3, 32, 32)


def afar_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    rows = nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)
    return rows.mean(0), torch.cov(rows.T)


def trained(steps: int, resumed: Any = None) -> tuple[list[float], Any]:
    """A generator that learns the bundled images' moments, looked at every 60 steps, and all that
    it needs to go on."""
    torch.manual_seed(0)
    network = Generator()
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    evaluator = built(metrics="fd", value_range=(-1, 1))
    mean, covariance = afar_moments(IMAGES / 127.5 - 1)
    begin = 0
    if resumed is not None:
        begin, parameters, moments, images, random_state = torch.load(resumed, weights_only=True)
        network.load_state_dict(parameters)
        optimiser.load_state_dict(moments)
        evaluator.load_state_dict(images)
        torch.set_rng_state(random_state)
    found = []
    for step in range(begin, steps):
        own, spread = afar_moments(network(torch.randn(64, 24)))
        loss = (own - mean).square().sum() + (spread - covariance).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 60 == 59:
            with torch.no_grad():
                evaluator.update(network(torch.randn(80, 24)))
                found.append(evaluator.compute().value("fd"))
                evaluator.reset()
        if step % 60 == 29:  # half of what is looked at: a training may stop here
            with torch.no_grad():
                evaluator.update(network(torch.randn(30, 24)))
    file = io.BytesIO()
    held = [network.state_dict(), optimiser.state_dict(), evaluator.state_dict()]
    torch.save([steps, *held, torch.get_rng_state()], file)
    file.seek(0)
    return found, file


def test_the_distance_falls_along_a_training_and_a_resumed_one_gives_the_same() -> None:
    whole, _ = trained(240)
    assert len(whole) == 4
    assert whole[-1] < 0.5 * whole[0]
    first, state = trained(150)  # stops between half of the images and the other half
    rest, _ = trained(240, state)
    assert [*first, *rest] == whole


def test_the_detectors_gpu_is_the_current_one_while_it_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluator = built(metrics="fd")
    current = 0
    during: list[int] = []
    forked: list[int] = []

    def choose(index: int) -> None:
        nonlocal current
        current = index

    @contextmanager
    def put_back(index: int) -> Iterator[None]:
        before = current
        choose(index)
        yield
        choose(before)

    def state(index: int) -> Tensor:
        forked.append(index)
        return torch.zeros(1)

    def measured(*_: object) -> list[QualityRecord]:
        during.append(current)
        return []

    for name, answer in {
        "is_available": lambda: True, "current_device": lambda: current, "set_device": choose,
        "device": put_back, "get_rng_state": state, "set_rng_state": lambda *_: None,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, answer)
    monkeypatch.setattr(Seen, "add", lambda *_: during.append(current))
    monkeypatch.setattr(Seen, "described", lambda *_: (genbench.open_images("bundled"), {}))
    monkeypatch.setattr("genbench.evaluator.measured_by_features", measured)
    evaluator._job = replace(evaluator._job, device=torch.device("cuda:1"))
    evaluator.update(IMAGES)
    evaluator.compute()
    assert during == [1, 1]
    assert current == 0
    assert set(forked) == {0, 1}
