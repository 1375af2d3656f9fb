"""EDM's networks: published files, sizes, preconditioning, attention."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from edm_files import ADM_LIKE, small_network
from torch.nn import functional

from genbench.errors import GenbenchError
from genbench.models.noise import NoiseStream
from genbench_adapters.emd.network import EDM, Block, EDMConfig, Resample, sinusoids

PARITY = Path(__file__).parents[2] / "parity"
NCSNPP_ARGUMENTS = {
    "embedding_type": "fourier",
    "encoder_type": "residual",
    "channel_mult_noise": 2,
    "resample_filter": [1, 3, 3, 1],
}


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({"img_resolution": 64, "label_dim": 1000}, 295_899_267),
        ({"img_resolution": 32, "label_dim": 10, "augment_dim": 9, "model_type": "SongUNet",
          "channel_mult": [2, 2, 2]}, 55_735_299),
        ({"img_resolution": 32, "label_dim": 10, "augment_dim": 9, "model_type": "SongUNet",
          "channel_mult": [2, 2, 2], **NCSNPP_ARGUMENTS}, 56_400_643),
        ({"img_resolution": 64, "augment_dim": 9, "model_type": "SongUNet"}, 61_805_571),
        ({"img_resolution": 64, "augment_dim": 9, "model_type": "SongUNet", **NCSNPP_ARGUMENTS},
         62_761_091),
    ],
)  # fmt: skip
def test_published_sizes(arguments: dict[str, object], parameters: int) -> None:
    """Of ImageNet 64, CIFAR-10 and FFHQ, from what EDM's train.py passes: the rest is default."""
    with torch.device("meta"):
        network = EDM(EDMConfig.from_mapping(arguments))
    assert sum(item.numel() for item in network.parameters()) == parameters


def test_every_tensor_of_the_published_network() -> None:
    listed = json.loads(gzip.decompress((PARITY / "keys_full_torch.json.gz").read_bytes()))
    name = "edm-imagenet-64x64-cond-adm"
    with torch.device("meta"):
        network = EDM(EDMConfig.from_mapping(listed["flags"][name]))
    ours = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert ours == {key: shape for key, (_, shape) in listed["keys"][name].items()}


def test_preconditioning_is_equation_7() -> None:
    network = small_network()
    x = NoiseStream(1, torch.arange(2)).normal((3, 32, 32))
    labels, sigma = torch.eye(10)[[0, 9]], torch.tensor([0.02, 3.0])
    with torch.inference_mode():
        s = sigma[:, None, None, None]
        inner = network.model(x / (s**2 + 0.25).sqrt(), sigma.log() / 4, labels)
        expected = 0.25 / (s**2 + 0.25) * x + s * 0.5 / (s**2 + 0.25).sqrt() * inner
        torch.testing.assert_close(network(x, sigma, labels), expected, rtol=0, atol=1e-5)
        nearly_clean = network(x, torch.tensor([1e-6]), labels)
    torch.testing.assert_close(nearly_clean, x, rtol=0, atol=1e-4)


def test_no_label_is_the_empty_one_and_labels_matter() -> None:
    network = small_network()
    x, sigma = NoiseStream(2, torch.arange(1)).normal((3, 32, 32)), torch.tensor([1.0])
    with torch.inference_mode():
        free = network(x, sigma)
        assert torch.equal(free, network(x, sigma, torch.zeros(1, 10)))
        assert not torch.equal(free, network(x, sigma, torch.eye(10)[[4]]))


def test_attention_by_hand() -> None:
    """The channels of the packed product are ordered (head, width, query key value)."""
    block = next(
        layer
        for layer in small_network(replace(ADM_LIKE, channel_mult=(1, 4))).modules()
        if isinstance(layer, Block) and layer.heads == 2
    )
    qkv = NoiseStream(3, torch.arange(2)).normal((2 * 64 * 3, 2, 3)).double()
    flat, expected = qkv.flatten(2), torch.empty(2, 128, 6, dtype=torch.float64)
    for sample in range(2):
        for head in range(2):
            first = head * 64 * 3
            q, k, v = (flat[sample, first + part : first + 192 : 3] for part in range(3))
            weights = torch.softmax(q.T @ k / 64**0.5, dim=1)
            expected[sample, head * 64 : (head + 1) * 64] = v @ weights.T
    torch.testing.assert_close(block._attended(qkv).flatten(2), expected, rtol=0, atol=1e-5)


def test_resampling_by_hand() -> None:
    x = NoiseStream(4, torch.arange(1)).normal((2, 8, 8))
    halved, doubled = Resample((1, 1), up=False)(x), Resample((1, 1), up=True)(x)
    torch.testing.assert_close(halved, functional.avg_pool2d(x, 2))
    torch.testing.assert_close(doubled, functional.interpolate(x, scale_factor=2, mode="nearest"))
    row = torch.tensor([1.0, 2.0, 4.0, 8.0]).expand(1, 1, 4, 4)
    smooth = Resample((1, 3, 3, 1), up=False)(row)[0, 0, 1]  # rows at the edge lose a tap
    line = [(3 * 1 + 3 * 2 + 4) / 8, (2 + 3 * 4 + 3 * 8) / 8]
    assert smooth.tolist() == pytest.approx([value * 7 / 8 for value in line])
    grown = Resample((1, 3, 3, 1), up=True)(row)[0, 0, 3]
    assert grown[3:5].tolist() == pytest.approx([(2 * 3 + 4) / 4, (2 + 3 * 4) / 4])


def test_noise_is_embedded_with_cosines_first() -> None:
    noise = torch.tensor([0.5])
    plain, closed = (sinusoids(noise, 6, endpoint=endpoint)[0] for endpoint in (False, True))
    assert plain.tolist() == pytest.approx(
        [wave(0.5 * 10_000 ** (-place / 3)) for wave in (math.cos, math.sin) for place in range(3)]
    )
    assert closed[[2, 5]].tolist() == pytest.approx([math.cos(0.5 / 10_000), 0.5 / 10_000])


def test_attention_needs_the_width_of_a_head() -> None:
    """As in the official code, 32 channels at 64 a head attend with no head at all."""
    network = small_network(replace(ADM_LIKE, attn_resolutions=(32, 16)))
    keys = network.state_dict().keys()
    assert "model.enc.32x32_block0.qkv.weight" not in keys
    assert "model.enc.16x16_block0.qkv.weight" in keys


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"model_type": "VPUNet"}, "model_type 'VPUNet' is not DhariwalUNet or SongUNet"),
        ({"embedding_type": "learnt"}, "embedding_type 'learnt' is not positional or fourier"),
        ({"encoder_type": "skip"}, "encoder_type 'skip' is not"),
        ({"decoder_type": "skip"}, "decoder_type 'skip' is not standard"),
        ({"img_resolution": "32"}, "img_resolution '32' is not a number"),
        ({"img_resolution": 30, "channel_mult": [1, 2, 2]}, "cannot be halved to 3 levels"),
        ({"num_blocks": 10**9}, "num_blocks 1000000000 is not"),
        ({"label_dim": -1}, "label_dim -1 is not"),
        ({"channel_mult": [1, 2.5]}, "is not a list of positive numbers"),
        ({"channel_mult": []}, "cannot be halved to 0 levels"),
        ({"channel_mult": 2}, "channel_mult 2 is not a list"),
        ({"model_channels": 4095}, "do not divide into groups"),
        ({"sigma_data": 0.0}, "sigma_data 0.0 or dropout"),
        ({"sigma_data": None}, "sigma_data None is not a number"),
        ({"img_channels": 1}, "images of 1 channels are not RGB"),
        ({"resample_filter": [1, 2, 1]}, "3 taps"),
        ({"colour": "red"}, r"keys \['colour'\] are not EDM's"),
    ],
)
def test_bad_configurations(changed: dict[str, object], expected: str) -> None:
    with pytest.raises(GenbenchError, match=expected):
        EDMConfig.from_mapping({"img_resolution": 32, **changed})
    with pytest.raises(GenbenchError, match="complete it"):
        EDMConfig.from_mapping({})
