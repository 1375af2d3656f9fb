"""HiT at 128 pixels: the folded forms against the plain network, taking turns.

python benchmarks/hit.py [BATCH] [ROUNDS]     random weights; prints times and ratios
"""

from __future__ import annotations

import torch
from in_turn import arguments, best_device, compare

from genbench_adapters.hit.folded import FoldedHiT
from genbench_adapters.hit.network import OFFICIAL, HiT


def main() -> None:
    batch, rounds = arguments()
    device, half = best_device()
    torch.manual_seed(0)
    network = HiT(OFFICIAL[128]).eval()
    z = torch.randn(batch, OFFICIAL[128].latent, device=device)
    exact = FoldedHiT(network).to(device)
    short = FoldedHiT(network).to(device=device, dtype=half)
    network = network.to(device)
    forms = {
        "plain": lambda: network(z),
        "folded": lambda: exact(z),
        f"folded, {str(half).removeprefix('torch.')} (approximate)": lambda: short(z.to(half)),
    }
    compare("HiT 128", forms, batch, rounds)


if __name__ == "__main__":
    main()
