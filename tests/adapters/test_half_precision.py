"""What half precision may cost: no logits and no gains stored in it, no weight cast every call."""

from __future__ import annotations

import copy

import pytest
import torch
from biggan_files import small_network as small_biggan
from edm_files import ADM_LIKE, NCSNPP
from edm_files import small_network as small_edm
from emd_files import unet_config
from hit_files import small_network as small_hit
from torch import Tensor

from genbench.models.noise import NoiseStream
from genbench_adapters.adm.network import UNet
from genbench_adapters.attention import attend
from genbench_adapters.biggan_deep.folded import FoldedBigGAN, _normed
from genbench_adapters.emd.denoisers import AdmDenoiser, EdmDenoiser
from genbench_adapters.emd.network import Block, Conv, EDMConfig
from genbench_adapters.hit.folded import FoldedHiT

HALVES = [torch.float16, torch.bfloat16]


def normal(*shape: int, step: int = 0) -> Tensor:
    return NoiseStream(5, torch.arange(shape[0])).normal(shape[1:], step=step)


def exact(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.softmax(q.double() @ k.double().transpose(1, 2), dim=-1)
    return weights @ v.double()


@pytest.mark.parametrize("half", HALVES)
def test_logits_are_not_stored_in_half(half: torch.dtype) -> None:
    """Unscaled, they reach hundreds, where float16 has steps of 0.25 and bfloat16 of 2."""
    q, k = ((9 * normal(3, 40, 16, step=step)).to(half) for step in (0, 1))
    v = normal(3, 40, 24, step=2).to(half)
    assert (q.float() @ k.float().transpose(1, 2)).abs().max() > 500
    stored = torch.bmm(torch.softmax(torch.bmm(q, k.transpose(1, 2)), dim=-1), v)
    error = (attend(q, k, v) - exact(q, k, v)).abs().max()
    assert error < 2 * torch.finfo(half).eps
    assert error < (stored - exact(q, k, v)).abs().max() / 10
    assert attend(q, k, v).dtype == half


def test_float32_goes_through_two_products() -> None:
    q, k, v = (normal(3, 40, 16, step=step) for step in range(3))
    weights = torch.softmax(torch.bmm(q, k.transpose(1, 2)), dim=-1)
    assert torch.equal(attend(q, k, v), torch.bmm(weights, v))


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("config", [ADM_LIKE, NCSNPP], ids=["adm", "ncsn++"])
def test_attention_of_edm(config: EDMConfig, half: torch.dtype) -> None:
    """Its logits reach tens here, where bfloat16 has steps of 0.25."""
    network = small_edm(config)
    block = next(item for item in network.modules() if isinstance(item, Block) and item.heads)
    qkv = (10 * normal(2, block.proj.weight.shape[0] * 3, 5, 4)).to(half)
    reference = block._attended(qkv.float())
    error = (block._attended(qkv) - reference).abs().max()
    assert error < 0.5 * torch.finfo(half).eps * reference.abs().max()
    with torch.autocast("cpu", half):
        # As it was, where autocast brought the product of float32 queries and keys back to half.
        assert (block._attended(qkv.float()) - reference).abs().max() > 5 * error


@pytest.mark.parametrize("half", HALVES)
def test_gains_and_shifts_of_biggan_are_rounded_once(half: torch.dtype) -> None:
    x = normal(2, 8, 5, 5).to(half).contiguous(memory_format=torch.channels_last)
    gain, shift = normal(2, 8, 1, 1, step=1), normal(2, 8, 1, 1, step=2)
    made = _normed(x, gain, shift)
    # As a GPU does it.
    assert torch.equal(made, torch.addcmul(shift, x, gain, out=torch.empty_like(x)).relu_())
    assert made.dtype == half
    assert made.is_contiguous(memory_format=torch.channels_last)
    wide = (x.double() * gain.double() + shift.double()).relu()
    assert (made == wide.to(half)).float().mean() > 0.99  # float32's own rounding beside half's


@pytest.mark.parametrize("half", HALVES)
def test_biggan_in_half(half: torch.dtype) -> None:
    network = small_biggan()
    folded = FoldedBigGAN(network, 0.5)
    z, labels = 0.5 * normal(40, 6), torch.arange(40) % 10
    with torch.inference_mode():
        reference = folded(z, labels)
        whole = copy.deepcopy(folded).to(half)(z, labels)
        folded.convolutions_to(half)
        ours = folded(z, labels)
    assert ours.dtype == half
    assert folded.affine_weight.dtype == folded.last_shift.dtype == torch.float32
    error, before = ((images.float() - reference).abs().mean() for images in (ours, whole))
    assert error < 0.9 * before


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("kind", ["edm", "adm"])
def test_half_weights_are_made_once(kind: str, half: torch.dtype) -> None:
    """Autocast would make them anew in every call."""
    network: AdmDenoiser | EdmDenoiser = EdmDenoiser(small_edm())
    if kind == "adm":
        network = AdmDenoiser(UNet(unet_config()).eval(), "cosine", 100)
        with torch.no_grad():
            for number, parameter in enumerate(network.parameters()):
                parameter.add_(0.05 * normal(1, *parameter.shape, step=number)[0])
    x, sigma, labels = normal(2, 3, 32, 32), torch.tensor([2.5, 2.5]), torch.tensor([3, 5])
    seen: set[torch.dtype] = set()

    def look(module: torch.nn.Module, given: tuple[Tensor, ...]) -> None:
        assert not torch.is_autocast_enabled("cpu")
        if isinstance(module, Conv | torch.nn.Conv2d):
            seen.add(given[0].dtype)
            assert module.weight.dtype == given[0].dtype

    with torch.inference_mode():
        single = network(x * 2.5, sigma, labels)
        network.convolutions_to(half)
        for module in network.modules():
            module.register_forward_pre_hook(look)
        ours = network(x * 2.5, sigma, labels)
    assert half in seen
    assert ours.dtype == torch.float32
    assert 0 < (ours - single).abs().mean() < 2 * torch.finfo(half).eps * single.std()


def test_colours_of_hit_are_added_in_float32() -> None:
    network = FoldedHiT(small_hit()).bfloat16()
    with torch.inference_mode():
        assert network(normal(2, network.config.latent).bfloat16()).dtype == torch.float32
