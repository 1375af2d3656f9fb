"""A pipeline as a generator: every random number of a sample from that sample's own stream."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.models.noise import NoiseStream
from genbench_adapters.diffusers_pipelines.library import quiet

_WORD = 2**31  # of a seed, of which two make 62 bits


class PipelineGenerator:
    """Draws images with a pipeline.

    settings: of every call, such as the number of steps. prompts: sample i takes that of number i,
    counted round; empty: none are taken. evaluations: network calls of one sample in the last
    `sample`, each row of a batch that guidance doubles being one.
    """

    def __init__(
        self, pipeline: Any, network: torch.nn.Module, settings: Mapping[str, Any],
        takes: set[str], prompts: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._pipeline, self._network, self._settings = pipeline, network, dict(settings)
        self._takes, self._prompts = takes, prompts
        self.evaluations = 0

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, H, W] of int64 labels [N] or None. Raises GenbenchError for NaN."""
        generators = _generators(noise)
        asked = self._settings | {"generator": generators, "output_type": "np"}
        if labels is not None:
            asked["class_labels"] = labels.tolist()
        if self._prompts:
            indices = noise.indices.tolist()
            asked["prompt"] = [self._prompts[index % len(self._prompts)] for index in indices]
        elif "batch_size" in self._takes:
            asked["batch_size"] = len(noise)
        rows: list[int] = []
        counting, seeded = _counting(self._network, rows), _seeded(self._pipeline, generators)
        with quiet(), counting, seeded:
            images = torch.from_numpy(self._pipeline(**asked).images)  # [N, H, W, 3] in 0 … 1
        self.evaluations = sum(rows) // max(1, len(noise))
        if not bool(torch.isfinite(images).all()):
            raise GenbenchError("the pipeline returned NaN: check its weights and --dtype")
        levels = (images.float() * 255).round().clamp(0, 255).to(torch.uint8)  # as numpy_to_pil
        return levels.permute(0, 3, 1, 2).expand(-1, 3, -1, -1).contiguous().to(noise.device)


def _generators(noise: NoiseStream) -> list[torch.Generator]:
    """One generator a sample, seeded from (seed, i); on the CPU, so that a GPU draws the same."""
    words = noise.integers(_WORD, (2,)).tolist()
    return [torch.Generator().manual_seed(high * _WORD + low) for high, low in words]


@contextmanager
def _counting(network: torch.nn.Module, rows: list[int]) -> Iterator[None]:
    """Notes the rows of every batch that the network is called on."""

    def note(_: torch.nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        first = args[0] if args else named.get("sample", named.get("hidden_states"))
        rows.append(len(first) if isinstance(first, Tensor) else 1)

    handle = network.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _seeded(pipeline: Any, generators: list[torch.Generator]) -> Iterator[None]:
    """Pipelines that step without a generator, as DiT's does, would draw from torch's global one:
    the step is given the samples' own, as often as guidance repeats them."""
    scheduler = pipeline.scheduler
    step = scheduler.step
    if "generator" not in inspect.signature(step).parameters:
        yield
        return

    def seeded(output: Any, timestep: Any, sample: Any, *rest: Any, **named: Any) -> Any:
        if not rest and named.get("generator") is None:
            named["generator"] = generators * (len(sample) // len(generators))
        return step(output, timestep, sample, *rest, **named)

    scheduler.step = seeded
    try:
        yield
    finally:
        del scheduler.step
