"""Small ADM networks with weights that no random generator of torch decides."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from genbench.models.noise import NoiseStream
from genbench_adapters.adm.network import UNetConfig

Network = TypeVar("Network", bound=nn.Module)

UNET = UNetConfig(
    image_size=16,
    model_channels=32,
    out_channels=6,
    num_res_blocks=1,
    attention_resolutions=(2,),
    channel_mult=(1, 2),
    num_classes=10,
    num_head_channels=32,
    use_scale_shift_norm=True,
    resblock_updown=True,
)
CLASSIFIER = replace(UNET, out_channels=10, num_classes=None)


def norm_inputs(
    count: int, channels: int, groups: int, side: int, dtype: torch.dtype
) -> tuple[Tensor, nn.GroupNorm, Tensor]:
    """Images [N, C, side, side] in channels last, a norm, and a condition [N, 2 C, 1, 1]."""
    noise = NoiseStream(1, torch.arange(count))
    # A mean of 6 deviations, and one more for each channel: sums in half would lose the deviations.
    x = 6 + torch.arange(channels)[:, None, None] % 5 + noise.normal((channels, side, side))
    norm = nn.GroupNorm(groups, channels).requires_grad_(False)
    norm.weight.copy_(noise.normal((channels,), step=1)[0])
    norm.bias.copy_(noise.normal((channels,), step=2)[0])
    condition = noise.normal((2 * channels, 1, 1), step=3)
    return x.to(dtype).contiguous(memory_format=torch.channels_last), norm, condition


def filled(network: Network) -> Network:
    """The network in eval mode, every tensor drawn from genbench's own noise."""
    state = network.state_dict()
    for number, (key, value) in enumerate(state.items()):
        noise = NoiseStream(11, torch.tensor([number])).normal(value.shape)[0]
        fan_in = max(1, value[0].numel()) if value.dim() > 1 else 1
        state[key] = noise / fan_in**0.5 if value.dim() > 1 else 1 + 0.1 * noise
        if key.endswith("bias"):
            state[key] = 0.1 * noise
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)
