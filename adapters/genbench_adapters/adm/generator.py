"""A loaded ADM: base samples under guidance, and perhaps the upsampler after them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from genbench.errors import GenbenchError
from genbench.images.rounding import to_uint8
from genbench.models.noise import NoiseStream
from genbench.models.optional import Evaluation
from genbench_adapters.adm.network import Classifier, SuperResUNet, UNet
from genbench_adapters.adm.sampler import Guide, Noise, Sampling, classifier_guide, trajectory

_UPSAMPLING_DRAWS = 100_000  # the upsampler's draws are numbered from here


class AdmGenerator:
    """A loaded denoiser with its guidance, and perhaps an upsampler after it.

    evaluations: calls of the denoisers (the base's and the upsampler's) for one sample, counted in
    the last `sample`; guide_evaluations: of the classifier's gradient.
    """

    concurrent = True  # sampling only reads the networks

    def __init__(
        self,
        unet: UNet,
        sampling: Sampling,
        resolution: int,
        guidance: tuple[Classifier, float] | None,
    ) -> None:
        self.unet, self.sampling, self.resolution = unet, sampling, resolution
        self.guidance = guidance
        self.upsampler: tuple[SuperResUNet, Sampling, int] | None = None
        self.evaluations = self.guide_evaluations = 0

    def add_upsampler(self, network: SuperResUNet, sampling: Sampling, resolution: int) -> None:
        """Bring every sample to `resolution` by the upsampler (ADM-U)."""
        self.upsampler = (network, sampling, resolution)

    def compile(self) -> None:
        """Hand the networks to torch.compile, a program for each shape and one thread."""
        self.concurrent = False
        networks: list[nn.Module] = [self.unet]
        if self.guidance is not None:
            networks.append(self.guidance[0])
        if self.upsampler is not None:
            networks.append(self.upsampler[0])
        for network in networks:
            network.compile(dynamic=False)

    def repeated(self, labels: Tensor | None, noise: NoiseStream) -> list[Evaluation]:
        """One denoising and one gradient of the classifier, one of the upsampler, and how often
        `sample` makes each. labels: int64 [N], or none for a model without classes."""
        chosen = labels if self.unet.config.num_classes is not None else None
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
        chosen = labels if self.unet.config.num_classes is not None else None
        guide = None
        if self.guidance is not None:
            if labels is None:
                raise GenbenchError("classifier guidance needs labels")
            guide = self._counted(classifier_guide(self.guidance[0], labels, self.guidance[1]))

        def denoise(x: Tensor, timesteps: Tensor) -> Tensor:
            self.evaluations += 1
            return self.unet(x, timesteps, chosen)

        draw = _draws(noise, self.resolution, 0)
        x = _last(x for x, _ in trajectory(denoise, self.sampling, draw, guide=guide))
        return to_uint8(x, rounding="truncate")

    def _counted(self, guide: Guide) -> Guide:
        def counting(x: Tensor, timesteps: Tensor) -> Tensor:
            self.guide_evaluations += 1
            return guide(x, timesteps)

        return counting

    def _enlarged(self, small: Tensor, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """As super_res_sample.py, which reads the small images back from uint8 [N, 3, r, r]."""
        assert self.upsampler is not None
        network, sampling, resolution = self.upsampler
        low_res = small.float() / 127.5 - 1  # [N, 3, r, r] in [-1, 1]

        def denoise(x: Tensor, timesteps: Tensor) -> Tensor:
            self.evaluations += 1
            return network(x, timesteps, labels, low_res)

        draw = _draws(noise, resolution, _UPSAMPLING_DRAWS)
        return to_uint8(_last(x for x, _ in trajectory(denoise, sampling, draw)))


def _last(tensors: Iterator[Tensor]) -> Tensor:
    """The last of at least one."""
    return deque(tensors, maxlen=1)[0]


def _draws(noise: NoiseStream, resolution: int, first: int) -> Noise:
    return lambda number: noise.normal((3, resolution, resolution), step=first + number)
