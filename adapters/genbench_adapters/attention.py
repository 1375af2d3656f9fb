"""Attention whose queries are scaled already, as families share it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(q k^T) v: queries [B, T, d], keys [B, S, d], values [B, S, e], of one floating-point
    dtype -> [B, T, e] in it.

    A half precision goes through torch's fused attention, whose logits are float32 on the way and
    never stored; float32 through two products, whose bits samples have.
    """
    if queries.dtype.itemsize < 4:
        q, k, v = queries[:, None], keys[:, None], values[:, None]  # one head
        return functional.scaled_dot_product_attention(q, k, v, scale=1.0)[:, 0]
    weights = torch.softmax(torch.bmm(queries, keys.transpose(1, 2)), dim=-1)  # [B, T, S]
    return torch.bmm(weights, values)
