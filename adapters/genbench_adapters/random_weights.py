"""Networks with random weights, for measuring speed, which does not depend on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)

_SEED = 0
_SPREAD = 0.02  # of what starts at zero


def random_network(build: Callable[[], Network], device: torch.device) -> Network:
    """The network `build` makes, on a device, float32, in eval mode, wanting no gradient.

    Layers that training starts at zero get small random weights: zeros would make products
    trivial, which some devices do at less power and so at a higher clock. The global random state
    is left as it was.
    """
    own = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(own), torch.device(device), torch.no_grad():
        torch.manual_seed(_SEED)
        network = build()
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=_SPREAD)
    return network.eval().requires_grad_(False)
