"""Whether a block fits is asked before a run, with a GPU's memory played."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from genbench.errors import GenbenchError
from genbench.models.contract import ModelCard
from genbench.models.noise import NoiseStream
from genbench.models.optional import Evaluation
from genbench.models.room import check_room
from genbench.models.source import ModelSource, SampleSpec

WEIGHTS, EACH = 1000, 10  # bytes


class Whole:
    """A generator that remembers for how many it was last asked."""

    asked = 0

    def sample(self, labels: torch.Tensor | None, noise: NoiseStream) -> torch.Tensor:
        self.asked = len(noise)
        return torch.zeros(len(noise), 3, 4, 4, dtype=torch.uint8)


class Stepping(Whole):
    """One whose trajectory takes an hour."""

    def sample(self, labels: torch.Tensor | None, noise: NoiseStream) -> torch.Tensor:
        raise AssertionError("one of its calls would do")

    def repeated(self, labels: torch.Tensor | None, noise: NoiseStream) -> list[Evaluation]:
        return [(lambda: setattr(self, "asked", len(noise)), 250)]


def source_of(generator: Whole, block: int) -> ModelSource:
    spec = SampleSpec(model="large", card="large-4", resolution=4, block=block)
    return ModelSource(
        generator, spec, ModelCard(name="large-4", resolution=4), torch.device("cpu")
    )


@pytest.mark.parametrize("generator", [Whole(), Stepping()])
def test_a_block_without_room_is_refused_with_one_that_has(generator: Whole) -> None:
    def peak(call: Callable[[], object]) -> int:
        call()
        return WEIGHTS + EACH * generator.asked

    room = 2000  # of which 95% are reckoned with: 1000 + 10 x 90
    check_room(source_of(generator, 90), peak, room)
    with pytest.raises(GenbenchError, match=r"no room for 91 samples .* pass --block 90, "):
        check_room(source_of(generator, 91), peak, room)


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize("told", [True, False])
def test_where_two_samples_do_not_fit_one_may(limit: int, told: bool) -> None:
    """limit: samples beyond which there is no memory; told: by the device, or by what is free."""
    generator = Whole()

    def peak(call: Callable[[], object]) -> int:
        call()
        if told and generator.asked > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 100 * generator.asked

    said = "for 50 samples .* pass --block 1," if limit else "single sample .* a smaller --res or"
    with pytest.raises(GenbenchError, match=said):
        check_room(source_of(generator, 50), peak, 120 if limit else 90 + 1000 * told)


def test_a_cpu_is_not_asked() -> None:
    generator = Whole()
    check_room(source_of(generator, 10**9))
    assert not generator.asked
