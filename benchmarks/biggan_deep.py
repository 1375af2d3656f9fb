"""BigGAN-deep at 128 pixels: the folded forms against the published network, taking turns.

python benchmarks/biggan_deep.py [BATCH] [ROUNDS]     random weights; prints times and ratios
"""

from __future__ import annotations

import torch
from in_turn import arguments, best_device, compare

from genbench_adapters.biggan_deep.folded import FoldedBigGAN
from genbench_adapters.biggan_deep.network import OFFICIAL, BigGANDeep

TRUNCATION = 0.5


def main() -> None:
    batch, rounds = arguments()
    device, half = best_device()
    torch.manual_seed(0)
    network = BigGANDeep(OFFICIAL[128]).eval()
    z = (TRUNCATION * torch.randn(batch, 128)).to(device)
    labels = torch.arange(batch, device=device)

    def folded(dtype: torch.dtype) -> FoldedBigGAN:
        made = FoldedBigGAN(network, TRUNCATION)
        made.convolutions_to(dtype)
        return made.to(device)

    exact, compiled, short = folded(torch.float32), folded(torch.float32), folded(half)
    compiled.compile()
    network = network.to(device)
    forms = {
        "plain": lambda: network(z, labels, TRUNCATION),
        "folded": lambda: exact(z, labels),
        "folded, compiled": lambda: compiled(z, labels),
        f"folded, {str(half).removeprefix('torch.')} (approximate)": lambda: short(z, labels),
    }
    compare("BigGAN-deep 128", forms, batch, rounds)


if __name__ == "__main__":
    main()
