"""Where the parts of benchmarks/on_a_gpu.py run, and how they time a call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor

from genbench_adapters.adm.network import Classifier, SuperResUNet, UNet, UNetConfig
from genbench_adapters.adm.variants import VARIANTS
from genbench_adapters.random_weights import random_network

Network = TypeVar("Network", UNet, SuperResUNet, Classifier)

TINY = UNetConfig(
    image_size=16, model_channels=32, out_channels=6, num_res_blocks=1, attention_resolutions=(2,),
    channel_mult=(1, 2), num_classes=10, num_head_channels=32, use_scale_shift_norm=True,
    resblock_updown=True,
)  # fmt: skip
TINY_CLASSIFIER = UNetConfig(
    image_size=16, model_channels=32, out_channels=10, num_res_blocks=1,
    attention_resolutions=(2,), channel_mult=(1, 2), num_head_channels=32,
    use_scale_shift_norm=True, resblock_updown=True,
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A device, a folder for what parts write, and whether sizes are tiny, as for a CPU."""

    device: torch.device
    folder: Path
    tiny: bool

    def size(self, whole: int, tiny: int) -> int:
        """One of the two."""
        return tiny if self.tiny else whole

    @property
    def half(self) -> torch.dtype:
        """float16, on a CPU bfloat16."""
        return torch.float16 if self.device.type == "cuda" else torch.bfloat16

    def wait(self) -> None:
        """For the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def milliseconds(self, call: Callable[[], object], times: int = 5) -> float:
        """The median of a few calls, each waited for, after one that is not counted."""
        call()
        taken = []
        for _ in range(times if not self.tiny else 1):
            self.wait()
            begin = time.perf_counter()
            call()
            self.wait()
            taken.append(time.perf_counter() - begin)
        return round(1e3 * median(taken), 4)

    def networks(self, resolution: int) -> tuple[UNet, Classifier]:
        """ADM's of that size with random weights, channels last, float32."""
        configs = TINY, TINY_CLASSIFIER
        if not self.tiny:
            variant = next(item for item in VARIANTS if item.resolution == resolution)
            assert variant.classifier is not None
            configs = variant.unet, variant.classifier
        unet = random_network(lambda: UNet(configs[0]), self.device)
        classifier = random_network(lambda: Classifier(configs[1]), self.device)
        for network in (unet, classifier):
            network.to(memory_format=torch.channels_last)
        return unet, classifier

    def noisy(self, resolution: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images float32 [N, 3, R, R], timesteps and labels int64 [N]."""
        generator = torch.Generator(self.device).manual_seed(0)
        side = self.size(resolution, 16)
        x = torch.randn(count, 3, side, side, generator=generator, device=self.device)
        labels = torch.arange(count, device=self.device) % 10
        return x, torch.full_like(labels, 500), labels
