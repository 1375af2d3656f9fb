"""What the trainings of GANs have in common: their networks and what a checkpoint holds of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from genbench_adapters.training.imle import Matches
from genbench_adapters.training.optimisation import Ema


class AdversarialTraining:
    """A generator, its average, what judges it, and both optimisers; a family fills them in."""

    generator: nn.Module
    discriminator: nn.Module
    ema: Ema[Any]
    generator_adam: torch.optim.Optimizer
    discriminator_adam: torch.optim.Optimizer
    matches: Matches | None  # None for a recipe without `imle`

    def helpers(self) -> Mapping[str, nn.Module]:
        """The networks that only training needs, by name."""
        return {"discriminator": self.discriminator}

    def parts(self) -> Mapping[str, Any]:
        """What a checkpoint holds."""
        return {
            **({"matches": self.matches} if self.matches else {}),
            "generator": self.generator,
            **self.helpers(),
            "ema": self.ema.averaged,
            "generator_adam": self.generator_adam,
            "discriminator_adam": self.discriminator_adam,
        }
