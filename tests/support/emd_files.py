"""Small teachers and recipes for the tests of the distillation."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from genbench_adapters.adm.bundle import GuidedModel
from genbench_adapters.adm.network import Classifier, UNet, UNetConfig
from genbench_adapters.emd.network import EDM, EDMConfig
from genbench_adapters.model_files import write_model

RECIPE = """
batch = 4
steps = 4
sigma = 2.0
langevin_steps = 2
latent_rate = 1e-4
generator_rate = 1e-4
score_rate = 1e-3
ema = 0.5
save_every = 1
preview_every = 2
"""


def unet_config(**changes: object) -> UNetConfig:
    """An ADM UNet for 32 pixels and 10 classes with learned variances."""
    common = UNetConfig(
        image_size=32,
        model_channels=32,
        out_channels=6,
        num_res_blocks=1,
        attention_resolutions=(),
        channel_mult=(1, 1),
        num_classes=10,
        num_head_channels=32,
        use_scale_shift_norm=True,
    )
    return dataclasses.replace(common, **changes)  # type: ignore[arg-type]


def adm_teacher(folder: Path) -> Path:
    """A guided ADM as `genbench train` writes it, with random weights."""
    classifier = unet_config(out_channels=10, num_classes=None)
    model = GuidedModel(
        noise_schedule="cosine", diffusion_steps=1000, unet=unet_config(), classifier=classifier
    )
    torch.manual_seed(0)
    networks = {"unet": UNet(model.unet), "classifier": Classifier(model.classifier)}
    tensors = {
        f"{name}/{key}": value + 0.02 * torch.randn_like(value)
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(model)))
    return folder / "model.safetensors"


def edm_config() -> EDMConfig:
    """An EDM network for 16 pixels and 3 classes."""
    return EDMConfig(
        img_resolution=16,
        label_dim=3,
        model_channels=32,
        channel_mult=(1, 1),
        num_blocks=1,
        attn_resolutions=(),
        dropout=0.0,
    )


def edm_teacher(path: Path) -> Path:
    """An EDM as `genbench convert edm` writes it, with random weights."""
    config = edm_config()
    torch.manual_seed(1)
    state = {
        key: value + 0.02 * torch.randn_like(value)
        for key, value in EDM(config).state_dict().items()
    }
    write_model(path, state, dataclasses.asdict(config), kind="converted")
    return path
