"""The published networks of ADM without their memory, for counting what a forward pass costs."""

from __future__ import annotations

from collections.abc import Callable

import torch

from genbench.errors import UsageError, suggestion
from genbench_adapters.adm.network import SuperResUNet, UNet
from genbench_adapters.adm.variants import UPSAMPLERS, VARIANTS

UPSAMPLER_NAMES = {f"adm-{item.small}-{size}": size for size, item in UPSAMPLERS.items()}


def network_forward(network: str) -> Callable[[], object]:
    """One forward pass at batch 1 on the meta device: of a denoiser, "adm-128", or an upsampler,
    "adm-64-256". Raises UsageError for any other name."""
    denoisers = {variant.name: variant.unet for variant in VARIANTS}
    if network not in denoisers and network not in UPSAMPLER_NAMES:
        known = suggestion(network, (*denoisers, *UPSAMPLER_NAMES))
        raise UsageError(f"ADM has no network {network}; {known}")
    size = UPSAMPLER_NAMES.get(network, 0)
    config = UPSAMPLERS[size].unet if size else denoisers[network]
    with torch.device("meta"):
        x = torch.empty(1, 3, config.image_size, config.image_size)
        index = torch.zeros(1, dtype=torch.int64)
        labels = index if config.num_classes is not None else None
        if not size:
            denoiser = UNet(config)
            return lambda: denoiser(x, index, labels)
        upsampler = SuperResUNet(config)
        small = torch.empty(1, 3, UPSAMPLERS[size].small, UPSAMPLERS[size].small)
    return lambda: upsampler(x, index, labels, small)
