"""A BigGAN-deep generator made wider without a change of its images (Net2Net, arXiv:1511.05641).

Channels are added behind those there are: the skips, which drop the last half, keep theirs.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from genbench.weights import load_state_strictly
from genbench_adapters.biggan_deep.network import BigGANDeep, SelfAttention, SNConv2d, SNLinear

_SHARE = 0.9  # of the norm at which added rows would have the largest singular value
_LEAST = 0.1  # of the usual norm of a row: less would hardly learn, though it may change images
_SPECTRAL = ("weight_orig", "weight_u", "weight_v")


@torch.no_grad()
def load_or_grow(network: BigGANDeep, tensors: Mapping[str, Tensor], *, what: str) -> None:
    """Give a freshly made network the tensors of one like it, or of a narrower one, grown.

    Added channels read what there was, with the fresh weights, and nothing reads them yet: images
    made with the statistics of the batch stay within some thousandths on average. The tables of
    statistics of added channels are fresh. Raises GenbenchError, naming `what`, for tensors of
    another network.
    """
    own = network.state_dict()
    narrower = own.keys() == tensors.keys() and all(
        old.ndim == own[key].ndim
        and all(a <= b for a, b in zip(old.shape, own[key].shape, strict=True))
        for key, old in tensors.items()
    )
    first = "generator.gen_z.weight_orig"  # its rows are pixels of channels: see _Trunk.forward
    if not narrower or own[first].shape != tensors[first].shape or _alike(own, tensors):
        load_state_strictly(network, tensors, what=what)
        return
    for key, old in tensors.items():
        if not key.endswith(_SPECTRAL):
            own[key][_corner(old)] = old.to(own[key])
    for name, layer in network.named_modules():
        if isinstance(layer, SNConv2d | SNLinear):
            orig, left, _ = (tensors[f"{name}.{part}"].to(layer.weight_orig) for part in _SPECTRAL)
            _grow_layer(layer, orig, left)
    for name, layer in network.named_modules():
        if isinstance(layer, SelfAttention):
            # Added queries would meet added keys, and move the attention.
            keys = tensors[f"{name}.snconv1x1_phi.weight_orig"].shape[0]
            layer.snconv1x1_phi.weight_orig[keys:] = 0.0


def _alike(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> bool:
    return all(value.shape == tensors[key].shape for key, value in own.items())


def _corner(old: Tensor) -> tuple[slice, ...]:
    return tuple(slice(size) for size in old.shape)


def _grow_layer(layer: SNConv2d | SNLinear, old: Tensor, left: Tensor) -> None:
    """Place `old`, with its left singular vector, in the corner of a layer's fresh weight.

    Added rows are made orthogonal to its right singular vector and kept small enough for that to
    stay the first one, where there is room: the layer then divides by the same number as before.
    """
    weight, rows = layer.weight_orig, len(old)
    fresh = weight[rows:].clone()
    weight.zero_()
    weight[_corner(old)] = old
    flat = weight.flatten(1)
    left = functional.pad(left, (0, len(flat) - rows))
    right = functional.normalize(flat.T @ left, dim=0)
    layer.weight_u.copy_(left)
    layer.weight_v.copy_(right)
    if not len(fresh):
        return
    added = fresh.flatten(1)
    added = added - (added @ right)[:, None] * right
    largest = left @ flat @ right
    second = _norm(flat - largest * torch.outer(left, right))
    room = (largest.square() - second.square()).clamp(min=0).sqrt()
    usual = flat[:rows].norm(dim=1).mean() / added.norm(dim=1).mean()
    scale = (_SHARE * room / _norm(added)).clamp(_LEAST * usual, usual)
    weight[rows:] = (scale * added).view_as(fresh)


def _norm(matrix: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(matrix, ord=2)
