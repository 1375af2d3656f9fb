"""Batch norm statistics of an averaged generator, made after its training."""

from __future__ import annotations

import torch

from genbench.models.noise import NoiseStream
from genbench_adapters.hit.network import BatchNorm, HiT


@torch.no_grad()
def fill_statistics(network: HiT, *, batches: int, batch: int, seed: int) -> None:
    """Replace the moving statistics by the mean over batches of generated images.

    Those of training are of the weights of its last steps, not of their average. The network is
    left in eval mode; with layer norm, or for 0 batches, nothing changes.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    device = next(network.parameters()).device
    network.eval()
    for norm in norms:
        norm.train()
    for number in range(batches):
        for norm in norms:
            norm.momentum = number / (number + 1)
        first = number * batch
        noise = NoiseStream(seed, torch.arange(first, first + batch), device)
        network(noise.normal((network.config.latent,)))
    for norm in norms:
        norm.momentum = BatchNorm.momentum
    network.eval()
