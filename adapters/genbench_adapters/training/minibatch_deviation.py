"""What a discriminator is told of a batch's variety."""

from __future__ import annotations

import torch
from torch import Tensor


def deviation(x: Tensor, parts: int = 1) -> Tensor:
    """[N, C, H, W] -> [N, 1, H, W], in each of `parts` equal parts of the batch its mean deviation
    (arXiv:1710.10196): a batch without variety gives itself away."""
    spreads = [  # a scalar for each part, as often as it has rows
        torch.sqrt(part.var(dim=0, correction=0) + 1e-8).mean().expand(len(part))
        for part in x.chunk(parts)
    ]
    return torch.cat(spreads)[:, None, None, None].expand(-1, 1, *x.shape[2:])
