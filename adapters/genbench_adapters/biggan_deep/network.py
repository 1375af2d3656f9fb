"""The BigGAN-deep generator (arXiv:1809.11096, appendix B.2), exact to its checkpoints.

Module and tensor names are those of huggingface/pytorch-pretrained-BigGAN, whose files are the
published PyTorch checkpoints; its habits are kept where they decide the images: the interpolation
of the batch-norm statistics runs backwards, and spectral norm uses the stored vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from genbench.errors import GenbenchError

_REDUCTION = 4  # of the channels inside a block
_START = 4  # side of the first feature map, in pixels
# The most of each that is believed of a file: beyond them a network only exhausts the machine.
_LARGEST, _LAYERS = 100_000, 64
_ATTENTION = 8  # channels for each of a query


@dataclass(frozen=True, kw_only=True)
class BigGANConfig:
    """The keys of an official config.json.

    layers: (upsample, in, out) of each block, channels in units of `channel_width`.
    attention_layer_position: the attention comes before this block; beyond the last: none.
    grey (in no official file): the three colours of a pixel are one, for data without colour.
    """

    output_dim: int
    layers: tuple[tuple[bool, int, int], ...]
    channel_width: int = 128
    z_dim: int = 128
    class_embed_dim: int = 128
    num_classes: int = 1000
    attention_layer_position: int = 8
    eps: float = 1e-4
    n_stats: int = 51
    grey: bool = False

    def __post_init__(self) -> None:
        widths = [width for _, *pair in self.layers for width in pair]
        sizes = (self.output_dim, self.channel_width, self.z_dim, self.num_classes, *widths)
        counts = (*sizes, self.class_embed_dim, self.attention_layer_position, self.n_stats)
        if any(type(size) is not int or size > _LARGEST for size in counts):
            raise GenbenchError(
                f"the sizes of a BigGAN-deep configuration are whole numbers up to {_LARGEST}, not "
                f"{ascii(counts)[:200]}: correct it"
            )
        if max(widths, default=1) * self.channel_width > _LARGEST or len(self.layers) > _LAYERS:
            raise GenbenchError(
                f"the BigGAN-deep configuration has over {_LAYERS} layers, or over {_LARGEST} "
                "channels: correct it"
            )
        if type(self.eps) not in (int, float) or not 0 <= self.eps < 1:
            raise GenbenchError("eps of BigGAN-deep is not a number from 0 to 1: correct it")
        if min(sizes) < 1 or self.n_stats < 2 or not self.layers:
            raise GenbenchError("the BigGAN-deep configuration has a size below 1: correct it")
        attended = self.layers[self.attention_layer_position : self.attention_layer_position + 1]
        if any(inputs * self.channel_width < _ATTENTION for _, inputs, _ in attended):
            raise GenbenchError(
                f"the attention of a BigGAN-deep configuration needs {_ATTENTION} or more "
                "channels: correct it"
            )
        if self.z_dim != self.class_embed_dim:
            raise GenbenchError(
                f"z_dim {self.z_dim} and class_embed_dim {self.class_embed_dim} differ: "
                "BigGAN-deep embeds classes in z_dim dimensions"
            )
        side = _START * 2 ** sum(up for up, _, _ in self.layers)
        if side != self.output_dim:
            raise GenbenchError(
                f"the layers make {side} pixels, not output_dim {self.output_dim}: correct them"
            )

    @property
    def colours(self) -> int:
        """Channels kept of the last convolution's."""
        return 1 if self.grey else 3

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> BigGANConfig:
        """From the contents of a config.json. Raises GenbenchError naming what does not fit."""
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise GenbenchError(f"configuration keys {unknown} are not BigGAN-deep's: remove them")
        try:
            layers = tuple((bool(up), int(i), int(o)) for up, i, o in values["layers"])
            return cls(**{**values, "layers": layers})
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise GenbenchError(
                f"not a BigGAN-deep configuration ({type(error).__name__}: {error}): pass the "
                "config.json that belongs to the weights"
            ) from error


def _official(resolution: int, *layers: tuple[bool, int, int]) -> BigGANConfig:
    return BigGANConfig(output_dim=resolution, layers=layers)


_FIRST = ((False, 16, 16), (True, 16, 16), (False, 16, 16), (True, 16, 8), (False, 8, 8))
_LAST = ((False, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1))
OFFICIAL = {
    128: _official(128, *_FIRST, (True, 8, 4), *_LAST),
    256: _official(256, *_FIRST, (True, 8, 8), (False, 8, 8), (True, 8, 4), *_LAST),
    512: _official(
        512, *_FIRST, (True, 8, 8), (False, 8, 8), (True, 8, 4), *_LAST, (False, 1, 1), (True, 1, 1)
    ),
}  # fmt: skip


def statistics_position(truncation: float, n_stats: int) -> tuple[float, int]:
    """(coefficient, index) of the official lookup: modf(truncation / step), step = 1 / (n - 1).

    In Python's float64 on purpose: 0.58 falls just below index 29 and is treated as 28 and a rest.
    """
    coefficient, index = math.modf(truncation / (1.0 / (n_stats - 1)))
    return coefficient, int(index)


def at_truncation(statistics: Tensor, truncation: float) -> Tensor:
    """Row [C] of `statistics` [n_stats, C] for a truncation in [0, 1], as officially mixed:
    with a rest c, stats[i] * c + stats[i + 1] * (1 - c) (the weights the wrong way round)."""
    coefficient, index = statistics_position(truncation, statistics.shape[0])
    if coefficient == 0.0:
        return statistics[index]
    return statistics[index] * coefficient + statistics[index + 1] * (1 - coefficient)


class _SpectralNorm(nn.Module):
    """A weight divided by its largest singular value, estimated by u^T W v with W [out, -1].

    In training each forward first makes one power iteration (Miyato et al., arXiv:1802.05957).
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, shape: tuple[int, ...], *, bias: bool, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        self.weight_orig = nn.Parameter(torch.empty(shape))
        nn.init.orthogonal_(self.weight_orig)
        flat = self.weight_orig.detach().reshape(shape[0], -1)  # [out, all else]
        left, right = torch.empty(shape[0]), torch.empty(flat.shape[1])
        if not flat.is_meta:  # where there are no numbers yet
            left = functional.normalize(nn.init.normal_(left), dim=0)  # [out]
            right = functional.normalize(flat.T @ left, dim=0)
        self.register_buffer("weight_u", left)
        self.register_buffer("weight_v", right)

    def weight(self) -> Tensor:
        """The normalised weight, [out, in] or [out, in, side, side]."""
        flat = self.weight_orig.reshape(self.weight_orig.shape[0], -1)  # [out, all else]
        if self.training:
            self._iterate(flat.detach())
        # Clones: the next iteration writes into the buffers while autograd still needs these.
        u, v = self.weight_u.clone(), self.weight_v.clone()
        return self.weight_orig / torch.dot(u, torch.mv(flat, v))

    @torch.no_grad()
    def _iterate(self, flat: Tensor) -> None:
        self.weight_v.copy_(functional.normalize(flat.T @ self.weight_u, dim=0, eps=self.eps))
        self.weight_u.copy_(functional.normalize(flat @ self.weight_v, dim=0, eps=self.eps))


class SNConv2d(_SpectralNorm):
    """A convolution of odd side that keeps the size of its input, spectrally normalised."""

    def __init__(
        self, inputs: int, outputs: int, side: int, *, bias: bool = True, eps: float = 1e-4
    ) -> None:
        super().__init__((outputs, inputs, side, side), bias=bias, eps=eps)
        self.padding = side // 2

    def forward(self, x: Tensor, outputs: int | None = None) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H, W]; outputs: how many, the first, or all."""
        bias = None if self.bias is None else self.bias[:outputs]
        return functional.conv2d(x, self.weight()[:outputs], bias, padding=self.padding)


class SNLinear(_SpectralNorm):
    """A linear layer, spectrally normalised."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, eps: float = 1e-4) -> None:
        super().__init__((outputs, inputs), bias=bias, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs] -> [N, outputs]."""
        return functional.linear(x, self.weight(), self.bias)


class TruncationNorm(nn.Module):
    """Batch norm whose running statistics are tabulated over the truncation.

    In training the batch's own statistics are used, and `observed` receives them when it is a
    list (that is how the table is filled afterwards).
    """

    running_means: Tensor
    running_vars: Tensor

    def __init__(self, channels: int, config: BigGANConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.observed: list[tuple[Tensor, Tensor]] | None = None
        self.register_buffer("running_means", torch.zeros(config.n_stats, channels))
        self.register_buffer("running_vars", torch.ones(config.n_stats, channels))

    def normalised(self, x: Tensor, truncation: float) -> Tensor:
        """x [N, C, H, W] less the mean, by the deviation, of its channels; truncation in [0, 1]."""
        if self.training:
            if self.observed is not None:
                variance, mean = torch.var_mean(x.detach(), dim=(0, 2, 3), correction=0)  # [C]
                self.observed.append((mean, variance))
            return functional.batch_norm(x, None, None, training=True, eps=self.eps)
        mean = at_truncation(self.running_means, truncation)[:, None, None]  # [C, 1, 1]
        variance = at_truncation(self.running_vars, truncation)[:, None, None]
        return (x - mean) / torch.sqrt(variance + self.eps)


class ConditionalNorm(TruncationNorm):
    """TruncationNorm scaled by 1 + scale(c) and shifted by offset(c) of the condition c."""

    def __init__(self, channels: int, condition: int, config: BigGANConfig) -> None:
        super().__init__(channels, config)
        self.scale = SNLinear(condition, channels, bias=False, eps=config.eps)
        self.offset = SNLinear(condition, channels, bias=False, eps=config.eps)

    def forward(self, x: Tensor, condition: Tensor, truncation: float) -> Tensor:
        """[N, C, H, W] with condition [N, 2 z] -> the same shape."""
        scale = 1 + self.scale(condition)[:, :, None, None]  # [N, C, 1, 1]
        offset = self.offset(condition)[:, :, None, None]
        return self.normalised(x, truncation) * scale + offset


class PlainNorm(TruncationNorm):
    """TruncationNorm with a weight and a bias of its own."""

    def __init__(self, channels: int, config: BigGANConfig) -> None:
        super().__init__(channels, config)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, truncation: float) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        normal = self.normalised(x, truncation)
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


class SelfAttention(nn.Module):
    """Self-attention of SAGAN (arXiv:1805.08318): keys and values max-pooled, no scaling."""

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__()
        self.snconv1x1_theta = SNConv2d(channels, channels // 8, 1, bias=False, eps=eps)
        self.snconv1x1_phi = SNConv2d(channels, channels // 8, 1, bias=False, eps=eps)
        self.snconv1x1_g = SNConv2d(channels, channels // 2, 1, bias=False, eps=eps)
        self.snconv1x1_o_conv = SNConv2d(channels // 2, channels, 1, bias=False, eps=eps)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> x + gamma * attention(x), the same shape."""
        height, width = x.shape[2:]
        theta = self.snconv1x1_theta(x).flatten(2)  # [N, C / 8, HW]
        phi = functional.max_pool2d(self.snconv1x1_phi(x), 2).flatten(2)  # [N, C / 8, HW / 4]
        values = functional.max_pool2d(self.snconv1x1_g(x), 2).flatten(2)  # [N, C / 2, HW / 4]
        weights = torch.softmax(torch.bmm(theta.transpose(1, 2), phi), dim=-1)  # [N, HW, HW / 4]
        # [N, C / 2, HW] -> [N, C / 2, H, W].
        attended = torch.bmm(values, weights.transpose(1, 2)).unflatten(2, (height, width))
        return x + self.gamma * self.snconv1x1_o_conv(attended)


class GenBlock(nn.Module):
    """The bottleneck residual block of BigGAN-deep; its skip drops surplus channels."""

    def __init__(
        self, inputs: int, outputs: int, condition: int, *, up: bool, config: BigGANConfig
    ) -> None:
        super().__init__()
        middle = inputs // _REDUCTION
        self.up, self.drop = up, inputs != outputs
        self.bn_0 = ConditionalNorm(inputs, condition, config)
        self.conv_0 = SNConv2d(inputs, middle, 1, eps=config.eps)
        self.bn_1 = ConditionalNorm(middle, condition, config)
        self.conv_1 = SNConv2d(middle, middle, 3, eps=config.eps)
        self.bn_2 = ConditionalNorm(middle, condition, config)
        self.conv_2 = SNConv2d(middle, middle, 3, eps=config.eps)
        self.bn_3 = ConditionalNorm(middle, condition, config)
        self.conv_3 = SNConv2d(middle, outputs, 1, eps=config.eps)

    def forward(self, x: Tensor, condition: Tensor, truncation: float) -> Tensor:
        """[N, inputs, H, W] with condition [N, 2 z] -> [N, outputs, H, W], both sides doubled where
        the block upsamples."""
        h = self.conv_0(functional.relu(self.bn_0(x, condition, truncation)))  # inputs / 4 channels
        h = functional.relu(self.bn_1(h, condition, truncation))
        h = self.conv_1(doubled(h) if self.up else h)  # [N, inputs / 4, 2 H, 2 W] where it is up
        h = self.conv_2(functional.relu(self.bn_2(h, condition, truncation)))
        h = self.conv_3(functional.relu(self.bn_3(h, condition, truncation)))  # outputs channels
        skip = x[:, : x.shape[1] // 2] if self.drop else x  # [N, outputs, H, W]
        return h + (doubled(skip) if self.up else skip)


def doubled(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2 H, 2 W], every pixel repeated."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class _Trunk(nn.Module):
    """From the condition to the image; `generator.` in the checkpoints' keys."""

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        self.colours = config.colours
        width, condition = config.channel_width, 2 * config.z_dim
        self.start = config.layers[0][1] * width
        self.gen_z = SNLinear(condition, _START * _START * self.start, eps=config.eps)
        layers: list[nn.Module] = []
        for position, (up, inputs, outputs) in enumerate(config.layers):
            if position == config.attention_layer_position:
                layers.append(SelfAttention(inputs * width, eps=config.eps))
            layers.append(
                GenBlock(inputs * width, outputs * width, condition, up=up, config=config)
            )
        self.layers = nn.ModuleList(layers)
        last = config.layers[-1][2] * width
        self.bn = PlainNorm(last, config)
        self.conv_to_rgb = SNConv2d(last, last, 3, eps=config.eps)

    def forward(self, condition: Tensor, truncation: float) -> Tensor:
        """Condition [N, 2 z] -> images [N, 3, R, R] in (-1, 1)."""
        x = self.gen_z(condition).view(-1, _START, _START, self.start)  # [N, 4, 4, C]
        x = x.permute(0, 3, 1, 2).contiguous()  # [N, C, 4, 4]
        for layer in self.layers:
            x = layer(x, condition, truncation) if isinstance(layer, GenBlock) else layer(x)
        x = functional.relu(self.bn(x, truncation))  # [N, C, R, R]
        # The official layer makes more channels than it keeps; training need not wait for them.
        x = self.conv_to_rgb(x, outputs=self.colours if self.training else None)
        # [N, colours, R, R] -> [N, 3, R, R].
        return torch.tanh(x[:, : self.colours]).expand(-1, 3, -1, -1)


class BigGANDeep(nn.Module):
    """The whole generator, in the plain form that trains and that every faster form must equal."""

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.Linear(config.num_classes, config.z_dim, bias=False)
        nn.init.orthogonal_(self.embeddings.weight)
        self.generator = _Trunk(config)

    def condition(self, z: Tensor, labels: Tensor) -> Tensor:
        """Latents float [N, z] and labels int64 [N] -> condition [N, 2 z]."""
        return torch.cat([z, self.embeddings.weight.T[labels]], dim=1)  # [N, z] and [N, z]

    def forward(self, z: Tensor, labels: Tensor, truncation: float = 1.0) -> Tensor:
        """Images [N, 3, R, R] in (-1, 1) of latents [N, z] already multiplied by the truncation,
        which is in [0, 1], and labels int64 [N]."""
        images: Tensor = self.generator(self.condition(z, labels), truncation)
        return images

    def norms(self) -> Iterator[TruncationNorm]:
        """Every layer that keeps statistics by truncation."""
        return (module for module in self.modules() if isinstance(module, TruncationNorm))
