"""BigGAN-deep's network: published files, sizes, the folded form, latents."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import pytest
import torch
from biggan_files import CONFIG, small_network
from operations import operations

from genbench.models.noise import NoiseStream
from genbench_adapters.biggan_deep import latents as latents_module
from genbench_adapters.biggan_deep.folded import FoldedBigGAN
from genbench_adapters.biggan_deep.latents import truncated_normal
from genbench_adapters.biggan_deep.network import (
    OFFICIAL,
    BigGANConfig,
    BigGANDeep,
    statistics_position,
)

PARITY = Path(__file__).parents[2] / "parity"


@pytest.mark.parametrize(
    ("resolution", "parameters", "buffers"),
    [(128, 50_388_609, 2_298_816), (256, 55_880_833, 2_692_352), (512, 56_163_905, 2_744_960)],
)
def test_published_sizes(resolution: int, parameters: int, buffers: int) -> None:
    with torch.device("meta"):
        network = BigGANDeep(OFFICIAL[resolution])
    assert sum(item.numel() for item in network.parameters()) == parameters
    assert sum(item.numel() for item in network.buffers()) == buffers


@pytest.mark.parametrize("resolution", OFFICIAL)
def test_every_key_and_shape_of_the_published_files(resolution: int) -> None:
    listed = json.loads(gzip.decompress((PARITY / "keys_full_torch.json.gz").read_bytes()))
    name = f"biggan-deep-{resolution}"
    assert BigGANConfig.from_mapping(listed["flags"][name]) == OFFICIAL[resolution]
    with torch.device("meta"):
        state = BigGANDeep(OFFICIAL[resolution]).state_dict()
    ours = {key: list(value.shape) for key, value in state.items()}
    assert ours == {key: shape for key, (_, shape) in listed["keys"][name].items()}


def test_floating_point_decides_the_row_of_the_statistics() -> None:
    # From the official lookup: 0.58 / (1 / 50) is 28.999…, 0.14 / (1 / 50) is 7.000…1.
    assert statistics_position(0.58, 51)[1] == 28
    assert statistics_position(0.14, 51)[1] == 7
    assert 0 < statistics_position(0.14, 51)[0] < 1e-12
    assert statistics_position(1.0, 51) == (0.0, 50)
    assert statistics_position(0.5, 51) == (0.0, 25)


@pytest.mark.parametrize("truncation", [0.14, 0.407, 0.5, 1.0])
@pytest.mark.parametrize(("attention", "grey"), [(2, False), (99, False), (2, True)])
def test_the_folded_form_equals_the_plain_one(
    truncation: float, attention: int, grey: bool
) -> None:
    # In float64, where only a wrong formula can tell them apart: random weights amplify rounding.
    network = small_network(
        dataclasses.replace(CONFIG, attention_layer_position=attention, grey=grey)
    ).double()
    folded = FoldedBigGAN(network, truncation)
    z, labels = NoiseStream(1, torch.arange(5)).normal((6,)).double(), torch.arange(5)
    with torch.inference_mode():
        plain = network(truncation * z, labels, truncation)
        assert plain.std() > 0.1
        assert torch.equal(plain[:, 0], plain[:, 2]) == grey
        torch.testing.assert_close(folded(truncation * z, labels), plain, rtol=0, atol=1e-9)
        single = folded.float()(truncation * z, labels)
        half = folded.bfloat16()(truncation * z, labels)
    assert (single - plain).abs().mean() < 1e-5
    assert (half - plain).abs().mean() < 0.03  # approximate: 8 bits of mantissa


def test_training_leaves_out_only_channels_that_no_image_has() -> None:
    network = small_network()
    for norm in network.norms():
        norm.training = True
    z, labels = NoiseStream(1, torch.arange(5)).normal((6,)), torch.arange(5)
    every = network(z, labels)
    network.generator.training = True  # its layers are not: their spectral norms would iterate
    torch.testing.assert_close(network(z, labels), every, rtol=0, atol=1e-5)


def test_latents_are_a_truncated_normal_by_sample() -> None:
    latents = truncated_normal(NoiseStream(3, torch.arange(2000)), 100)
    assert latents.abs().max() <= 2
    assert abs(float(latents.mean())) < 0.01
    assert float(latents.var()) == pytest.approx(0.773741, abs=0.01)  # of the truncated normal
    assert (latents.abs() > 1.99).float().mean() < 0.004  # drawn again, not clipped to the bound
    alone = truncated_normal(NoiseStream(3, torch.tensor([1234])), 100)
    assert torch.equal(alone[0], latents[1234])


@pytest.mark.parametrize("rounds", [2, 8])  # of two, some numbers are still outside
def test_rounds_of_latents_are_drawn_together(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents_module, "_ROUNDS", rounds)
    stream = NoiseStream(3, torch.arange(40))
    expected = stream.normal((100,))
    for step in range(1, rounds):
        again = stream.normal((100,), step=step)
        expected = torch.where(expected.abs() <= 2, expected, again)
    assert (expected.abs() > 2).any() == (rounds == 2)
    with operations() as made:
        latents = truncated_normal(stream, 100)
    assert torch.equal(latents, expected.clamp(-2, 2))
    assert len(made) < 280  # 2,055 while every round was drawn alone
