"""A wider BigGAN-deep that begins with the images of a narrower one."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from genbench.core import GenbenchError
from genbench_adapters.biggan_deep.growth import load_or_grow
from genbench_adapters.biggan_deep.network import BigGANConfig, BigGANDeep

NARROW = BigGANConfig(
    output_dim=32,
    layers=((True, 4, 4), (True, 4, 2), (True, 2, 1)),
    channel_width=16, z_dim=8, class_embed_dim=8, num_classes=3, attention_layer_position=2,
)  # fmt: skip
WIDE = dataclasses.replace(NARROW, layers=((True, 4, 4), (True, 4, 4), (True, 4, 2)))


def trained(network: BigGANDeep) -> BigGANDeep:
    """As training leaves it: uneven singular values, their vectors found, attention at work."""
    for name, value in network.named_parameters():
        if name.endswith("weight_orig"):
            value.data = torch.randn_like(value) * torch.rand(value.shape[0]).view(
                -1, *[1] * (value.ndim - 1)
            )
        if name.endswith("gamma"):
            value.data.fill_(0.7)
    network.train()
    for _ in range(40):
        images(network)
    return network


@torch.no_grad()
def images(network: BigGANDeep) -> Tensor:
    noise = torch.Generator().manual_seed(1)
    made: Tensor = network(torch.randn(6, 8, generator=noise), torch.arange(6) % 3)
    return made


def of_batch(network: BigGANDeep) -> Tensor:
    """Images by the statistics of their batch, the spectral norms as they are."""
    network.eval()
    for norm in network.norms():
        norm.training = True
    return images(network)


def grown(config: BigGANConfig) -> tuple[BigGANDeep, BigGANDeep]:
    torch.manual_seed(0)
    narrow, wide = trained(BigGANDeep(NARROW)), BigGANDeep(config)
    load_or_grow(wide, narrow.state_dict(), what="it")
    return narrow, wide


def test_a_wider_network_makes_the_same_images() -> None:
    narrow, wide = grown(WIDE)
    before, after = of_batch(narrow), of_batch(wide)
    assert before.std() > 0.1
    assert (after - before).abs().mean() < 0.005
    torch.manual_seed(5)
    assert (of_batch(BigGANDeep(WIDE)) - before).abs().mean() > 0.1


def test_what_was_added_learns() -> None:
    _, wide = grown(WIDE)
    wide.train()
    descent = torch.optim.SGD(wide.parameters(), lr=0.5)
    start = {name: value.clone() for name, value in wide.named_parameters()}
    for _ in range(3):
        descent.zero_grad()
        made = wide(torch.randn(6, 8), torch.arange(6) % 3)
        (made * torch.randn(made.shape)).sum().backward()
        descent.step()
    narrow = BigGANDeep(NARROW).state_dict()
    for name, value in wide.named_parameters():
        if name == "generator.conv_to_rgb.bias":
            continue  # of channels that no image has
        changed = value != start[name]
        changed[tuple(slice(size) for size in narrow[name].shape)] = False
        assert changed.any() or value.shape == narrow[name].shape, name


def test_one_of_the_same_width_is_loaded_as_it_is() -> None:
    narrow, same = grown(NARROW)
    held = narrow.state_dict()
    assert all(torch.equal(value, held[key]) for key, value in same.state_dict().items())


@pytest.mark.parametrize("width", [8, 32])
def test_other_networks_are_refused(width: int) -> None:
    with pytest.raises(GenbenchError, match=r"it .*generator"):
        grown(dataclasses.replace(NARROW, channel_width=width))
