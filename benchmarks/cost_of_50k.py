"""What 50,000 ADM samples cost on 1, 8 and 64 GPUs, computed from counted operations.

    python benchmarks/cost_of_50k.py

Prints the table of docs/many-gpus.md, which a test holds to this script. Nothing is measured: the
operations of the published networks are counted on shapes (meta tensors), the peaks are those of
tables/gpus.toml, and the shares of a peak that are reached are assumptions, given in the table.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from genbench.models.noise import NoiseStream
from genbench.speed.datasheets import find_gpu
from genbench.speed.flops import evaluations_of, sampling_flops
from genbench_adapters.adm import AdmGuided
from genbench_adapters.adm.generator import AdmGenerator
from genbench_adapters.adm.network import Classifier, UNet
from genbench_adapters.adm.variants import VARIANTS

SAMPLES, SHARD = 50_000, 500
GPUS = ("v100", "a100", "h100")
SHARES = (0.2, 0.4)  # of the peak in half precision; ADM Table 7 has 0.18 … 0.41 of its networks
WORLDS = (1, 8, 64)


class Shapes:
    """Noise of one sample without numbers."""

    def __len__(self) -> int:
        return 1

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """float32 [1, *shape], on the meta device."""
        return torch.empty((1, *shape), device="meta")


def image_flops(resolution: int, *, guided: bool, steps: int = 250) -> int:
    """FLOPs of one image of ADM at a resolution: all steps of the network, and of the classifier's
    gradient where guided."""
    adapter = AdmGuided(steps=steps)
    variant = next(
        variant
        for variant in VARIANTS
        if variant.resolution == resolution and variant.classifier is not None
    )  # fmt: skip
    assert variant.classifier is not None
    with torch.device("meta"):
        unet, classifier = UNet(variant.unet), Classifier(variant.classifier)
    guidance = (classifier.requires_grad_(False), 1.0) if guided else None
    generator = AdmGenerator(unet, adapter.sampling(variant), resolution, guidance)
    labels = torch.zeros(1, dtype=torch.int64, device="meta")
    return sampling_flops(evaluations_of(generator, labels, cast(NoiseStream, Shapes())))


def hours(flops: float, gpu: str, share: float, world: int) -> float:
    """Hours until the slowest of `world` GPUs has drawn its shards."""
    peak = find_gpu(gpu).peak("float16")
    assert peak is not None
    shards = -(-(SAMPLES // SHARD) // world)
    return shards * SHARD * flops / (peak * share) / 3600


def table(flops: float) -> list[str]:
    """The lines of the page's table."""
    worlds = [f"{world} GPU" + "s" * (world > 1) for world in WORLDS]
    lines = [f"| GPU | share of its peak | {' | '.join(worlds)} | GPU-hours |"]
    lines.append("|---" * (3 + len(worlds)) + "|")
    for gpu in GPUS:
        for share in SHARES:
            cells = [f"{hours(flops, gpu, share, world):,.1f} h" for world in WORLDS]
            alone = hours(flops, gpu, share, 1)
            lines.append(
                f"| {find_gpu(gpu).title} | {share:.0%} | {' | '.join(cells)} | {alone:,.0f} |"
            )
    return lines


def main() -> None:
    """Print the counts and the table."""
    guided, plain = (image_flops(256, guided=guided) for guided in (True, False))
    print(f"{guided / 1e12:,.1f} TFLOP an image with guidance, {plain / 1e12:,.1f} without; "
          f"{guided * SAMPLES / 1e18:,.1f} EFLOP for {SAMPLES:,}\n")  # fmt: skip
    print("\n".join(table(guided)))


if __name__ == "__main__":
    main()
