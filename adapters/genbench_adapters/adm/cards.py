"""Cards of the bundled small ADM and of the variants that were published."""

from __future__ import annotations

from genbench.models.contract import CheckpointSource, ModelCard
from genbench_adapters.adm.variants import PUBLISHED, VARIANTS, Variant
from genbench_adapters.model_files import BUNDLED


def published_card(variant: Variant) -> ModelCard:
    """The card of a published variant, its address and the paper's settings."""
    guided = f"guided by {variant.classifier_file}" if variant.classifier else "not guided"
    return ModelCard(
        name=variant.name,
        resolution=variant.resolution,
        classes=1000 if variant.classifier else 0,
        parameters=variant.parameters,
        nfe=variant.steps,
        checkpoint=CheckpointSource(filename=variant.file, url=PUBLISHED + variant.file),
        license="MIT",
        paper="arXiv:2105.05233",
        note=f"{variant.data}; {variant.steps} steps, {guided}, scale {variant.classifier_scale}",
    )


CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="adm-guided-32",
        resolution=32,
        classes=10,
        parameters=1_510_534,
        dtype="bfloat16",  # as it was trained, and fast enough for two CPU cores
        nfe=25,
        checkpoint=BUNDLED,
        license="MIT",
        paper="arXiv:2105.05233",
        note="Fashion-MNIST; a small denoiser and classifier trained by `genbench train "
        "adm-guided`; DDIM-25",
    ),
    *map(published_card, VARIANTS),
)
