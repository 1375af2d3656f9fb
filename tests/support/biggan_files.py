"""Small BigGAN-deep networks with weights that no random generator of torch decides."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from torch import Tensor

from genbench.models.noise import NoiseStream
from genbench_adapters.biggan_deep.network import BigGANConfig, BigGANDeep

CONFIG = BigGANConfig(
    output_dim=32,
    layers=((False, 4, 4), (True, 4, 4), (True, 4, 2), (True, 2, 1)),
    channel_width=8,
    z_dim=6,
    class_embed_dim=6,
    num_classes=10,
    attention_layer_position=2,
)


def small_network(config: BigGANConfig = CONFIG) -> BigGANDeep:
    """A network whose every tensor is drawn from genbench's own noise, in eval mode."""
    network = BigGANDeep(config)
    state = network.state_dict()
    for number, (key, value) in enumerate(state.items()):
        noise = NoiseStream(7, torch.tensor([number])).normal(value.shape)[0]
        state[key] = _shaped(key, noise)
    for key in [key for key in state if key.endswith("weight_u")]:
        # Vectors of no iteration, yet a weight of ordinary size.
        flat = state[key.replace("weight_u", "weight_orig")].flatten(1)
        left = state[key] = state[key] / state[key].norm()
        right = flat.T @ left
        state[key.replace("weight_u", "weight_v")] = right / right.norm()
    network.load_state_dict(state)
    return network.eval()


def _shaped(key: str, noise: Tensor) -> Tensor:
    if key.endswith("running_vars"):
        return noise.exp()
    if key.endswith(".scale.weight_orig"):
        return noise * 0.1
    return noise * 0.5


def write_folder(folder: Path, network: BigGANDeep) -> Path:
    """A folder in the published layout."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(network.config)))
    return folder
