"""A loaded ADM: base samples under guidance, and perhaps the upsampler after them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from genbench.errors import GenbenchError
from genbench.images.rounding import to_uint8
from genbench.models.noise import NoiseStream
from genbench.models.optional import Evaluation
from genbench_adapters.adm.graphs import Function, Graphed
from genbench_adapters.adm.network import Classifier, SuperResUNet, UNet
from genbench_adapters.adm.sampler import (
    Draws,
    Sampling,
    Tables,
    classifier_guide,
    drawn,
    one_step,
    walk,
)

_UPSAMPLING_DRAWS = 100_000  # the upsampler's draws are numbered from here

# A step and what it depends on: noise, x, step number, labels, small images.
Conditioned = Callable[
    [NoiseStream, Tensor, Tensor, Tensor | None, Tensor | None], tuple[Tensor, ...]
]


class AdmGenerator:
    """A loaded denoiser with its guidance, and perhaps an upsampler after it.

    evaluations: calls of the denoisers (the base's and the upsampler's) for one sample, counted in
    the last `sample`; guide_evaluations: of the classifier's gradient. kernels: what they make in
    the denoisers, as `optional.UsesKernels` has it.
    """

    concurrent = True  # sampling only reads the networks

    def __init__(
        self,
        unet: UNet,
        sampling: Sampling,
        resolution: int,
        guidance: tuple[Classifier, float] | None,
        *,
        kernels: str = "",
    ) -> None:
        self.unet, self.sampling, self.resolution = unet, sampling, resolution
        self.guidance = guidance
        self.upsampler: tuple[SuperResUNet, Sampling, int] | None = None
        self.kernels = kernels
        self.evaluations = self.guide_evaluations = 0
        self._tables = Tables(sampling, _device(unet))
        self._recorded: Conditioned | None = None
        self._recorded_upsampling: Conditioned | None = None

    def add_upsampler(self, network: SuperResUNet, sampling: Sampling, resolution: int) -> None:
        """Bring every sample to `resolution` by the upsampler (ADM-U)."""
        self.upsampler = (network, sampling, resolution)
        self._large_tables = Tables(sampling, _device(network))

    def record_steps(self, graphed: Callable[[Function], Function] = Graphed) -> None:
        """From now on take each step (its draw, denoiser, classifier's gradient, update) of
        [N, 3, R, R] as one graph, recorded by `graphed` at the first call of each N and seed.
        Programs of `compile` go into it; one thread at a time."""
        self.concurrent = False
        self._recorded = _recordable(self._base_step, graphed)
        if self.upsampler is not None:
            self._recorded_upsampling = _recordable(self._upsampling_step, graphed)

    def compile(self) -> None:
        """Hand the networks to torch.compile, a program for each shape and one thread."""
        self.concurrent, self.kernels = False, ""
        networks: list[UNet | Classifier] = [self.unet]
        if self.guidance is not None:
            networks.append(self.guidance[0])
        if self.upsampler is not None:
            networks.append(self.upsampler[0])
        for network in networks:
            network.use_fused_norms(False)  # not even where torch.compile gives up
            network.compile(dynamic=False)

    def repeated(self, labels: Tensor | None, noise: NoiseStream) -> list[Evaluation]:
        """One denoising and one gradient of the classifier, one of the upsampler, and how often
        `sample` makes each. labels: int64 [N], or none for a model without classes."""
        chosen = self._classes(labels)
        x = noise.normal((3, self.resolution, self.resolution))
        index = torch.zeros(len(noise), dtype=torch.int64, device=x.device)
        steps = len(self.sampling.schedule)
        calls: list[Evaluation] = [(lambda: self.unet(x, index, chosen), steps)]
        if self.guidance is not None and labels is not None:
            guide = classifier_guide(self.guidance[0], labels, self.guidance[1])
            calls.append((lambda: guide(x, index), steps))
        if self.upsampler is not None:
            network, sampling, resolution = self.upsampler
            large = noise.normal((3, resolution, resolution))
            calls.append((lambda: network(large, index, labels, x), len(sampling.schedule)))
        return calls

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, R, R] for int64 labels [N], or none for a model without classes. Raises
        GenbenchError for guidance without labels."""
        self.evaluations = self.guide_evaluations = 0
        images = self._base(labels, noise)
        if self.upsampler is not None:
            images = self._enlarged(images, labels, noise)
        return images

    def _base(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        if self.guidance is not None and labels is None:
            raise GenbenchError("classifier guidance needs labels")
        taken = self._recorded or self._base_step

        def step(x: Tensor, index: int) -> tuple[Tensor, ...]:
            number = self._tables.number(index)
            return taken(noise, x, number, labels, None)

        x = noise.normal((3, self.resolution, self.resolution))
        x = self._last(walk(step, len(self._tables), x))
        if self.guidance is not None:
            self.guide_evaluations = self.evaluations
        return to_uint8(x, rounding="truncate")

    def _base_step(
        self, noise: NoiseStream, x: Tensor, number: Tensor, labels: Tensor | None,
        low_res: Tensor | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        guide, chosen = None, self._classes(labels)
        if self.guidance is not None and labels is not None:
            guide = classifier_guide(self.guidance[0], labels, self.guidance[1])

        def denoise(x: Tensor, timesteps: Tensor) -> Tensor:
            return self.unet(x, timesteps, chosen)

        draw = drawn(self._tables, _draws(noise, self.resolution, 0), number)
        return one_step(denoise, self._tables, guide, x, number, draw)

    def _classes(self, labels: Tensor | None) -> Tensor | None:
        """What the denoiser is told of them."""
        return labels if self.unet.config.num_classes is not None else None

    def _enlarged(self, small: Tensor, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """As super_res_sample.py, which reads the small images back from uint8 [N, 3, r, r]."""
        assert self.upsampler is not None
        low_res = small.float() / 127.5 - 1  # [N, 3, r, r] in [-1, 1]
        resolution = self.upsampler[2]
        taken = self._recorded_upsampling or self._upsampling_step

        def step(x: Tensor, index: int) -> tuple[Tensor, ...]:
            number = self._large_tables.number(index)
            return taken(noise, x, number, labels, low_res)

        x = noise.normal((3, resolution, resolution), step=_UPSAMPLING_DRAWS)
        return to_uint8(self._last(walk(step, len(self._large_tables), x)))

    def _upsampling_step(
        self, noise: NoiseStream, x: Tensor, number: Tensor, labels: Tensor | None,
        low_res: Tensor | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        assert self.upsampler is not None
        assert low_res is not None
        network, _, resolution = self.upsampler

        def denoise(x: Tensor, timesteps: Tensor) -> Tensor:
            return network(x, timesteps, labels, low_res)

        draws = _draws(noise, resolution, _UPSAMPLING_DRAWS)
        draw = drawn(self._large_tables, draws, number)
        return one_step(denoise, self._large_tables, None, x, number, draw)

    def _last(self, steps: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
        """The last image, every step counted."""
        for x, _ in steps:
            self.evaluations += 1
            last = x
        return last


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _draws(noise: NoiseStream, resolution: int, first: int) -> Draws:
    return lambda number: noise.normal((3, resolution, resolution), step=first + number)


def _recordable(taken: Conditioned, graphed: Callable[[Function], Function]) -> Conditioned:
    """A step whose noise reaches the graph as a number and a tensor."""

    def step(
        seed: int, indices: Tensor, x: Tensor, number: Tensor, labels: Tensor | None,
        low_res: Tensor | None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        return taken(NoiseStream(seed, indices), x, number, labels, low_res)

    graph = graphed(step)

    def recorded(
        noise: NoiseStream, x: Tensor, number: Tensor, labels: Tensor | None,
        low_res: Tensor | None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        return graph(noise.seed, noise.indices, x, number, labels, low_res)

    return recorded
