"""DINOv2 as timm's vision transformer, filled so that it gives what the official hub models give.

The networks are one; only the position table differs, which both bring from the 37 x 37 patches
of training to the input at hand. It is computed here by the official formula and set once, so that
timm's own way of doing so never runs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.weights.loading import load_state_strictly
from genbench.weights.unfilled import unfilled, with_room

# The tensors that tell of what shape a network is.
_MEASURED = (
    "cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.mlp.fc1.weight",
    "blocks.0.mlp.fc2.weight",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PositionTable:
    """How the table of positions is brought to another number of patches.

    offset: > 0: sampled at steps of 1 / ((n + offset) / table side), which the scale factor fixes
    and not the result's size; 0: resized to n. antialias: smoothed where it shrinks.
    """

    antialias: bool
    offset: float


# dinov2/hub/backbones.py:27 and :107 of the official code.
HUB = PositionTable(antialias=False, offset=0.1)
HUB_REGISTERS = PositionTable(antialias=True, offset=0.0)


def build_dinov2(
    state: Mapping[str, Tensor],
    *,
    heads: int,
    size: tuple[int, int],
    positions: PositionTable | None = None,
    what: str = "DINOv2",
) -> Any:
    """The network for inputs of `size` (H, W), in evaluation mode; `forward_features` gives its
    normalised tokens [N, 1 + registers + patches, width], the class token first.

    state: the official state dict, or timm's of the same model; width, depth, patch, registers and
    the kind of MLP are read off it. positions: as the hub does for a model with or without
    registers, unless given. what: for errors. Raises GenbenchError for tensors that are missing,
    extra or misshapen, and a size that is no multiple of the patch.
    """
    from timm.layers.mlp import SwiGLUPacked
    from timm.models.vision_transformer import VisionTransformer

    state = _in_timms_names(state, what)
    projection, table = state["patch_embed.proj.weight"], state["pos_embed"]
    width, patch = projection.shape[0], projection.shape[-1]
    registers = state["reg_token"].shape[1] if "reg_token" in state else 0
    classes = 0 if registers else 1  # rows of the table that are not patches
    squared = table.ndim == 3 and math.isqrt(table.shape[1]) ** 2 + classes == table.shape[1]
    if projection.ndim != 4 or not squared:
        raise GenbenchError(
            f"the weights do not fit {what}: pos_embed {list(table.shape)} is no square of "
            "patches; name its own file"
        )
    if size[0] % patch or size[1] % patch:
        raise GenbenchError(
            f"{what} takes images in whole patches of {patch} pixels, not {size[1]}x{size[0]}"
        )
    gated = state["blocks.0.mlp.fc1.weight"].shape[0] != state["blocks.0.mlp.fc2.weight"].shape[1]
    options: dict[str, Any] = {"mlp_layer": SwiGLUPacked, "act_layer": torch.nn.SiLU}
    with unfilled():
        network = VisionTransformer(
            img_size=size, patch_size=patch, num_classes=0, embed_dim=width, num_heads=heads,
            depth=len({key.split(".")[1] for key in state if key.startswith("blocks.")}),
            # Half a unit more: timm takes the whole part of width * ratio.
            mlp_ratio=(state["blocks.0.mlp.fc1.weight"].shape[0] + 0.5) / width,
            init_values=1.0, reg_tokens=registers, no_embed_class=registers > 0,
            **(options if gated else {}),
        )  # fmt: skip
    network = with_room(network)
    grid = (size[0] // patch, size[1] // patch)
    placed = positions or (HUB_REGISTERS if registers else HUB)
    fitted = torch.cat((table[:, :classes], resized_table(table[:, classes:], grid, placed)), dim=1)
    load_state_strictly(network, {**state, "pos_embed": fitted}, what=what)
    return network.eval().requires_grad_(False)


def resized_table(patches: Tensor, grid: tuple[int, int], positions: PositionTable) -> Tensor:
    """Rows for `grid` (patches down, across), of `patches` [1, S * S, width], float32; bicubic.
    A table of the same size is left alone (vision_transformer.py:180)."""
    count, width = patches.shape[1:]
    side = math.isqrt(count)
    if grid == (side, side):
        return patches
    square = patches.float().reshape(1, side, side, width).permute(0, 3, 1, 2)
    if positions.offset:
        factors = [(number + positions.offset) / side for number in grid]
        table = F.interpolate(
            square, scale_factor=factors, mode="bicubic", antialias=positions.antialias
        )
    else:
        table = F.interpolate(square, size=grid, mode="bicubic", antialias=positions.antialias)
    return table.permute(0, 2, 3, 1).reshape(1, -1, width)


def _in_timms_names(state: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """An official state dict under timm's names; one of timm's is left as it is."""
    renamed = {
        re.sub(r"(\.mlp)\.w12\.", r"\1.fc1.", re.sub(r"(\.mlp)\.w3\.", r"\1.fc2.", key)): value
        for key, value in state.items()
        if key != "mask_token"  # of the training alone
    }
    if lacking := [key for key in _MEASURED if key not in renamed]:
        raise GenbenchError(
            f"the weights do not fit {what}: {lacking[0]} is missing; name its own file"
        )
    if "register_tokens" in renamed:
        # timm adds the class token's position to it and keeps positions of patches alone.
        table = renamed.pop("pos_embed")
        renamed["reg_token"] = renamed.pop("register_tokens")
        renamed["cls_token"] = renamed["cls_token"] + table[:, :1]
        renamed["pos_embed"] = table[:, 1:]
    return renamed
