"""Features on the unit sphere."""

from __future__ import annotations

import torch
from torch import Tensor


def unit_length(rows: Tensor) -> Tensor:
    """Rows float [N, D] divided by their lengths, float64 [N, D]; rows of zeros stay zeros."""
    rows = rows.double()
    lengths = rows.norm(dim=1, keepdim=True)
    return rows / torch.where(lengths > 0, lengths, 1)
