"""The fast form of a HiT with batch norm: fewer and better-shaped products, equal images.

What is folded, all of it exact but for rounding:
- every batch norm into the linear layers after it;
- queries, keys and values of a block into one product, and the keys and values of the latent's
  tokens for all stages into another, computed once;
- the shared key and value head: all query heads of an axis are rows of one batched product;
- on a CPU, the MLPs of the large stages run over runs of pixels whose hidden layer fits the cache.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from genbench.errors import GenbenchError
from genbench_adapters.attention import attend
from genbench_adapters.hit.network import (
    MLP,
    START,
    TOKENS,
    BatchNorm,
    Block,
    Dense,
    Embedding,
    HeadsDense,
    HiT,
    ToRGB,
    Upsampling,
    blocked,
    depth_to_space,
    images,
    unblocked,
)

_RUN = 2048  # rows of an MLP at a time on a CPU, whose caches should hold them


class _Linear(nn.Module):
    """A fixed linear layer, weight [out, in]."""

    def __init__(self, kernel: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(kernel.T.contiguous(), requires_grad=False)
        self.bias = nn.Parameter(bias.clone(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)

    def added(self, x: Tensor, to: Tensor, out: Tensor | None = None) -> Tensor:
        """`to` [M, out] plus this of `x` [M, in]: begun with the bias, the product saves a pass."""
        total = torch.add(to, self.bias, out=out)
        return torch.addmm(total, x, self.weight.T, out=total)  # FLOP counters miss addmm_


def _after(norm: nn.Module, kernel: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Kernel [in, out] and bias [out] that do the norm's scaling and shifting as well."""
    if not isinstance(norm, BatchNorm):
        raise GenbenchError("only a HiT with batch norm has a folded form: run it plain")
    gain = norm.gamma / torch.sqrt(norm.moving_variance + norm.epsilon)
    shift = norm.beta - norm.moving_mean * gain
    return gain[:, None] * kernel, bias + shift @ kernel


def _flat(layer: HeadsDense) -> tuple[Tensor, Tensor]:
    return layer.kernel.flatten(1), layer.bias.flatten()  # [C, heads * d], [heads * d]


class _MLP(nn.Module):
    """MLP with its norm folded, on rows [M, C]."""

    def __init__(self, layer: MLP) -> None:
        super().__init__()
        first, second = (cast(Dense, dense) for dense in layer.mlp_block)
        self.first = _Linear(*_after(layer.norm_layer, first.kernel, first.bias))
        self.second = _Linear(second.kernel, second.bias)

    def forward(self, rows: Tensor) -> Tensor:
        if rows.device.type != "cpu":
            return rows + self.second(functional.gelu(self.first(rows)))  # [M, 4 C] within
        out = torch.empty_like(rows)
        for start in range(0, len(rows), _RUN):
            run = rows[start : start + _RUN]
            self.second.added(functional.gelu(self.first(run)), run, out[start : start + _RUN])
        return out


class _Block(nn.Module):
    """A block of multi-axis attention with its norms folded."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        attention = block.attention_layer
        self.heads, self.width = attention.query_dense.bias.shape
        self.shared = attention.key_dense.bias.shape[0]
        parts = [_flat(layer) for layer in (attention.query_dense, attention.key_dense,
                                            attention.value_dense)]  # fmt: skip
        kernel, bias = _scaled_queries(parts, self.width)
        self.project = _Linear(*_after(block.norm, kernel, bias))
        self.out = _Linear(attention.output_dense.kernel.flatten(0, 1), attention.output_dense.bias)
        self.mlp = _MLP(block.mlp_block)

    def forward(self, x: Tensor) -> Tensor:
        """[N, A, B, C] -> the same shape."""
        shape = x.shape
        sizes = [self.heads * self.width, self.shared * self.width, self.shared * self.width]
        packed = self.project(x).split(sizes, dim=-1)
        # [N, A, B, heads, d] and twice [N, A, B, shared, d].
        q, k, v = (part.unflatten(-1, (-1, self.width)) for part in packed)
        half = self.heads // 2
        own, other = (slice(None), slice(None)) if self.shared == 1 else (
            slice(half), slice(half, None))  # fmt: skip
        # [N, A, B, heads / 2, d], along B; across: along A.
        inside = _attend(q[..., :half, :], k[..., own, :], v[..., own, :])
        across = _attend(
            q[..., half:, :].transpose(1, 2),
            k[..., other, :].transpose(1, 2),
            v[..., other, :].transpose(1, 2),
        ).transpose(1, 2)
        mixed = torch.cat([inside, across], dim=3).flatten(3).flatten(0, 2)  # [N A B, C]
        return self.mlp(self.out.added(mixed, x.flatten(0, 2))).view(shape)


class _CrossBlock(nn.Module):
    """The first block of a stage, which attends to the latent's tokens."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        attention = block.attention_layer
        self.heads, self.width = attention.query_dense.bias.shape
        kernel, bias = _scaled_queries([_flat(attention.query_dense)], self.width)
        self.query = _Linear(*_after(block.norm, kernel, bias))
        self.out = _Linear(attention.output_dense.kernel.flatten(0, 1), attention.output_dense.bias)
        self.mlp = _MLP(block.mlp_block)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """[N, A, B, C] -> the same shape. keys, values: [N, 1, T, heads or 1, d]."""
        shape = x.shape
        q = self.query(x).view(shape[0], 1, -1, self.heads, self.width)  # [N, 1, A B, heads, d]
        mixed = _attend(q, keys, values).reshape(-1, self.heads * self.width)  # [N A B, C]
        return self.mlp(self.out.added(mixed, x.flatten(0, 2))).view(shape)


def _scaled_queries(parts: list[tuple[Tensor, Tensor]], width: int) -> tuple[Tensor, Tensor]:
    """Kernels and biases side by side, the first (the queries') over the root of the width."""
    scale = width**-0.5
    (kernel, bias), *rest = parts
    kernels = [kernel * scale, *(other for other, _ in rest)]
    return torch.cat(kernels, dim=1), torch.cat([bias * scale, *(other for _, other in rest)])


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention along axis 2 of [N, A, B, heads, d] with scaled queries."""
    count, groups, length, heads, width = queries.shape
    if keys.shape[3] == 1:  # every head is more rows for the one head of keys
        rows = queries.reshape(count * groups, length * heads, width)  # [N A, B heads, d]
        k = keys.reshape(-1, keys.shape[2], width)  # [N A, B of keys, d]
        v = values.reshape(-1, values.shape[2], width)
        return attend(rows, k, v).view(queries.shape)
    # [N A heads, B, d] each.
    q, k, v = (part.transpose(2, 3).flatten(0, 2) for part in (queries, keys, values))
    return attend(q, k, v).view(count, groups, heads, length, width).transpose(2, 3)


class FoldedHiT(nn.Module):
    """`network` in eval mode; dtype and device are `to(...)`'s to change."""

    def __init__(self, network: HiT) -> None:
        super().__init__()
        self.config = network.config
        with torch.no_grad():
            first = cast(Dense, network.dense_layer[0])
            self.first = _Linear(first.kernel, first.bias)
            self._fold_tokens(network)
            self.positions = nn.ParameterList()
            self.stages = nn.ModuleList()
            self.colours = nn.ModuleDict()
            self.upsamplings = nn.ModuleList()
            for stage in range(len(self.config.dims)):
                positions = cast(Embedding, network.position_embeddings[stage])
                self.positions.append(positions.embedding_weight.detach().clone())
                cross, *rest = network.stage_layers(stage)
                layers: list[nn.Module] = [_CrossBlock(cast(Block, cross))]
                layers += [_MLP(y) if isinstance(y, MLP) else _Block(cast(Block, y)) for y in rest]
                self.stages.append(nn.ModuleList(layers))
            for stage_name, layer in network.to_rgb_layers.items():
                norm, dense = cast(ToRGB, layer).output_layer
                dense = cast(Dense, dense)
                self.colours[stage_name] = _Linear(*_after(norm, dense.kernel, dense.bias))
            for layer in network.umsamplings:
                dense = cast(Upsampling, layer).dense_layer
                fits = isinstance(dense, nn.Identity)
                dense = cast(Dense, dense)
                self.upsamplings.append(
                    nn.Identity() if fits else _Linear(dense.kernel, dense.bias)
                )
        self.requires_grad_(False)

    def _fold_tokens(self, network: HiT) -> None:
        """Latent -> tokens, and tokens -> keys and values of every stage."""
        dense, positions, norm = network.embedding_layer
        dense, places = cast(Dense, dense), cast(Embedding, positions).embedding_weight
        self.token = _Linear(dense.kernel, dense.bias + places.flatten())
        parts = []
        self.memory: list[tuple[int, int]] = []  # heads and width of each stage's keys
        for stage in range(len(self.config.dims)):
            attention = cast(Block, network.stage_layers(stage)[0]).attention_layer
            parts += [_flat(attention.key_dense), _flat(attention.value_dense)]
            heads, width = attention.key_dense.bias.shape
            self.memory.append((heads, width))
        kernel = torch.cat([part for part, _ in parts], dim=1)  # [C, all keys and values]
        bias = torch.cat([part for _, part in parts])
        self.remember = _Linear(*_after(norm, kernel, bias))

    def forward(self, z: Tensor) -> Tensor:
        """Latents [N, latent] -> images [N, 3, R, R], unbounded."""
        count = len(z)
        tokens = self.token(z).view(count, TOKENS, -1)  # [N, 16, dims[0]]
        sizes = [heads * width for heads, width in self.memory for _ in range(2)]
        memories = self.remember(tokens).split(sizes, dim=-1)  # [N, 16, heads * width] each
        x = self.first(z).view(count, START, START, -1)  # [N, 8, 8, dims[0]]
        colours: Tensor | None = None
        for stage, patch in enumerate(self.config.patches):
            side, (heads, width) = x.shape[1], self.memory[stage]
            keys, values = (
                memory.reshape(count, 1, TOKENS, heads, width)
                for memory in memories[2 * stage : 2 * stage + 2]
            )
            x = x + self.positions[stage]
            x = x if patch is None else blocked(x, patch)  # [N, patches, pixels of a patch, C]
            x = self._stage(stage, x, keys, values)
            x = x if patch is None else unblocked(x, side, patch)
            if str(stage) in self.colours:
                # [N, H, W, colours], added up in float32: a half precision has steps of up to half
                # a grey level, and every addition would take one.
                own = self.colours[str(stage)](x)
                own = own.float() if own.dtype.itemsize < 4 else own
                colours = own if colours is None else own + _doubled(colours)
            if stage < len(self.upsamplings):
                x = self.upsamplings[stage](depth_to_space(x))  # [N, 2 H, 2 W, dims[stage + 1]]
        assert colours is not None
        return images(colours)

    def _stage(self, stage: int, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        cross, *rest = cast(nn.ModuleList, self.stages[stage])
        x = cross(x, keys, values)
        for layer in rest:
            x = layer(x.flatten(0, 2)).view(x.shape) if isinstance(layer, _MLP) else layer(x)
        return x


def _doubled(colours: Tensor) -> Tensor:
    """[N, H, W, colours] -> [N, 2 H, 2 W, colours]."""
    return colours.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
