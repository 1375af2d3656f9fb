"""The fast form of a BigGAN-deep generator at one truncation: fewer operations, equal images.

What is folded, all of it exact but for rounding:
- spectral norm into the weights, and the attention's gain into its last convolution;
- the truncation's statistics, the class-conditional scales and offsets, and the bias of the
  convolution before a norm into one multiply and one add a channel, all norms from one product;
- nearest upsampling and the 3x3 convolution after it into one 2x2 convolution that makes the four
  phases at the low resolution (16 products a pixel for 36);
- of the last convolution the channels that are kept: three, or one where all images are grey.

In a half precision the convolutions and what runs between them are in it; the gains and shifts of
the norms and the attention's logits stay float32 (a logit near 1,000 has a spacing of 0.5 in
float16 and of 4 in bfloat16).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from genbench_adapters.attention import attend
from genbench_adapters.biggan_deep.network import (
    BigGANDeep,
    ConditionalNorm,
    GenBlock,
    PlainNorm,
    SelfAttention,
    SNConv2d,
    at_truncation,
)


class _Conv(nn.Module):
    """A convolution with a fixed weight, channels last."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.padding = weight.shape[-1] // 2
        self.weight = _fixed(weight.contiguous(memory_format=torch.channels_last))
        self.bias = None if bias is None else _fixed(bias)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias, padding=self.padding)


def _normed(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """relu(x * gain + shift) in the dtype of x, rounded to it once whatever that of the others."""
    if x.device.type == "cpu":
        return torch.addcmul(shift, x.to(gain.dtype), gain).relu_().to(x.dtype)
    # One pass over x, cast on the way; on a CPU the same costs ten times as much.
    return torch.addcmul(shift, x, gain, out=torch.empty_like(x)).relu_()


class _UpConv(nn.Module):
    """Nearest upsampling by two and a 3x3 convolution, as one 2x2 convolution of four phases.

    Output row 2i sees the low rows i-1 and i with the kernel rows (0) and (1+2), output row 2i+1
    the low rows i and i+1 with (0+1) and (2); columns alike.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        first, middle, last = weight.unbind(2)  # [out, in, 3, 3] -> [out, in, 3] each
        # [out, in, 2, 3] each.
        rows = [torch.stack([first, middle + last], 2), torch.stack([first + middle, last], 2)]
        phases = []  # [out, in, 2, 2] each
        for row in rows:
            left, centre, right = row.unbind(3)  # [out, in, 2] each
            phases.append(torch.stack([left, centre + right], 3))
            phases.append(torch.stack([left + centre, right], 3))
        stacked = torch.cat(phases)  # [4 out, in, 2, 2]
        self.weight = _fixed(stacked.contiguous(memory_format=torch.channels_last))

    def forward(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        # [N, 4 out, H + 1, W + 1] -> [N, 2, 2, out, H + 1, W + 1].
        phases = functional.conv2d(x, self.weight, padding=1).unflatten(1, (2, 2, -1))
        made = x.new_empty((count, height, 2, width, 2, phases.shape[3]))  # [N, H, 2, W, 2, out]
        for down in range(2):
            for right in range(2):
                part = phases[:, down, right, :, down : down + height, right : right + width]
                made[:, :, down, :, right] = part.permute(0, 2, 3, 1)  # [N, H, W, out]
        # [N, 2 H, 2 W, out] -> [N, out, 2 H, 2 W].
        return made.view(count, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


class _Block(nn.Module):
    """A GenBlock whose norms arrive as gains and shifts."""

    def __init__(self, block: GenBlock) -> None:
        super().__init__()
        self.up, self.drop = block.up, block.drop
        weight = block.conv_1.weight()
        self.convs = nn.ModuleList(
            [
                _Conv(block.conv_0.weight(), None),
                _UpConv(weight) if block.up else _Conv(weight, None),
                _Conv(block.conv_2.weight(), None),
                _Conv(block.conv_3.weight(), block.conv_3.bias),
            ]
        )

    def forward(self, x: Tensor, affines: Sequence[tuple[Tensor, ...]]) -> Tensor:
        """As `GenBlock.forward`; gains and shifts [N, C, 1, 1] of its four norms."""
        h = x
        for conv, (gain, shift) in zip(self.convs, affines, strict=True):
            h = conv(_normed(h, gain, shift))
        skip = x[:, : x.shape[1] // 2] if self.drop else x  # [N, outputs, H, W]
        if not self.up:
            return h + skip
        count, _, height, width = skip.shape
        # [N, outputs, 2 H, 2 W] -> [N, H, 2, W, 2, outputs], to which skip adds as
        # [N, H, 1, W, 1, outputs], and back.
        spread = h.permute(0, 2, 3, 1).unflatten(1, (height, 2)).unflatten(3, (width, 2))
        spread = spread + skip.permute(0, 2, 3, 1)[:, :, None, :, None]
        return spread.view(count, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


class _Attention(nn.Module):
    """SelfAttention with its three projections in one convolution."""

    def __init__(self, attention: SelfAttention) -> None:
        super().__init__()
        parts = [
            layer.weight()
            for layer in (
                attention.snconv1x1_theta,
                attention.snconv1x1_phi,
                attention.snconv1x1_g,
            )
        ]
        self.sizes = [part.shape[0] for part in parts]
        self.project = _Conv(torch.cat(parts), None)
        self.out = _Conv(attention.gamma * attention.snconv1x1_o_conv.weight(), None)

    def forward(self, x: Tensor) -> Tensor:
        theta, phi, values = self.project(x).split(self.sizes, dim=1)  # C / 8, C / 8, C / 2 wide
        # Rows of the matrices are pixels: with channels last these are views.
        queries = theta.permute(0, 2, 3, 1).flatten(1, 2)  # [N, HW, C / 8]
        # [N, HW / 4, C / 8] and [N, HW / 4, C / 2].
        keys = functional.max_pool2d(phi, 2).permute(0, 2, 3, 1).flatten(1, 2)
        held = functional.max_pool2d(values, 2).permute(0, 2, 3, 1).flatten(1, 2)
        mixed = attend(queries, keys, held)  # [N, HW, C / 2]
        return x + self.out(mixed.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2))


class FoldedBigGAN(nn.Module):
    """`network` (in eval mode) at one truncation, in its dtype; `to(...)` moves it."""

    def __init__(self, network: BigGANDeep, truncation: float) -> None:
        super().__init__()
        trunk = network.generator
        self.start = trunk.start
        self.embeddings = _fixed(network.embeddings.weight.T.contiguous())  # [classes, z]
        with torch.no_grad():
            self.first_weight = _fixed(trunk.gen_z.weight())  # [4 * 4 * start, 2 z]
            self.first_bias = _fixed(_bias(trunk.gen_z.bias))
            affines = _Affines(truncation)
            layers: list[nn.Module] = []
            for layer in trunk.layers:
                if isinstance(layer, GenBlock):
                    affines.add(layer.bn_0, None)
                    affines.add(layer.bn_1, layer.conv_0)
                    affines.add(layer.bn_2, layer.conv_1)
                    affines.add(layer.bn_3, layer.conv_2)
                    layers.append(_Block(layer))
                elif isinstance(layer, SelfAttention):
                    layers.append(_Attention(layer))
            self.layers = nn.ModuleList(layers)
            self.channels = affines.channels
            self.affine_weight = _fixed(torch.cat(affines.weights))  # [2 * sum(channels), 2 z]
            self.affine_bias = _fixed(torch.cat(affines.biases))  # [2 * sum(channels)]
            gain, shift = _plain_affine(trunk.bn, truncation)
            self.last_gain, self.last_shift = _fixed(gain), _fixed(shift)
            rgb, kept = trunk.conv_to_rgb, trunk.colours
            self.to_rgb = _Conv(rgb.weight()[:kept], _bias(rgb.bias)[:kept])
        self.requires_grad_(False)

    def convolutions_to(self, dtype: torch.dtype) -> None:
        """Bring the convolutions, and with them what runs between, to a dtype; norms stay."""
        for module in self.modules():
            if isinstance(module, _Conv | _UpConv):
                module.to(dtype)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Images [N, 3, R, R] in (-1, 1) of latents [N, z] times the truncation, labels int64 [N];
        in the convolutions' dtype."""
        # [N, 2 z].
        condition = torch.cat([z.to(self.embeddings.dtype), self.embeddings[labels]], dim=1)
        x = functional.linear(condition, self.first_weight, self.first_bias)  # [N, 4 * 4 * start]
        x = x.to(self.to_rgb.weight.dtype)
        x = x.view(-1, 4, 4, self.start).permute(0, 3, 1, 2)  # [N, start, 4, 4]
        # [N, 2 * sum(channels)] -> by norm [N, 2 C, 1, 1] -> gain and shift [N, C, 1, 1].
        packed = functional.linear(condition, self.affine_weight, self.affine_bias)
        parts = packed[:, :, None, None].split([2 * size for size in self.channels], dim=1)
        affines = [part.chunk(2, dim=1) for part in parts]
        for layer in self.layers:
            if isinstance(layer, _Block):
                x, affines = layer(x, affines[:4]), affines[4:]
            else:
                x = layer(x)
        x = _normed(x, self.last_gain, self.last_shift)
        return torch.tanh(self.to_rgb(x)).expand(-1, 3, -1, -1)  # of 3 channels, or of 1


class _Affines:
    """Gains and shifts of every conditional norm as one linear map of the condition.

    Norm: (x + bias - mean) * inverse * (1 + S c) + O c  =  x * gain + shift  with
    gain = inverse + (inverse S) c and shift = (bias - mean) * gain + O c.
    """

    def __init__(self, truncation: float) -> None:
        self.truncation = truncation
        self.channels: list[int] = []
        self.weights: list[Tensor] = []
        self.biases: list[Tensor] = []

    def add(self, norm: ConditionalNorm, before: SNConv2d | None) -> None:
        """Take in the next norm, and the bias of the convolution before it."""
        mean, inverse = _statistics(norm, self.truncation)  # [C] each
        centre = -mean if before is None else _bias(before.bias) - mean
        gain = inverse[:, None] * norm.scale.weight()  # [C, 2 z], as shift
        shift = centre[:, None] * gain + norm.offset.weight()
        self.channels.append(len(mean))
        self.weights += [gain, shift]
        self.biases += [inverse, centre * inverse]


def _statistics(norm: ConditionalNorm | PlainNorm, truncation: float) -> tuple[Tensor, Tensor]:
    mean = at_truncation(norm.running_means, truncation)
    variance = at_truncation(norm.running_vars, truncation)
    return mean, 1 / torch.sqrt(variance + norm.eps)


def _plain_affine(norm: PlainNorm, truncation: float) -> tuple[Tensor, Tensor]:
    mean, inverse = _statistics(norm, truncation)
    gain = inverse * norm.weight
    # [1, C, 1, 1] each.
    return gain[None, :, None, None], (norm.bias - mean * gain)[None, :, None, None]


def _bias(bias: Tensor | None) -> Tensor:
    assert bias is not None
    return bias


def _fixed(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach().clone(), requires_grad=False)
