"""Consistency models: size, the identity at the least level, published files, bad ones."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from adm_files import UNET, filled
from strangers import error_line, genbench
from torch import Tensor

from genbench.images.rounding import to_uint8
from genbench.models.noise import NoiseStream
from genbench_adapters.adm.network import UNet
from genbench_adapters.emd.consistency import IMAGENET_64, Consistency

CONFIG = replace(UNET, image_size=32, out_channels=3, use_new_attention_order=True)


def network() -> Consistency:
    return Consistency(filled(UNet(CONFIG)))


def published(folder: Path, **changed: Tensor) -> Path:
    """A folder with the official layout of the tensors, and their configuration."""
    state = {
        key: value[..., None] if key.endswith(("qkv.weight", "proj_out.weight")) else value
        for key, value in network().unet.state_dict().items()
    }
    torch.save(state | changed, folder / "pytorch_model.bin")
    values = {key: value for key, value in asdict(CONFIG).items() if key != "pool"}
    values.pop("use_new_attention_order")  # no argument of the official network: always so
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def sample(folder: Path, *words: str) -> Any:
    return genbench(
        "sample", "--model", "emd", "--parameterisation", "consistency", "--sigma", "80", "-n",
        "2", "--out", folder / "x.npz", "--checkpoint", folder, "--cache", folder / "cache",
        *(words or ("--res", "32", "--labels", "3,7")),
    )  # fmt: skip


def test_the_published_size() -> None:
    with torch.device("meta"):
        unet = UNet(IMAGENET_64)
    assert sum(item.numel() for item in unet.parameters()) == 295_899_267


def test_it_is_the_identity_at_the_least_level_and_edm_without_one() -> None:
    x, labels = NoiseStream(0, torch.arange(1)).normal((3, 32, 32)), torch.tensor([2])
    with torch.inference_mode():
        torch.testing.assert_close(network()(x, torch.tensor([0.002]), labels), x)
        level = torch.tensor([3.0])
        plain = Consistency(network().unet, least=0.0)(x, level, labels)
        total = (level**2 + 0.25).sqrt()
        inner = network().unet(x / total, 250 * level.log(), labels)
        expected = 0.25 / total**2 * x + 3 * 0.5 / total * inner
    torch.testing.assert_close(plain, expected)


def test_a_published_file_samples_in_one_evaluation(tmp_path: Path) -> None:
    run = sample(published(tmp_path))
    assert run.returncode == 0, run.stderr
    x = 80 * NoiseStream(0, torch.arange(2)).normal((3, 32, 32))
    with torch.inference_mode():
        images = network()(x, torch.tensor([80.0]), torch.tensor([3, 7]))
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        drawn = file["arr_0"].astype(int)
    assert abs(drawn - to_uint8(images).permute(0, 2, 3, 1).int().numpy()).max() <= 1


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    folder = published(tmp_path, extra=torch.zeros(1))
    assert "1 unexpected (extra)" in error_line(sample(folder))
    line = error_line(sample(folder, "--variant", "emd-32-uncond"))
    assert "consistency model of 32 pixels and 10 classes, not of 32 and 0" in line
    (folder / "config.json").write_text("[]")
    assert "is no configuration of a consistency model" in error_line(sample(folder))
    (folder / "config.json").unlink()
    line = error_line(sample(folder))
    assert "taken for a consistency model of 64 pixels" in line
    assert "config.json" in line
