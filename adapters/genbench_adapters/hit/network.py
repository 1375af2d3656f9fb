"""The HiT generator (Zhao et al., arXiv:2106.07631), exact to google-research/hit-gan.

Images are NHWC inside, and parameters keep the names and layouts of the Keras variables, so that a
checkpoint's tensors need no change: Dense kernels are [in, out], attention kernels [C, heads, d].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from genbench.errors import GenbenchError

START = 8  # side of the first stage, in pixels
TOKENS = 16  # of the latent, for cross-attention
_EXPANSION = 4  # of the MLPs
# The most of each that is believed of a file: beyond them a network only exhausts the machine.
_STAGES, _LARGEST, _LAYERS = 10, 8192, 64
_MOMENTUM = 0.99  # of the moving statistics, Keras's default
_EPSILON = {"batch": 1e-3, "layer": 1e-6}


@dataclass(frozen=True, kw_only=True)
class HiTConfig:
    """Sizes of the stages, from 8x8 pixels up, each of twice the side before.

    patches: side of the blocks of a stage; None: MLPs alone after the cross-attention, and an RGB
    output. multi_query: keys and values are one head, shared. layers: blocks of a stage after the
    cross-attention. grey: the three colours of a pixel are one number, for data without colour.
    """

    dims: tuple[int, ...]
    heads: tuple[int, ...]
    layers: tuple[int, ...]
    patches: tuple[int | None, ...]
    latent: int = 256
    norm: Literal["batch", "layer"] = "batch"
    multi_query: bool = True
    grey: bool = False

    def __post_init__(self) -> None:
        lists = (self.dims, self.heads, self.layers, self.patches)
        if not all(isinstance(item, tuple) and len(item) <= _STAGES for item in lists):
            raise GenbenchError(
                f"HiT's dims, heads, layers and patches must be lists of up to {_STAGES} numbers: "
                "correct them"
            )
        counts = {len(self.dims), len(self.heads), len(self.layers), len(self.patches)}
        if len(counts) != 1 or not self.dims:
            raise GenbenchError(
                "HiT's dims, heads, layers and patches must be of one length: correct them"
            )
        blocks = [patch for patch in self.patches if patch is not None]
        sizes = [*self.dims, *self.heads, *blocks, self.latent]
        if any(type(size) is not int or size > _LARGEST for size in [*sizes, *self.layers]):
            raise GenbenchError(f"HiT's sizes must be whole numbers up to {_LARGEST}: correct them")
        if max(self.layers) > _LAYERS:
            raise GenbenchError(f"HiT's stages have at most {_LAYERS} layers: correct them")
        if min(sizes) < 1 or min(self.layers) < 0:
            raise GenbenchError(
                "HiT's dims, heads, patches and latent must be 1 or more and its layers 0 or more: "
                "correct them"
            )
        if self.norm not in _EPSILON:
            raise GenbenchError(f"HiT's norm {self.norm!r} is neither batch nor layer: correct it")
        for stage, (width, heads, patch) in enumerate(
            zip(self.dims, self.heads, self.patches, strict=True)
        ):
            if width % heads or (patch is not None and (heads % 2 or (START << stage) % patch)):
                raise GenbenchError(
                    f"stage {stage} of HiT cannot have {width} channels, {heads} heads and patches "
                    f"of {patch}: correct them"
                )
        if self.patches[-1] is not None:
            raise GenbenchError("HiT's last stage must be without patches: it makes the image")

    @property
    def resolution(self) -> int:
        """Side of the image."""
        return START << (len(self.dims) - 1)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> HiTConfig:
        """From the contents of a config.json. Raises GenbenchError naming what does not fit."""
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise GenbenchError(f"configuration keys {unknown} are not HiT's: remove them")
        listed: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        try:
            return cls(**listed)
        except TypeError as error:
            raise GenbenchError(f"not a HiT configuration ({error}): complete it") from error


OFFICIAL = {
    128: HiTConfig(
        dims=(512, 512, 256, 128, 128),
        heads=(16, 8, 4, 4, 4),
        layers=(2, 2, 2, 2, 2),
        patches=(4, 4, 8, 8, None),
        latent=256,
    ),
    256: HiTConfig(
        dims=(512, 512, 256, 128, 64, 64),
        heads=(16, 8, 4, 4, 4, 4),
        layers=(2, 2, 2, 2, 1, 1),
        patches=(4, 4, 8, 8, None, None),
        latent=512,
    ),
    1024: HiTConfig(
        dims=(512, 512, 256, 128, 64, 64, 32, 32),
        heads=(16, 8, 4, 4, 4, 4, 4, 4),
        layers=(2, 2, 2, 2, 1, 1, 1, 1),
        patches=(4, 4, 8, 8, None, None, None, None),
        latent=512,
    ),
}


def blocked(x: Tensor, patch: int) -> Tensor:
    """[N, H, W, C] -> [N, patches, pixels of a patch, C], both row by row."""
    count, height, width, channels = x.shape
    # [N, down, patch, across, patch, C], then the patch's own axes side by side.
    grid = x.view(count, height // patch, patch, width // patch, patch, channels)
    return grid.transpose(2, 3).reshape(count, -1, patch * patch, channels)


def unblocked(x: Tensor, side: int, patch: int) -> Tensor:
    """[N, patches, pixels of a patch, C] -> [N, side, side, C], the inverse of `blocked`."""
    count, across = x.shape[0], side // patch
    # [N, down, patch, across, patch, C].
    grid = x.view(count, across, across, patch, patch, -1).transpose(2, 3)
    return grid.reshape(count, side, side, -1)


def depth_to_space(x: Tensor) -> Tensor:
    """[N, H, W, 4 C] -> [N, 2 H, 2 W, C], channel (2 dy + dx) C + c to pixel (dy, dx)."""
    count, height, width, channels = x.shape
    split = x.view(count, height, width, 2, 2, channels // 4).transpose(2, 3)  # [N, H, 2, W, 2, C]
    return split.reshape(count, 2 * height, 2 * width, -1)


class Dense(nn.Module):
    """A linear layer over the last axis, kernel [in, out]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.kernel)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return functional.linear(x, self.kernel.T, self.bias)


class BatchNorm(nn.Module):
    """Batch norm over the last axis; the moving statistics are used in eval mode.

    momentum: what the moving statistics keep of themselves in a step of training.
    """

    moving_mean: Tensor
    moving_variance: Tensor
    epsilon = _EPSILON["batch"]
    momentum: float = _MOMENTUM

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("moving_mean", torch.zeros(channels))
        self.register_buffer("moving_variance", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> the same shape."""
        flat = functional.batch_norm(
            x.reshape(-1, x.shape[-1]), self.moving_mean, self.moving_variance, self.gamma,
            self.beta, self.training, 1 - self.momentum, self.epsilon,
        )  # fmt: skip
        return flat.view(x.shape)


class LayerNorm(nn.Module):
    """Layer norm over the last axis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> the same shape."""
        return functional.layer_norm(x, x.shape[-1:], self.gamma, self.beta, _EPSILON["layer"])


def _norm(channels: int, config: HiTConfig) -> nn.Module:
    return BatchNorm(channels) if config.norm == "batch" else LayerNorm(channels)


class HeadsDense(nn.Module):
    """A linear layer from the channels to heads, kernel [C, heads, d]."""

    def __init__(self, inputs: int, heads: int, width: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(inputs, heads, width))
        self.bias = nn.Parameter(torch.zeros(heads, width))
        nn.init.xavier_uniform_(self.kernel.view(inputs, -1))

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., heads, d]."""
        flat = functional.linear(x, self.kernel.flatten(1).T, self.bias.flatten())
        return flat.unflatten(-1, self.bias.shape)  # [..., heads * d] -> [..., heads, d]


class OutputDense(nn.Module):
    """A linear layer from the heads back to the channels, kernel [heads, d, C]."""

    def __init__(self, heads: int, width: int, outputs: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(heads, width, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.kernel.view(-1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[..., heads, d] -> [..., C]."""
        return functional.linear(x.flatten(-2), self.kernel.flatten(0, 1).T, self.bias)


class MultiAxisAttention(nn.Module):
    """Attention of blocked pixels: half the heads within a patch, half across the patches; or of
    all heads to the latent's tokens."""

    def __init__(self, channels: int, heads: int, memory: int, *, multi_query: bool) -> None:
        super().__init__()
        width = channels // heads
        shared = 1 if multi_query else heads
        self.query_dense = HeadsDense(channels, heads, width)
        self.key_dense = HeadsDense(memory, shared, width)
        self.value_dense = HeadsDense(memory, shared, width)
        self.output_dense = OutputDense(heads, width, channels)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        """[N, A, B, C], and tokens [N, 1, T, M] for cross-attention -> [N, A, B, C].

        A, B: patches and the pixels of each, where there are patches, else rows and columns.
        """
        queries = self.query_dense(x)  # [N, A, B, heads, d]
        source = x if memory is None else memory
        # [N, A, B, heads or 1, d], of tokens [N, 1, T, heads or 1, d].
        keys, values = self.key_dense(source), self.value_dense(source)
        if memory is not None:
            mixed = _cross(queries, keys, values)
        else:
            mixed = self._axes(queries, keys, values)
        return self.output_dense(mixed)

    def _axes(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        half = queries.shape[3] // 2
        shared = keys.shape[3] == 1
        local = slice(None) if shared else slice(half)
        across = slice(None) if shared else slice(half, None)
        # Along B: [N, A, B, heads / 2, d].
        inside = _attend(queries[..., :half, :], keys[..., local, :], values[..., local, :])
        # Along A: [N, B, A, heads / 2 or 1, d], and back.
        swapped = [
            part.transpose(1, 2)
            for part in (queries[..., half:, :], keys[..., across, :], values[..., across, :])
        ]
        dilated = _attend(*swapped).transpose(1, 2)
        return torch.cat([inside, dilated], dim=3)  # [N, A, B, heads, d]


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention along axis 2 of [N, A, B, heads, d], batched over axes 0, 1 and the heads."""
    scale = queries.shape[-1] ** -0.5
    q, k, v = (part.transpose(2, 3) for part in (queries, keys, values))  # [N, A, heads, B, d]
    # [N, A, heads, B of queries, B of keys]; one head of keys and values serves all.
    weights = torch.softmax(torch.matmul(q * scale, k.transpose(3, 4)), dim=-1)
    return torch.matmul(weights, v).transpose(2, 3)  # [N, A, B, heads, d]


def _cross(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of every pixel [N, A, B, heads, d] to tokens [N, 1, T, heads or 1, d]."""
    shape = queries.shape
    # [N, 1, A B, heads, d] within.
    return _attend(queries.flatten(1, 2)[:, None], keys, values).view(shape)


class MLP(nn.Module):
    """Pre-norm residual MLP with exact GELU."""

    def __init__(self, channels: int, config: HiTConfig) -> None:
        super().__init__()
        self.norm_layer = _norm(channels, config)
        wide = _EXPANSION * channels
        self.mlp_block = nn.ModuleList([Dense(channels, wide), Dense(wide, channels)])

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> the same shape."""
        first, second = self.mlp_block
        return x + second(functional.gelu(first(self.norm_layer(x))))  # [..., 4 C] within


class Block(nn.Module):
    """Pre-norm residual attention and MLP; `memory`: channels of the tokens it attends to."""

    def __init__(self, stage: int, config: HiTConfig, memory: int | None = None) -> None:
        super().__init__()
        channels, heads = config.dims[stage], config.heads[stage]
        self.norm = _norm(channels, config)
        self.attention_layer = MultiAxisAttention(
            channels, heads, memory or channels, multi_query=config.multi_query
        )
        self.mlp_block = MLP(channels, config)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        """[N, A, B, C], and tokens [N, 1, T, M] for cross-attention -> [N, A, B, C]."""
        x = x + self.attention_layer(self.norm(x), memory)
        return self.mlp_block(x)


class Embedding(nn.Module):
    """Something learnt that is added: positions of a stage, or of the tokens."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.embedding_weight = nn.Parameter(torch.empty(1, *shape))
        nn.init.normal_(self.embedding_weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """[N, *shape] -> the same shape."""
        return x + self.embedding_weight


class Upsampling(nn.Module):
    """Pixel shuffle, and a linear layer where the channels do not fit."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        fits = inputs // 4 == outputs
        self.dense_layer = nn.Identity() if fits else Dense(inputs // 4, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, H, W, in] -> [N, 2 H, 2 W, out]."""
        return self.dense_layer(depth_to_space(x))


def images(colours: Tensor) -> Tensor:
    """[N, H, W, 3], or of grey [N, H, W, 1] -> [N, 3, H, W]."""
    return colours.permute(0, 3, 1, 2).expand(-1, 3, -1, -1)


class ToRGB(nn.Module):
    """Colours of a stage, over the doubled colours of the stage before."""

    def __init__(self, channels: int, config: HiTConfig) -> None:
        super().__init__()
        colours = 1 if config.grey else 3
        self.output_layer = nn.ModuleList([_norm(channels, config), Dense(channels, colours)])

    def forward(self, x: Tensor, before: Tensor | None) -> Tensor:
        """[N, H, W, C] and [N, H / 2, W / 2, colours] -> [N, H, W, colours]."""
        norm, dense = self.output_layer
        colours = dense(norm(x))
        if before is None:
            return colours
        # [N, H / 2, W / 2, colours] -> [N, H, W, colours].
        return colours + before.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)


class HiT(nn.Module):
    """The generator: latents to images, unconditional."""

    def __init__(self, config: HiTConfig) -> None:
        super().__init__()
        self.config = config
        first = config.dims[0]
        self.dense_layer = nn.ModuleList([Dense(config.latent, START * START * first)])
        self.embedding_layer = nn.ModuleList(
            [Dense(config.latent, TOKENS * first), Embedding(1, TOKENS, first),
             _norm(first, config)]
        )  # fmt: skip
        self.position_embeddings = nn.ModuleList()
        self.blocks = nn.ModuleList()
        self.to_rgb_layers = nn.ModuleDict()
        self.umsamplings = nn.ModuleList()  # as the official code spells it
        for stage, (width, patch) in enumerate(zip(config.dims, config.patches, strict=True)):
            side = START << stage
            self.position_embeddings.append(Embedding(side, side, width))
            layers: list[nn.Module] = [Block(stage, config, memory=first)]
            for _ in range(config.layers[stage]):
                layers.append(MLP(width, config) if patch is None else Block(stage, config))
            self.blocks.append(nn.ModuleList(layers))
            if patch is None:
                self.to_rgb_layers[str(stage)] = ToRGB(width, config)
            if stage + 1 < len(config.dims):
                self.umsamplings.append(Upsampling(width, config.dims[stage + 1]))

    def stage_layers(self, number: int) -> nn.ModuleList:
        """The cross-attention of a stage and the layers after it."""
        layers = self.blocks[number]
        assert isinstance(layers, nn.ModuleList)
        return layers

    def tokens(self, z: Tensor) -> Tensor:
        """Latents [N, latent] -> normalised tokens [N, 1, 16, C] for every cross-attention, C of
        the first stage."""
        dense, positions, norm = self.embedding_layer
        return norm(positions(dense(z).view(len(z), 1, TOKENS, -1)))

    def forward(self, z: Tensor) -> Tensor:
        """Latents float [N, latent] -> images [N, 3, R, R], unbounded (evaluation clips them)."""
        x = self.dense_layer[0](z).view(len(z), START, START, -1)  # [N, 8, 8, dims[0]]
        tokens = self.tokens(z)
        colours: Tensor | None = None
        for stage in range(len(self.config.dims)):
            x = self.stage(stage, x, tokens)
            if str(stage) in self.to_rgb_layers:
                colours = self.to_rgb_layers[str(stage)](x, colours)  # [N, H, W, colours]
            if stage < len(self.umsamplings):
                x = self.umsamplings[stage](x)  # [N, 2 H, 2 W, dims[stage + 1]]
        assert colours is not None
        return images(colours)

    def stage(self, number: int, x: Tensor, tokens: Tensor) -> Tensor:
        """One stage's attention and MLPs on [N, H, W, C], beside tokens [N, 1, 16, dims[0]]."""
        side, patch = x.shape[1], self.config.patches[number]
        x = self.position_embeddings[number](x)
        if patch is not None:
            x = blocked(x, patch)  # [N, patches, pixels of a patch, C]
        for position, layer in enumerate(self.stage_layers(number)):
            x = layer(x) if position else layer(x, tokens)
        return x if patch is None else unblocked(x, side, patch)
