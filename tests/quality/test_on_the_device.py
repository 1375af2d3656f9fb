"""Images stay where they are drawn, and what a GPU is asked for is waited for a batch later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from genbench.detectors import checked
from genbench.detectors.checked import CheckedDetector
from genbench.errors import GenbenchError
from genbench.models.opening import ModelRequest, open_model, resolve
from genbench.models.source import ModelSource
from genbench.quality import features
from genbench.quality.features import DIGESTS, extract_features, looked_at, rows
from genbench.runtime.distributed import World
from genbench.runtime.host_copies import HostCopy, copied_to_host
from genbench.runtime.progress import SilentReporter

CPU = torch.device("cpu")


class Means:
    """A detector of one layer, which tells of its calls."""

    name, identity, layers = "means", MappingProxyType({"v": "1"}), MappingProxyType({"pool": 1})

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        self.log.append("asked")
        return {"pool": images.float().mean(dim=(1, 2, 3))[:, None]}


def batches() -> Iterator[Tensor]:
    for number, count in enumerate((50, 50, 20)):
        yield torch.full((count, 3, 4, 4), number, dtype=torch.uint8)


def looked(log: list[str], *, plain: bool = False) -> list[tuple[int, float]]:
    detector = Means(log) if plain else CheckedDetector(Means(log), name="means", layers=["pool"])
    found = []
    for images, by_layer in looked_at(detector, batches()):
        log.append("given")
        found.append((len(images), float(by_layer["pool"].mean())))
        assert len(by_layer["pool"]) == len(images)
    return found


@pytest.fixture
def slow_copies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Copies that are not there before they are waited for, as a GPU's."""
    log: list[str] = []

    class Event:
        def __init__(self, host: Tensor, values: Tensor) -> None:
            self.host, self.values = host, values

        def synchronize(self) -> None:
            with torch.inference_mode():
                self.host.copy_(self.values)

    def begun(values: Tensor) -> HostCopy:
        host = torch.full_like(values, 99)
        return HostCopy(host, cast(Any, Event(host, values)))

    monkeypatch.setattr(checked, "copied_to_host", begun)
    monkeypatch.setattr(features, "copied_to_host", begun)
    return log


WANTED = [(50, 0.0), (50, 1.0), (20, 2.0)]


def test_a_batch_is_waited_for_when_the_next_is_under_way(slow_copies: list[str]) -> None:
    assert looked(slow_copies) == WANTED
    assert slow_copies == ["asked", "asked", "given", "asked", "given", "given"]


@pytest.mark.parametrize("plain", [False, True])
def test_on_a_cpu_a_batch_comes_when_it_is_done(plain: bool) -> None:
    log: list[str] = []
    assert looked(log, plain=plain) == WANTED
    assert log == ["asked", "given"] * 3


def test_features_that_are_not_finite_are_found_on_arrival(slow_copies: list[str]) -> None:
    class Broken(Means):
        def __call__(self, images: Tensor) -> dict[str, Tensor]:
            found = super().__call__(images)["pool"]
            return {"pool": found / (found - 1)}  # infinite in the second batch

    detector = CheckedDetector(Broken(slow_copies), name="broken", layers=["pool"])
    with pytest.raises(GenbenchError, match="broken gave NaN or infinity in layer 'pool' for ima"):
        list(looked_at(detector, batches()))
    assert slow_copies == ["asked"] * 3


def test_a_models_images_are_taken_where_they_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_model(resolve(ModelRequest(name="toy")), CPU)
    expected = features.image_digests(torch.cat(list(source.images(0, 60))))

    def refused(self: ModelSource, start: int, stop: int) -> Iterator[Tensor]:
        raise AssertionError("a copy to the host and back")

    monkeypatch.setattr(ModelSource, "images", refused)
    kept = extract_features(
        source, Means([]), ["pool"], 60, root=tmp_path, world=World(), reporter=SilentReporter()
    )
    assert rows(kept, DIGESTS).tolist() == expected.tolist()


def test_what_is_on_the_cpu_is_not_copied() -> None:
    values = torch.ones(3)
    copy = copied_to_host(values)
    assert copy.pending is None
    assert copy.wait().data_ptr() == values.data_ptr()


def test_a_copy_is_waited_for_on_the_stream_of_its_own_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams: list[str] = []

    class Event:
        def record(self, stream: str = "of the current GPU") -> None:
            streams.append(stream)

    class Elsewhere(Tensor):
        device = torch.device("cuda:1")

    empty = torch.empty
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"of {device}")
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory, **more: empty(*shape, **more))
    copied_to_host(torch.ones(3).as_subclass(Elsewhere))
    assert streams == ["of cuda:1"]


@pytest.mark.gpu
def test_a_gpus_images_arrive_whole(tmp_path: Path) -> None:
    source = open_model(resolve(ModelRequest(name="biggan-deep")), torch.device("cuda"))
    (batch,) = source.drawn(0, source.spec.block)
    assert batch.is_cuda
    copy = copied_to_host(batch)
    assert torch.equal(copy.wait(), batch.cpu())
    assert copy.values.is_pinned()
