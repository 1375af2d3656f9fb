"""The keys of HiT's recipe files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genbench.errors import UsageError
from genbench_adapters.hit.encoder import EncoderCost
from genbench_adapters.hit.network import HiTConfig
from genbench_adapters.training.adam import AdversarialRates
from genbench_adapters.training.batch_norm import FinalStatistics
from genbench_adapters.training.imle import ImleCost
from genbench_adapters.training.loop import Paced
from genbench_adapters.training.mode_seeking import VarietyReward
from genbench_adapters.training.recipes import Cost, Count, Factor, Rate, Share, Whole

_SMALLEST = 4  # side at which the discriminator ends, in pixels


@dataclass(frozen=True, kw_only=True)
class HiTRecipe(Paced, AdversarialRates, VarietyReward, ImleCost, EncoderCost, FinalStatistics):
    """The keys of a recipe file. A patch of 0 stands for a stage without attention.

    discriminator: the paper's, or one for small networks and batches. r1: cost of the gradient
    penalty; r1_every: steps between penalties, which are then that many times as strong (lazy
    regularisation, arXiv:1912.04958). consistency: cost of bCR, 0 for none. flips: half of the real
    images are mirrored, left to right. grey: one colour. clipped: the discriminator sees images
    clipped to [-1, 1], as evaluation clips them. initial: see `begin_with`; none by default.
    statistics_batches: 0 keeps the batch norm statistics of training, as the official trainer does.
    widened: how many times as wide as judged the latents of the finished generator's samples are;
    above 1, they are more varied and less typical.
    """

    dims: list[Count]
    heads: list[Count]
    layers: list[Whole]
    patches: list[Whole]
    latent: Count
    discriminator_widths: list[Count]
    discriminator: Literal["paper", "small"] = "small"
    batch: Count
    generator_rate: Rate = 1e-4
    discriminator_rate: Rate = 1e-4
    r1: Cost = 10.0
    r1_every: Count = 1
    consistency: Cost = 0.0
    flips: bool = False
    grey: bool = False
    clipped: bool = False
    widened: Factor = 1.0
    initial: str = ""
    ema: Share = 0.999
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.imle and self.reconstruction:
            raise UsageError("imle and reconstruction both cover the data: give one of them a cost")
        side = self.network().resolution >> max(len(self.discriminator_widths) - 1, 0)
        if side != _SMALLEST:
            raise UsageError(
                f"discriminator_widths bring {self.network().resolution} pixels to {side}, not "
                f"{_SMALLEST}: give one width for each halving and one before"
            )

    def network(self) -> HiTConfig:
        """The generator's configuration."""
        return HiTConfig(
            dims=tuple(self.dims),
            heads=tuple(self.heads),
            layers=tuple(self.layers),
            patches=tuple(patch or None for patch in self.patches),
            latent=self.latent,
            grey=self.grey,
        )
