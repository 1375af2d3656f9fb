"""Small ADM networks with weights that no random generator of torch decides."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

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
