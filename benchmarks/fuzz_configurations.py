"""Configurations of networks, which lie beside weights or in them, as the families read them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import adm_files
import biggan_files
import edm_files
import hit_files
import torch
from safetensors.torch import save

from genbench.errors import GenbenchError
from genbench_adapters.adm.bundle import GuidedModel, read_bundle
from genbench_adapters.biggan_deep.adapter import BigGANDeepAdapter
from genbench_adapters.biggan_deep.checkpoint import load_network as load_biggan
from genbench_adapters.emd.checkpoint import load_generator
from genbench_adapters.emd.consistency import load_consistency
from genbench_adapters.emd.one_step import OneStep
from genbench_adapters.hit.adapter import HiTAdapter
from genbench_adapters.hit.checkpoint import load_network as load_hit

_GUIDED = GuidedModel(
    noise_schedule="cosine",
    diffusion_steps=9,
    unet=adm_files.UNET,
    classifier=adm_files.CLASSIFIER,
)
_ONE_STEP = {"kind": "edm", "network": edm_files.arguments_of(edm_files.ADM_LIKE), "sigma": 2.5}
CONFIGURED = [
    json.dumps(held).encode()
    for held in (
        dataclasses.asdict(_GUIDED),
        dataclasses.asdict(adm_files.UNET),
        dataclasses.asdict(biggan_files.CONFIG),
        dataclasses.asdict(hit_files.CONFIG),
        edm_files.arguments_of(edm_files.ADM_LIKE),
        _ONE_STEP,
    )
]


def read_configurations(path: Path) -> None:
    """Every family's reading of a config.json, and of the same text inside weights of no tensor
    that fits, up to where the network is made and its tensors are missed."""
    folder = path.parent
    text = path.read_bytes().decode(errors="replace")
    plain, told = folder / "plain.safetensors", folder / "told.safetensors"
    tensors = {"a": torch.ones(1)}
    plain.write_bytes(save(tensors))
    told.write_bytes(save(tensors, metadata={"genbench.config": text}))
    one_step = dataclasses.replace(OneStep.cards[0], resolution=32, classes=10)
    biggan = dataclasses.replace(BigGANDeepAdapter.cards[0], resolution=32, classes=10)
    hit = dataclasses.replace(HiTAdapter.cards[0], resolution=hit_files.CONFIG.resolution)
    readings: tuple[Callable[[], object], ...] = (
        lambda: read_bundle(plain),
        lambda: load_biggan(plain, biggan),
        lambda: load_generator(plain, one_step),
        lambda: load_consistency(plain, one_step),
        lambda: load_generator(told, one_step),
        lambda: load_hit(told, hit),
    )
    refusals = []
    for reading in readings:
        try:
            reading()
        except GenbenchError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]
