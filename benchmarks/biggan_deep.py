"""BigGAN-deep at 128 pixels: the folded forms against the published network, taking turns.

python benchmarks/biggan_deep.py [BATCH] [ROUNDS]     random weights; prints seconds and ratios
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from genbench_adapters.biggan_deep.folded import FoldedBigGAN
from genbench_adapters.biggan_deep.network import OFFICIAL, BigGANDeep

TRUNCATION = 0.5


def main() -> None:
    batch, rounds = (int(word) for word in (*sys.argv[1:], "4", "7")[:2])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    torch.manual_seed(0)
    network = BigGANDeep(OFFICIAL[128]).eval()
    z = (TRUNCATION * torch.randn(batch, 128)).to(device)
    labels = torch.arange(batch, device=device)

    def folded(dtype: torch.dtype) -> FoldedBigGAN:
        return FoldedBigGAN(network, TRUNCATION).to(device=device, dtype=dtype)

    exact, short = folded(torch.float32), folded(half)
    compiled = folded(torch.float32)
    compiled.compile()
    network = network.to(device)
    forms: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: network(z, labels, TRUNCATION),
        "folded": lambda: exact(z, labels),
        "folded, compiled": lambda: compiled(z, labels),
        f"folded, {str(half).removeprefix('torch.')} (approximate)": lambda: short(z, labels),
    }

    def timed(call: Callable[[], Tensor]) -> float:
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    with torch.inference_mode():
        truth = forms["plain"]().float()
        errors = {name: float((call().float() - truth).abs().max()) for name, call in forms.items()}
        times: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(rounds):
            for name, call in forms.items():
                times[name].append(timed(call))
    print(f"BigGAN-deep 128, batch {batch}, {device}, {torch.get_num_threads()} threads")
    for name, taken in times.items():
        ratios = [plain / own for plain, own in zip(times["plain"], taken, strict=True)]
        print(
            f"{name:32} {median(taken) / batch * 1e3:7.1f} ms an image, {median(ratios):5.2f}x "
            f"({min(ratios):.2f} … {max(ratios):.2f}), largest error {errors[name]:.2g}"
        )


if __name__ == "__main__":
    main()
