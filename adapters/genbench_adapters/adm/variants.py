"""The published ADM models: official flags, sizes, sampling of the paper, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from genbench_adapters.adm.network import UNetConfig

PUBLISHED = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/"
_MULTIPLES: dict[int, tuple[float, ...]] = {  # create_model and create_classifier, by image size
    512: (0.5, 1, 1, 2, 2, 4, 4),
    256: (1, 1, 2, 2, 4, 4),
    128: (1, 1, 2, 3, 4),
    64: (1, 2, 3, 4),
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A published denoiser with what the paper samples it with.

    classifier_scale: of the guided samples (README of guided-diffusion); 0 without a classifier.
    file, classifier_file: names under `PUBLISHED`.
    """

    name: str
    resolution: int
    unet: UNetConfig
    parameters: int
    file: str
    schedule: Literal["linear", "cosine"] = "linear"
    diffusion_steps: int = 1000
    predict_xstart: bool = False
    classifier: UNetConfig | None = None
    classifier_file: str = ""
    classifier_scale: float = 0.0
    steps: int = 250
    sampler: Literal["ddpm", "ddim"] = "ddpm"
    data: str = "ImageNet"


@dataclass(frozen=True, kw_only=True)
class Upsampler:
    """A published super-resolution UNet and the size it starts from (ADM-U)."""

    small: int
    unet: UNetConfig
    file: str


def _factors(size: int, pixels: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size // side for side in pixels)


def _unet(size: int, width: int, res_blocks: int, **further: object) -> UNetConfig:
    """create_model with the flags common to every published checkpoint."""
    common = UNetConfig(
        image_size=size,
        model_channels=width,
        out_channels=6,
        num_res_blocks=res_blocks,
        attention_resolutions=_factors(size, (32, 16, 8)),
        channel_mult=_MULTIPLES[size],
        num_classes=1000,
        num_heads=4,
        num_head_channels=64,
        use_scale_shift_norm=True,
        resblock_updown=True,
    )
    return replace(common, **further)  # type: ignore[arg-type]


def classifier_config(size: int, depth: int) -> UNetConfig:
    """create_classifier with the published flags."""
    return UNetConfig(
        image_size=size,
        model_channels=128,
        out_channels=1000,
        num_res_blocks=depth,
        attention_resolutions=_factors(size, (32, 16, 8)),
        channel_mult=_MULTIPLES[size],
        num_head_channels=64,
        use_scale_shift_norm=True,
        resblock_updown=True,
    )


def _guided(size: int, depth: int, scale: float, variant: Variant) -> Variant:
    return replace(
        variant,
        classifier=classifier_config(size, depth),
        classifier_file=f"{size}x{size}_classifier.pt",
        classifier_scale=scale,
    )


_UNCONDITIONAL = _unet(256, 256, 2, num_classes=None)

VARIANTS = (
    _guided(64, 4, 1.0, Variant(
        name="adm-64", resolution=64, parameters=295_904_454, schedule="cosine",
        unet=_unet(64, 192, 3, use_new_attention_order=True, dropout=0.1),
        file="64x64_diffusion.pt",
    )),
    _guided(128, 2, 0.5, Variant(
        name="adm-128", resolution=128, parameters=421_529_606,
        unet=_unet(128, 256, 2, num_head_channels=-1), file="128x128_diffusion.pt",
    )),
    _guided(256, 2, 1.0, Variant(
        name="adm-256", resolution=256, parameters=553_838_086, unet=_unet(256, 256, 2),
        file="256x256_diffusion.pt",
    )),
    _guided(256, 2, 10.0, Variant(
        name="adm-256-uncond", resolution=256, parameters=552_814_086, unet=_UNCONDITIONAL,
        file="256x256_diffusion_uncond.pt",
    )),
    _guided(512, 2, 4.0, Variant(
        name="adm-512", resolution=512, parameters=558_997_638, unet=_unet(512, 256, 2),
        file="512x512_diffusion.pt",
    )),
    *(
        Variant(
            name=f"adm-lsun-{scene}", resolution=256, parameters=552_814_086, steps=1000,
            unet=replace(_UNCONDITIONAL, dropout=0.0 if scene == "cat" else 0.1),
            file=f"lsun_{scene}.pt", data=f"LSUN {scene}",
        )
        for scene in ("bedroom", "cat", "horse")
    ),
)  # fmt: skip

_UPSAMPLING = {"use_new_attention_order": False, "channel_mult": (1, 1, 2, 2, 4, 4)}
UPSAMPLERS = {
    256: Upsampler(
        small=64,
        unet=_unet(256, 192, 2, num_head_channels=-1, **_UPSAMPLING),
        file="64_256_upsampler.pt",
    ),
    512: Upsampler(
        small=128,
        unet=_unet(512, 192, 2, attention_resolutions=_factors(512, (32, 16)), **_UPSAMPLING),
        file="128_512_upsampler.pt",
    ),
}
