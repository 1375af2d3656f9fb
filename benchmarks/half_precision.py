"""How far half precision moves images: the small networks of tests/parity, and those bundled.

python benchmarks/half_precision.py     prints, for each, the mean and the largest difference from
                                        float32 in grey levels, of images clipped to [-1, 1]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from parity_cases import Case, open_case
from parity_hit import hit_network
from torch import Tensor

import genbench
from genbench.weights.loading import load_state_strictly
from genbench_adapters.adm.network import UNet, UNetConfig
from genbench_adapters.biggan_deep.folded import FoldedBigGAN
from genbench_adapters.biggan_deep.network import BigGANConfig, BigGANDeep
from genbench_adapters.emd.consistency import Consistency, in_our_layout
from genbench_adapters.emd.network import EDM, EDMConfig
from genbench_adapters.hit.folded import FoldedHiT

PARITY = Path(__file__).parents[1] / "tests" / "parity"
Draw = Callable[[torch.dtype], Tensor]
LEVELS = (0.5, 2.5, 80.0)  # of noise


def biggan(case: Case, truncation: float) -> Draw:
    network = BigGANDeep(BigGANConfig.from_mapping(case.meta["config"]))
    load_state_strictly(network, case.state(), what=case.path.name)
    network.eval()

    def draw(dtype: torch.dtype) -> Tensor:
        folded = FoldedBigGAN(network, truncation)
        folded.convolutions_to(dtype)
        images: Tensor = folded(truncation * case.tensor("z"), case.tensor("labels"))
        return images

    return draw


def hit(case: Case) -> Draw:
    network = hit_network(case).eval()

    def draw(dtype: torch.dtype) -> Tensor:
        images: Tensor = FoldedHiT(network).to(dtype)(case.tensor("z").to(dtype))
        return images

    return draw


def edm(case: Case) -> Draw:
    def draw(dtype: torch.dtype) -> Tensor:
        network = EDM(EDMConfig.from_mapping(case.meta["kwargs"]))
        load_state_strictly(network, case.state(), what=case.path.name)
        network.eval().convolutions_to(dtype)
        labels = case.tensor("in/labels") if "in/labels" in case.arrays else None
        x = case.tensor("in/x")
        noisy = ((x * math.sqrt(level**2 + 0.25), torch.tensor([level])) for level in LEVELS)
        return torch.cat([network(*pair, labels) for pair in noisy])

    return draw


def consistency(case: Case) -> Draw:
    def draw(dtype: torch.dtype) -> Tensor:
        kwargs = {**case.meta["kwargs"], "use_new_attention_order": True}
        unet = UNet(UNetConfig.from_mapping(kwargs))
        load_state_strictly(unet, in_our_layout(case.state()), what=case.path.name)
        network = Consistency(unet.eval())
        network.convolutions_to(dtype)
        x, labels = case.tensor("x"), case.tensor("y")
        noisy = ((x * level, torch.tensor([level])) for level in (2.0, 80.0))
        return torch.cat([network(*pair, labels) for pair in noisy])

    return draw


def bundled(model: str) -> Draw:
    """200 samples, as 8 bits have them."""

    def draw(dtype: torch.dtype) -> Tensor:
        name = str(dtype).removeprefix("torch.")
        source = genbench.open_model(model, resolution=32, dtype=name)
        return torch.cat(list(source.images(0, 200))).float() / 127.5 - 1

    return draw


def rows() -> Iterator[tuple[str, Draw]]:
    """Names, and what draws the images in a dtype."""
    for name in ("biggan_tiny128", "biggan_tiny256"):
        for truncation in (0.4, 1.0):
            case = open_case(PARITY / f"{name}.npz")
            yield f"{name}, truncation {truncation}", biggan(case, truncation)
    for name in ("hit_tiny128", "hit_tiny32"):
        yield name, hit(open_case(PARITY / f"{name}.npz"))
    for name in ("edm_dhariwal_cond", "edm_song_ddpmpp_cond", "edm_song_ncsnpp"):
        yield name, edm(open_case(PARITY / f"{name}.npz"))
    yield "cm_tiny", consistency(open_case(PARITY / "cm_tiny.npz"))
    for model in ("biggan-deep", "hit", "emd"):
        yield f"{model}, bundled", bundled(model)


@torch.inference_mode()
def main() -> None:
    for name, draw in rows():
        exact = draw(torch.float32).clamp(-1, 1)
        told = []
        for dtype in (torch.float16, torch.bfloat16):
            levels = (draw(dtype).float().clamp(-1, 1) - exact).abs() * 127.5
            kind = str(dtype).removeprefix("torch.")
            told.append(f"{kind}: mean {levels.mean():.3f}, largest {levels.max():.2f}")
        print(f"{name}: {'; '.join(told)}")


if __name__ == "__main__":
    main()
