"""ADM's networks: published files, sizes, half precision, attention orders."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from adm_files import UNET, filled
from torch import nn
from torch.nn import functional

from genbench.errors import GenbenchError
from genbench.models.noise import NoiseStream
from genbench_adapters.adm.network import (
    Classifier,
    GroupNorm32,
    SuperResUNet,
    UNet,
    UNetConfig,
    attend,
    timestep_embedding,
)
from genbench_adapters.adm.variants import UPSAMPLERS, VARIANTS

PARITY = Path(__file__).parents[2] / "parity"


def published() -> dict[str, tuple[type[nn.Module], UNetConfig]]:
    """Every published file with the network it belongs to."""
    files: dict[str, tuple[type[nn.Module], UNetConfig]] = {}
    for variant in VARIANTS:
        files[variant.file] = (UNet, variant.unet)
        if variant.classifier is not None:
            files[variant.classifier_file] = (Classifier, variant.classifier)
    for upsampler in UPSAMPLERS.values():
        files[upsampler.file] = (SuperResUNet, upsampler.unet)
    return files


def empty(file: str) -> nn.Module:
    kind, config = published()[file]
    with torch.device("meta"):
        return kind(config)


SIZES = {
    "64x64_diffusion.pt": 295_904_454,
    "128x128_diffusion.pt": 421_529_606,
    "256x256_diffusion.pt": 553_838_086,
    "256x256_diffusion_uncond.pt": 552_814_086,
    "512x512_diffusion.pt": 558_997_638,
    "lsun_bedroom.pt": 552_814_086,
    "lsun_cat.pt": 552_814_086,
    "lsun_horse.pt": 552_814_086,
    "64x64_classifier.pt": 65_438_568,
    "128x128_classifier.pt": 42_568_040,
    "256x256_classifier.pt": 54_096_360,
    "512x512_classifier.pt": 54_448_360,
    "64_256_upsampler.pt": 311_795_910,
    "128_512_upsampler.pt": 308_835_270,
}  # REFERENCE_MODELS.md, counted on the official networks


def test_published_sizes() -> None:
    assert set(published()) == set(SIZES)
    for file, size in SIZES.items():
        assert sum(item.numel() for item in empty(file).parameters()) == size, file
    for variant in VARIANTS:
        assert variant.parameters == SIZES[variant.file]


def test_every_key_and_shape_of_the_published_files() -> None:
    keys = json.loads(gzip.decompress((PARITY / "keys_full_torch.json.gz").read_bytes()))["keys"]
    compared = 0
    for file in set(published()) & set(keys):
        ours = {key: list(value.shape) for key, value in empty(file).state_dict().items()}
        assert ours == {key: shape for key, (_, shape) in keys[file].items()}, file
        compared += 1
    assert compared == 11


def test_half_precision_keeps_the_float32_islands() -> None:
    network = filled(UNet(UNET))
    x = NoiseStream(0, torch.arange(2)).normal((3, 16, 16))
    given = (x, torch.tensor([500, 3]), torch.tensor([1, 2]))
    with torch.inference_mode():
        whole = network(*given)
        network.convolutions_to(torch.bfloat16)
        half = network(*given)
    kinds = {key: value.dtype for key, value in network.state_dict().items()}
    assert kinds["input_blocks.1.0.in_layers.2.weight"] == torch.bfloat16
    block = "input_blocks.1.0"
    for island in ("out.2", "time_embed.0", "label_emb", f"{block}.in_layers.0",
                   f"{block}.emb_layers.1"):  # fmt: skip
        assert kinds[f"{island}.weight"] == torch.float32
    assert half.dtype == torch.float32
    assert 0 < (half - whole).abs().max() < 0.1 * whole.abs().max()


@pytest.mark.parametrize("updown", [False, True])
def test_upsampling_in_phases_changes_no_output(updown: bool) -> None:
    network = filled(UNet(replace(UNET, resblock_updown=updown)))
    x = NoiseStream(0, torch.arange(2)).normal((3, 16, 16))
    given = (x, torch.tensor([500, 3]), torch.tensor([1, 2]))
    with torch.inference_mode():
        whole = network(*given)
        network.phase_upsampling()
        assert (network(*given) - whole).abs().max() < 1e-5 * whole.abs().max()


@pytest.mark.parametrize("side", [8, 32])  # the two kernels of bfloat16 on a CPU
@pytest.mark.parametrize("conditioned", [False, True])
def test_a_norm_in_half_precision_sums_in_float32(side: int, conditioned: bool) -> None:
    """As the official casts to float32 do: what is left is the rounding of what is stored."""
    norm = filled(GroupNorm32(64))
    noise = NoiseStream(4, torch.arange(3))
    # A mean of 4 deviations, of which sums in bfloat16 would lose the deviations.
    x = (4 + noise.normal((64, side, side))).bfloat16().to(memory_format=torch.channels_last)
    x[2] /= 256  # its variance is about the norm's eps
    condition = noise.normal((128, 1, 1), step=1) if conditioned else None
    exact = functional.group_norm(x.double(), 32, norm.weight.double(), norm.bias.double())
    if condition is not None:
        scale, shift = condition.double().chunk(2, dim=1)
        exact = exact * (1 + scale) + shift
    exact = functional.silu(exact)
    with torch.no_grad():
        ours = norm.activated(x, condition)
    assert ours.dtype == torch.bfloat16
    assert ours.is_contiguous(memory_format=torch.channels_last)
    # In units of what storing the exact result in bfloat16 costs: the large kernel stores up to
    # four results on the way, the small one the last alone.
    unit = (exact.bfloat16() - exact).square().mean().sqrt()
    assert (ours - exact).square().mean().sqrt() < (1.01 if side == 8 else 4) * unit
    # The form whose gradient is taken.
    slow = norm.activated(x.requires_grad_(), condition)
    assert (slow - exact).square().mean().sqrt() < 4 * unit


def test_attention_by_hand_in_both_orders() -> None:
    count, heads, width, length = 2, 3, 4, 5
    qkv = NoiseStream(0, torch.arange(count)).normal((3 * heads * width, length)).double()
    for new_order in (True, False):
        expected = torch.empty(count, heads * width, length, dtype=torch.float64)
        for sample in range(count):
            for head in range(heads):
                starts = [
                    (part * heads + head if new_order else head * 3 + part) * width
                    for part in range(3)
                ]
                q, k, v = (qkv[sample, start : start + width] for start in starts)
                weights = torch.softmax(q.T @ k / width**0.5, dim=-1)
                expected[sample, head * width : (head + 1) * width] = v @ weights.T
        for fused in (True, False):
            ours = attend(qkv, heads, new_order=new_order, fused=fused)
            torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


def test_timestep_embedding_has_cosines_first_and_takes_fractions() -> None:
    embedded = timestep_embedding(torch.tensor([0.0, 2.5]), 7)
    assert embedded.shape == (2, 7)
    assert embedded[0].tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert embedded[1, 0] == pytest.approx(torch.tensor(2.5).cos().item())
    assert embedded[1, 4] == pytest.approx((torch.tensor(2.5) * 10_000 ** (-1 / 3)).sin().item())


def test_labels_fit_the_network() -> None:
    x, timesteps = torch.zeros(1, 3, 16, 16), torch.tensor([1])
    with pytest.raises(GenbenchError, match="takes labels"):
        filled(UNet(UNET))(x, timesteps)
    unconditional = filled(UNet(replace(UNET, num_classes=None)))
    with pytest.raises(GenbenchError, match="takes no labels"):
        unconditional(x, timesteps, torch.tensor([1]))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_channels", 10**9), ("model_channels", 32.5), ("num_res_blocks", 10**6),
        ("channel_mult", (float("inf"),)), ("channel_mult", (1,) * 40), ("channel_mult", 3),
        ("attention_resolutions", ("a",)), ("num_classes", "ten"), ("dropout", None),
        ("pool", []), ("image_size", True),
    ],
)  # fmt: skip
def test_sizes_that_cannot_be(key: str, value: object) -> None:
    with pytest.raises(GenbenchError, match=f"{key}.*correct it"):
        replace(UNET, **{key: value})  # type: ignore[arg-type]


def test_unknown_configuration_keys_are_refused() -> None:
    with pytest.raises(GenbenchError, match="use_fp17"):
        UNetConfig.from_mapping({"use_fp17": True})
    with pytest.raises(GenbenchError, match="complete it"):
        UNetConfig.from_mapping({"image_size": 32})
    with pytest.raises(GenbenchError, match="num_head_channels 0 is neither -1 nor above 0"):
        replace(UNET, num_head_channels=0)
