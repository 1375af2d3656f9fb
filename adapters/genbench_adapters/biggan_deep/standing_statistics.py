"""The statistics a BigGAN-deep generator is sampled with, made after its training."""

from __future__ import annotations

import torch

from genbench.models.noise import NoiseStream
from genbench_adapters.biggan_deep.latents import truncated_normal
from genbench_adapters.biggan_deep.network import BigGANDeep


@torch.no_grad()
def fill_statistics(network: BigGANDeep, *, batches: int, batch: int, seed: int) -> None:
    """Fill the table of means and variances by truncation from batches of generated images.

    Every norm sees the batch's own statistics while they are collected; over the batches means
    and (biased) variances are averaged, as the standing statistics of the paper (section 3.1,
    appendix C). The network is left in eval mode.
    """
    config = network.config
    norms = list(network.norms())
    device = network.embeddings.weight.device
    network.eval()
    for norm in norms:
        norm.training = True  # not its children: their spectral norms would iterate
    for row in range(config.n_stats):
        truncation = row / (config.n_stats - 1)
        for norm in norms:
            norm.observed = []
        for number in range(batches):
            first = number * batch
            noise = NoiseStream(seed, torch.arange(first, first + batch), device)
            z = truncation * truncated_normal(noise, config.z_dim)  # [batch, z]
            network(z, noise.labels(config.num_classes))
        for norm in norms:
            assert norm.observed is not None
            # [batches, C] -> [C].
            norm.running_means[row] = torch.stack([mean for mean, _ in norm.observed]).mean(0)
            norm.running_vars[row] = torch.stack([variance for _, variance in norm.observed]).mean(
                0
            )
    for norm in norms:
        norm.observed = None
    network.eval()
