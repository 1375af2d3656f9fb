"""Cards of networks of EDM's kind, for its diffusions and for one-step generators, and the files
they need."""

from __future__ import annotations

from genbench.models.contract import CheckpointSource, ModelCard
from genbench_adapters.emd.checkpoint import IMAGENET_64

KNOWN = (IMAGENET_64.img_resolution, IMAGENET_64.label_dim)  # pixels and classes


def small_cards(model: str, nfe: int, filename: str, hint: str) -> tuple[ModelCard, ...]:
    """What EDM published beside ImageNet 64, DDPM++ and NCSN++ alike: the file says which."""
    return tuple(
        ModelCard(
            name=f"{model}-{variant}",
            resolution=resolution,
            classes=classes,
            nfe=nfe,
            checkpoint=CheckpointSource(filename=filename, kind="given", hint=hint),
            license="of the weights you bring",
            paper="arXiv:2206.00364",
            note=note,
        )
        for variant, resolution, classes, note in (
            ("32", 32, 10, "such as CIFAR-10, conditional"),
            ("32-uncond", 32, 0, "such as CIFAR-10, unconditional"),
            ("64-uncond", 64, 0, "such as FFHQ and AFHQv2"),
        )
    )
