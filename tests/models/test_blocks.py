"""Networks run in fixed blocks: no bit of an image depends on how samples are asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.rounding import to_uint8
from genbench.models.noise import NoiseStream
from genbench.models.opening import ModelRequest, open_model, resolve
from genbench.models.source import ModelSource
from genbench.runtime.spans import spans

CPU = torch.device("cpu")


def opened(name: str, batch_size: int | None = None, block: int | None = None) -> ModelSource:
    request = ModelRequest(name=name, resolution=32, batch_size=batch_size, block=block)
    return open_model(resolve(request), CPU)


def drawn(source: ModelSource, start: int, stop: int) -> Tensor:
    return torch.cat(list(source.images(start, stop)))


@pytest.mark.parametrize(("name", "count"), [("hit", 1200), ("biggan-deep", 400)])
def test_batch_size_changes_no_bit_of_many_samples(name: str, count: int) -> None:
    """Enough samples to see it: one image in 240 of HiT's changes by a grey level from a network
    call of 7 to one of 64."""
    whole = drawn(opened(name), 0, count)
    for size in (1, 7, 32, 64):
        source = opened(name, size)
        assert torch.equal(drawn(source, 0, count), whole)
        assert source.digest() == opened(name).digest()
    source = opened(name)
    pieces = [drawn(source, *piece) for piece in spans(0, count, 131)]  # as ranks and restarts do
    assert torch.equal(torch.cat(pieces), whole)


def test_handing_on_several_blocks_at_once() -> None:
    assert [len(batch) for batch in opened("toy").images(10, 120)] == [40, 50, 20]
    assert [len(batch) for batch in opened("toy", 128).images(10, 120)] == [90, 20]


def test_the_block_is_part_of_what_is_measured() -> None:
    one, other = opened("toy"), opened("toy", block=10)
    assert one.digest() != other.digest()
    assert (one.subject().block, other.subject().block) == (50, 10)
    calls: list[int] = []

    class Counting:
        def sample(self, labels: Tensor | None, noise: object) -> Tensor:
            assert labels is not None
            calls.append(len(labels))
            return torch.zeros(len(labels), 3, 32, 32, dtype=torch.uint8)

    source = ModelSource(Counting(), other.spec, other.card, CPU)
    assert len(drawn(source, 5, 12)) == 7
    assert calls == [10, 10]


@pytest.mark.parametrize(("name", "count"), [("biggan-deep", 100), ("emd", 100), ("adm-guided", 4)])
def test_the_number_of_threads_changes_no_bit(name: str, count: int) -> None:
    """In blocks of 2 where a network is slow: enough for two threads to meet."""
    source = opened(name, block=2 if count < 25 else None)
    before = torch.get_num_threads()
    images = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            images.append(drawn(source, 0, count))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], images[2])


class Spoilt:
    """A generator whose samples 30 and 55 are NaN and infinite."""

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        images = torch.zeros(len(noise), 3, 32, 32)
        images[noise.indices == 30] = torch.nan
        images[noise.indices == 55] = torch.inf
        return to_uint8(images)


@pytest.mark.parametrize("threads", [0, 1])
def test_images_that_are_not_finite_are_refused_once_they_are_here(threads: int) -> None:
    toy = opened("toy", batch_size=50, block=25)
    spec = replace(toy.spec, threads=threads)
    source = ModelSource(Spoilt(), spec, toy.card, CPU, batch_size=50)
    batches = source.images(0, 100)
    assert len(next(source.images(0, 25))) == 25
    with pytest.raises(GenbenchError, match="1 of 50 images hold NaN or infinity: check the weigh"):
        next(batches)
    with pytest.raises(GenbenchError, match="1 of 25 images"):
        next(source.images(55, 56))
    with pytest.raises(GenbenchError, match="2 of 60 images"):  # left to nobody: asked at once
        Spoilt().sample(None, NoiseStream(0, torch.arange(60)))


def test_what_is_timed_is_checked_when_it_was_timed() -> None:
    toy = opened("toy")
    source = ModelSource(Spoilt(), toy.spec, toy.card, CPU)
    assert source.draw(0, 50).dtype == torch.uint8
    with pytest.raises(GenbenchError, match="1 of 50 images"):
        source.check_drawn()
    source.draw(0, 25)
    source.check_drawn()
