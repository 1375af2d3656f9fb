"""Consistency models (Song et al., arXiv:2303.01469) as openai/consistency_models publishes them.

Their network is ADM's UNet without learned variance, its attention packed in the new order and
made of convolutions over the plane; around it stands a preconditioning of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from genbench.errors import GenbenchError
from genbench.models.contract import ModelCard
from genbench.weights.loading import load_tensors
from genbench.weights.unfilled import unfilled
from genbench_adapters.adm.network import UNet, UNetConfig
from genbench_adapters.emd.denoisers import halve
from genbench_adapters.model_files import filled, parsed_json

# cd_imagenet64_l2.pt, cd_imagenet64_lpips.pt, ct_imagenet64.pt (the repository's launch.sh).
IMAGENET_64 = UNetConfig(
    image_size=64,
    model_channels=192,
    out_channels=3,
    num_res_blocks=3,
    attention_resolutions=(2, 4, 8),
    channel_mult=(1, 2, 3, 4),
    num_classes=1000,
    num_head_channels=64,
    use_scale_shift_norm=True,
    resblock_updown=True,
    use_new_attention_order=True,
)
_DATA = 0.5  # sigma_data


class Consistency(nn.Module):
    """f(x; sigma), the identity at the noise level `least`; with 0 it is EDM's denoiser."""

    def __init__(self, unet: UNet, *, least: float = 0.002) -> None:
        super().__init__()
        self.unet, self.least = unet, least

    def convolutions_to(self, dtype: torch.dtype) -> None:
        """Bring the UNet's convolutions to a dtype, as `UNet.convolutions_to`."""
        halve(self.unet, dtype)

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noisy images float [N, 3, R, R], noise levels [N] or [1], int64 labels [N] exactly when
        the network has classes -> images float32 [N, 3, R, R], before the official clipping to
        [-1, 1]."""
        level = sigma.float().reshape(-1, 1, 1, 1)  # [N, 1, 1, 1] or [1, 1, 1, 1]
        above = level - self.least
        total = (level**2 + _DATA**2).sqrt()
        time = 1000 * 0.25 * torch.log(sigma.float() + 1e-44)  # [N] or [1]
        raw = self.unet(x / total, time.expand(x.shape[0]), labels)
        return _DATA**2 / (above**2 + _DATA**2) * x + above * _DATA / total * raw


def in_our_layout(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under ADM's shapes: a 1x1 convolution over the plane, [out, in, 1, 1], is one
    over its pixels, [out, in, 1]."""
    places = ("qkv.weight", "proj_out.weight")
    return {
        key: value[..., 0] if key.endswith(places) and value.dim() == 4 else value
        for key, value in state.items()
    }


def load_consistency(checkpoint: Path, card: ModelCard) -> Consistency:
    """The network of a published `.pt`, in eval mode, float32, on the CPU.

    Its configuration is the config.json beside it (the official constructor's arguments), else that
    of ImageNet 64. Raises GenbenchError for another size than the card's, and for missing, extra,
    misshapen and non-finite tensors.
    """
    config = _config(checkpoint)
    if (config.image_size, config.num_classes or 0) != (card.resolution, card.classes):
        raise GenbenchError(
            f"{checkpoint} is taken for a consistency model of {config.image_size} pixels and "
            f"{config.num_classes or 0} classes, not of {card.resolution} and {card.classes}: "
            "choose its variant, or put its config.json beside it"
        )
    with unfilled():
        unet = UNet(config)
    what = f"a consistency model at {config.image_size} pixels ({checkpoint})"
    return Consistency(filled(unet, in_our_layout(load_tensors(checkpoint)), what=what))


def _config(checkpoint: Path) -> UNetConfig:
    path = checkpoint.with_name("config.json")
    if not path.is_file():
        return IMAGENET_64
    try:
        values = parsed_json(path.read_text())
        return UNetConfig.from_mapping({**values, "use_new_attention_order": True})
    except (OSError, ValueError, TypeError, ZeroDivisionError) as error:
        raise GenbenchError(
            f"{path} is no configuration of a consistency model ({error}): correct it"
        ) from error
