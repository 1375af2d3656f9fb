"""ADM at 128 pixels: one guided evaluation in every form, taking turns.

python benchmarks/adm.py [BATCH] [ROUNDS]     random weights; prints times and ratios
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from in_turn import arguments, best_device, compare
from torch import Tensor

from genbench_adapters.adm.network import Classifier, UNet
from genbench_adapters.adm.sampler import classifier_guide
from genbench_adapters.adm.variants import VARIANTS


def main() -> None:
    batch, rounds = arguments()
    device, half = best_device()
    torch.manual_seed(0)
    variant = next(variant for variant in VARIANTS if variant.resolution == 128)
    assert variant.classifier is not None
    unet, classifier = UNet(variant.unet), Classifier(variant.classifier)
    for network in (unet, classifier):
        network.eval().requires_grad_(False)
        for parameter in network.parameters():
            if not parameter.any():  # zero-initialised layers would hide what they are given
                parameter.normal_(std=0.02)
    unet, classifier = unet.to(device), classifier.to(device)
    x = torch.randn(batch, 3, 128, 128, device=device)
    timesteps = torch.full((batch,), 500, device=device)
    labels = torch.arange(batch, device=device)

    def form(
        dtype: torch.dtype, *, last: bool, fused: bool, phases: bool = False
    ) -> Callable[[], Tensor]:
        order = torch.channels_last if last else torch.contiguous_format
        own_unet = copy.deepcopy(unet).to(memory_format=order)
        own_classifier = copy.deepcopy(classifier).to(memory_format=order)
        for network in (own_unet, own_classifier):
            network.convolutions_to(dtype)
            network.use_fused_attention(fused)
            if phases:
                network.phase_upsampling()
        guide = classifier_guide(own_classifier, labels, 1.0)
        noisy = x.to(memory_format=order)
        return lambda: own_unet(noisy, timesteps, labels)[:, :3] + guide(noisy, timesteps)

    short = str(half).removeprefix("torch.")
    forms = {
        "plain": form(torch.float32, last=False, fused=False),
        "channels last": form(torch.float32, last=True, fused=False),
        "channels last, phases": form(torch.float32, last=True, fused=False, phases=True),
        "channels last, fused attention": form(torch.float32, last=True, fused=True),
        f"channels last, {short}": form(half, last=True, fused=False),
        f"channels last, phases, {short}": form(half, last=True, fused=False, phases=True),
        f"channels last, fused, {short}": form(half, last=True, fused=True),
    }
    compare("ADM 128 guided (half precision is approximate)", forms, batch, rounds)


if __name__ == "__main__":
    main()
