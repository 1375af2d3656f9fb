"""The networks of ADM (Dhariwal and Nichol, arXiv:2105.05233), exact to openai/guided-diffusion.

Module and tensor names are those of the published state dicts; options carry the official names.
Three networks share their parts: the denoising UNet, the super-resolution UNet, whose input is
joined with the upsampled small image, and the classifier of noisy images, which is the UNet's
encoder under an attention or average pool.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from genbench.errors import GenbenchError
from genbench_adapters.adm.group_norm import activated_group_norm, kernel_for
from genbench_adapters.adm.phases import phase_kernels, upsampled_convolution

_GROUPS = 32
# The least and the most of each that is believed of a file: beyond them it only exhausts a machine.
_WIDEST, _LEVELS = 16384, 16
_BOUNDS = {
    "image_size": (1, 4096), "model_channels": (1, 4096), "out_channels": (1, 100_000),
    "num_res_blocks": (0, 64), "in_channels": (1, 64), "num_heads": (1, 1024),
    "num_head_channels": (-1, _WIDEST), "num_heads_upsample": (-1, 1024),
}  # fmt: skip
_LISTS = {"channel_mult": 1024, "attention_resolutions": 4096}


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """The constructor arguments of the official networks, under their names.

    attention_resolutions: factors of downsampling, not pixels. num_head_channels -1: `num_heads`
    heads whatever the width. num_heads_upsample -1: as `num_heads`. in_channels: of the noisy
    image; the super-resolution UNet doubles it. pool: of the classifier alone.
    """

    image_size: int
    model_channels: int
    out_channels: int
    num_res_blocks: int
    attention_resolutions: tuple[int, ...]
    channel_mult: tuple[float, ...]
    in_channels: int = 3
    dropout: float = 0.0
    num_classes: int | None = None
    num_heads: int = 1
    num_head_channels: int = -1
    num_heads_upsample: int = -1
    use_scale_shift_norm: bool = False
    resblock_updown: bool = False
    use_new_attention_order: bool = False
    pool: Literal["attention", "adaptive"] = "attention"

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise GenbenchError(
                    f"{name} {ascii(value)[:80]} of ADM is not a number from {least} to {most}: "
                    "correct it"
                )
        for name, largest in _LISTS.items():
            value = getattr(self, name)
            if not isinstance(value, tuple) or len(value) > _LEVELS or not all(
                type(item) in (int, float) and 0 < item <= largest for item in value
            ):  # fmt: skip
                raise GenbenchError(
                    f"{name} {ascii(value)[:80]} of ADM is no list of up to {_LEVELS} numbers up "
                    f"to {largest}: correct it"
                )
        classes = 1 if self.num_classes is None else self.num_classes
        if type(classes) is not int or not 1 <= classes <= _BOUNDS["out_channels"][1]:
            raise GenbenchError(f"num_classes {ascii(classes)[:80]} of ADM is none: correct it")
        if type(self.dropout) not in (int, float) or not 0 <= self.dropout < 1:
            raise GenbenchError("dropout of ADM is not a number from 0 to 1: correct it")
        if self.pool not in ("attention", "adaptive"):
            raise GenbenchError("pool of ADM is neither attention nor adaptive: correct it")
        if self.num_head_channels < 1 and self.num_head_channels != -1:
            raise GenbenchError(
                f"num_head_channels {self.num_head_channels} is neither -1 nor above 0: correct it"
            )
        widths = [self.width(multiple) for multiple in self.channel_mult]
        uneven = [width for width in widths if width % _GROUPS or not 0 < width <= _WIDEST]
        if uneven or not self.channel_mult:
            raise GenbenchError(
                f"ADM's widths must be multiples of {_GROUPS}, not {uneven}: change the number of "
                "channels or their multiples"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> UNetConfig:
        """From official keyword arguments. Raises GenbenchError naming what does not fit."""
        if not isinstance(values, Mapping):
            raise GenbenchError(f"{ascii(values)[:80]} is no configuration of ADM: complete it")
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise GenbenchError(f"configuration keys {unknown} are not ADM's: remove them")
        listed: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value
                  for key, value in values.items()}  # fmt: skip
        try:
            return cls(**listed)
        except TypeError as error:
            raise GenbenchError(f"not an ADM configuration ({error}): complete it") from error

    def heads(self, channels: int, *, upsampling: bool = False) -> int:
        """Attention heads at a width."""
        if self.num_head_channels != -1:
            return channels // self.num_head_channels
        chosen = self.num_heads_upsample if upsampling else -1
        return self.num_heads if chosen == -1 else chosen

    def width(self, multiple: float) -> int:
        """Channels of a level."""
        return int(multiple * self.model_channels)


def timestep_embedding(timesteps: Tensor, dim: int) -> Tensor:
    """Sinusoids float32 [N, dim] of timesteps [N] (fractions allowed): cosines, then sines; an odd
    dim ends with a zero."""
    half = dim // 2
    places = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    # [N, half], in radians. In this order of operations: they reach 1000, where the last bit shows.
    angles = timesteps[:, None].float() * torch.exp(-math.log(10_000) * places / half)
    return functional.pad(torch.cat([torch.cos(angles), torch.sin(angles)], dim=1), (0, dim % 2))


class GroupNorm32(nn.GroupNorm):
    """Group norm of 32 groups, its sums in float32 whatever the input's dtype."""

    fused = False  # whether a kernel may compute it with what follows

    def __init__(self, channels: int) -> None:
        super().__init__(_GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, ...] -> the same shape and dtype."""
        # From this many pixels on, torch's bfloat16 kernel for CPUs, which sums in float32 itself,
        # is faster than two casts; its kernel for fewer, and its gradient, are slower.
        large = x.shape[2:].numel() >= 32 * 32
        if large and _is_cpu_bfloat16(x) and not torch.is_grad_enabled():
            return super().forward(x)
        return super().forward(x.float()).to(x.dtype)

    def activated(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """SiLU of the norm, of [N, C, H, W] -> the same shape and dtype.

        condition: float32 [N, 2 C, 1, 1], scale and shift of the norm before the SiLU.
        """
        fresh = not torch.is_grad_enabled()  # then nobody else reads what the norm has made
        small = x.shape[2:].numel() < 32 * 32
        plain = type(x) is Tensor  # no stand-in that traces or counts what is done to it
        if fresh and self.fused and plain and (kernel := kernel_for(x.device, x.dtype)):
            return kernel.activated_group_norm(x, self, condition)
        if fresh and small and _is_cpu_bfloat16(x) and not torch.is_autocast_enabled("cpu"):
            return activated_group_norm(x, self, condition)
        h = self(x)
        if condition is not None:
            scale, shift = condition.to(h.dtype).chunk(2, dim=1)  # [N, C, 1, 1] each
            h = torch.addcmul(shift, h, 1 + scale)
        return functional.silu(h, inplace=fresh)


def _is_cpu_bfloat16(x: Tensor) -> bool:
    return x.dtype == torch.bfloat16 and x.device.type == "cpu"


Layer = TypeVar("Layer", bound=nn.Module)


def _zeroed(layer: Layer) -> Layer:
    """A layer that adds nothing before it is trained."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def attend(qkv: Tensor, heads: int, *, new_order: bool, fused: bool) -> Tensor:
    """Attention [N, C, T] of packed queries, keys and values [N, 3 C, T].

    The channels are ordered (3, head, width) in the new order and (head, 3, width) in the legacy
    one; no shape tells them apart. Softmax in float32.
    """
    count, channels, length = qkv.shape
    width = channels // (3 * heads)
    shape = (count, 3, heads, width, length) if new_order else (count, heads, 3, width, length)
    q, k, v = qkv.view(shape).unbind(1 if new_order else 2)  # [N, heads, width, T] each
    if fused:
        q, k, v = q.transpose(2, 3), k.transpose(2, 3), v.transpose(2, 3)  # [N, heads, T, width]
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(2, 3)
        return mixed.reshape(count, -1, length)  # [N, heads, width, T] -> [N, C, T]
    return weighed(q, k, v).reshape(count, -1, length)  # [N, C, T]


def weighed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of queries [N, heads, width, T of q] to keys and values [N, heads, width, T], by
    two products -> [N, heads, width, T of q]. Softmax in float32."""
    # Both factors scaled, as the official code does against overflow in half precision.
    scale = q.shape[2] ** -0.25
    weights = torch.matmul((q * scale).transpose(2, 3), k * scale)  # [N, heads, T of q, T of k]
    weights = torch.softmax(weights.float(), dim=-1).to(q.dtype)
    return torch.matmul(v, weights.transpose(2, 3))


class AttentionBlock(nn.Module):
    """Self-attention over the pixels, added to its input."""

    fused = False  # whether scaled_dot_product_attention computes it

    def __init__(self, channels: int, heads: int, *, new_order: bool) -> None:
        super().__init__()
        self.heads, self.new_order = heads, new_order
        self.norm = GroupNorm32(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = _zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        flat = x.flatten(2)  # [N, C, HW]
        qkv = self.qkv(self.norm(flat))  # [N, 3 C, HW]
        mixed = attend(qkv, self.heads, new_order=self.new_order, fused=self.fused)
        return (flat + self.proj_out(mixed)).view(x.shape)


class Upsample(nn.Module):
    """Nearest upsampling by two, and a convolution when `conv`."""

    kernels: Tensor | None = None  # set by `phase_upsampling`

    def __init__(self, channels: int, *, conv: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1) if conv else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, 2 H, 2 W]."""
        if self.kernels is not None:
            assert self.conv is not None
            return upsampled_convolution(x, self.kernels, self.conv.bias)
        x = functional.interpolate(x, scale_factor=2, mode="nearest")
        return x if self.conv is None else self.conv(x)


class Downsample(nn.Module):
    """Half the sides: a convolution of stride two when `conv`, else the mean of each 2x2."""

    def __init__(self, channels: int, *, conv: bool) -> None:
        super().__init__()
        down = nn.Conv2d(channels, channels, 3, stride=2, padding=1) if conv else nn.AvgPool2d(2)
        self.op: nn.Module = down

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H / 2, W / 2]."""
        return self.op(x)


class ResBlock(nn.Module):
    """The residual block, conditioned on the embedding of time and class; may resample."""

    kernels: Tensor | None = None  # set by `phase_upsampling`

    def __init__(
        self, channels: int, out: int, config: UNetConfig, resample: nn.Module | None = None
    ) -> None:
        super().__init__()
        embedding = 4 * config.model_channels
        self.scale_shift = config.use_scale_shift_norm
        self.resample = resample  # without parameters
        self.in_layers = nn.Sequential(
            GroupNorm32(channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(
            nn.SiLU(), nn.Linear(embedding, 2 * out if self.scale_shift else out)
        )
        self.out_layers = nn.Sequential(
            GroupNorm32(out), nn.SiLU(), nn.Dropout(config.dropout),
            _zeroed(nn.Conv2d(out, out, 3, padding=1)),
        )  # fmt: skip
        same = channels == out
        self.skip_connection = nn.Identity() if same else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """[N, channels, H, W] with the SiLU of the embedding float32 [N, 4 model_channels] ->
        [N, out, H', W'], the sides doubled or halved where it resamples."""
        norm, _, conv = self.in_layers
        assert isinstance(norm, GroupNorm32)
        assert isinstance(conv, nn.Conv2d)
        h = norm.activated(x)
        if self.kernels is not None:
            h = upsampled_convolution(h, self.kernels, conv.bias)  # [N, out, 2 H, 2 W]
        else:
            h = conv(h if self.resample is None else self.resample(h))  # [N, out, H', W']
        if self.resample is not None:
            x = self.resample(x)  # [N, channels, H', W']
        # [N, out, 1, 1], or [N, 2 out, 1, 1] for scale and shift.
        _, linear = self.emb_layers
        condition = linear(embedding)[:, :, None, None]
        norm, _, dropout, conv = self.out_layers
        assert isinstance(norm, GroupNorm32)
        if self.scale_shift:
            h = norm.activated(h, condition)
        else:
            h = norm.activated(h + condition.to(h.dtype))
        h = conv(dropout(h))
        skipped = self.skip_connection(x)
        # Without a gradient nobody else reads what a convolution has just made.
        return skipped + h if torch.is_grad_enabled() else h.add_(skipped)


class Stage(nn.Sequential):
    """Layers in a row; the residual blocks among them also take the embedding."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:  # type: ignore[override]
        """[N, C, H, W] with the SiLU of the embedding float32 [N, 4 model_channels] -> whatever the
        last layer makes."""
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, ResBlock) else layer(x)
        return x


class _Encoder(nn.Module):
    """Time embedding, the way down and the middle, common to all three networks."""

    def __init__(self, config: UNetConfig, in_channels: int) -> None:
        super().__init__()
        self.config = config
        self.dtype = torch.float32  # of the convolutions of the blocks
        base = config.model_channels
        self.time_embed = nn.Sequential(
            nn.Linear(base, 4 * base), nn.SiLU(), nn.Linear(4 * base, 4 * base)
        )
        width = config.width(config.channel_mult[0])
        stages = [Stage(nn.Conv2d(in_channels, width, 3, padding=1))]
        self.skips = [width]  # channels of each stage's output
        self.factor = 1  # of downsampling, at the bottom
        for level, multiple in enumerate(config.channel_mult):
            for _ in range(config.num_res_blocks):
                out = config.width(multiple)
                stages.append(self._stage(ResBlock(width, out, config), out))
                width = out
                self.skips.append(width)
            if level < len(config.channel_mult) - 1:
                stages.append(Stage(_halving(width, config)))
                self.skips.append(width)
                self.factor *= 2
        self.input_blocks = nn.ModuleList(stages)
        self.middle_block = Stage(
            ResBlock(width, width, config),
            self._attention(width),
            ResBlock(width, width, config),
        )
        self.bottom = width

    def _attention(self, width: int, *, upsampling: bool = False) -> AttentionBlock:
        heads = self.config.heads(width, upsampling=upsampling)
        return AttentionBlock(width, heads, new_order=self.config.use_new_attention_order)

    def _stage(self, block: ResBlock, width: int, *, upsampling: bool = False) -> Stage:
        if self.factor not in self.config.attention_resolutions:
            return Stage(block)
        return Stage(block, self._attention(width, upsampling=upsampling))

    def embedded(self, timesteps: Tensor) -> Tensor:
        """float32 [N, 4 model_channels] of timesteps [N]."""
        return self.time_embed(timestep_embedding(timesteps, self.config.model_channels))

    def encoded(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The middle's output [N, C, r, r] and the output of every stage before it, from
        [N, C, R, R] down, of images [N, in_channels, R, R]; in the blocks' dtype. embedding: its
        SiLU, which each block's first layer would compute anew."""
        h, kept = x.to(self.dtype), []
        for stage in self.input_blocks:
            h = stage(h, embedding)
            kept.append(h)
        return self.middle_block(h, embedding), kept

    def blocks(self) -> Iterator[nn.Module]:
        """What half precision changes; time and class embeddings and the output stay float32."""
        yield self.input_blocks
        yield self.middle_block

    def convolutions_to(self, dtype: torch.dtype) -> None:
        """Bring the convolutions of the blocks to a dtype, as the official convert_to_fp16."""
        self.dtype = dtype
        for block in self.blocks():
            for module in block.modules():
                if isinstance(module, nn.Conv1d | nn.Conv2d):
                    module.to(dtype)

    def phase_upsampling(self) -> None:
        """For inference with the weights, the device and the dtype of now: compute the
        convolutions after upsamplings in phases (`adm.phases`)."""
        for module in self.modules():
            if isinstance(module, Upsample) and module.conv is not None:
                module.kernels = phase_kernels(module.conv.weight.detach())
            elif isinstance(module, ResBlock) and isinstance(module.resample, Upsample):
                module.kernels = phase_kernels(module.in_layers[2].get_parameter("weight").detach())

    def use_fused_norms(self, fused: bool) -> None:
        """Compute norms and what follows by one kernel, where there is one, without a gradient."""
        for module in self.modules():
            if isinstance(module, GroupNorm32):
                module.fused = fused

    def use_fused_attention(self, fused: bool) -> None:
        """Compute attention by scaled_dot_product_attention or by two products."""
        for module in self.modules():
            if isinstance(module, AttentionBlock):
                module.fused = fused


def _halving(width: int, config: UNetConfig) -> nn.Module:
    if config.resblock_updown:
        return ResBlock(width, width, config, Downsample(width, conv=False))
    return Downsample(width, conv=True)


def _doubling(width: int, config: UNetConfig) -> nn.Module:
    if config.resblock_updown:
        return ResBlock(width, width, config, Upsample(width, conv=False))
    return Upsample(width, conv=True)


class UNet(_Encoder):
    """The denoiser: predicts the noise, and with 6 output channels its variance's interpolation."""

    def __init__(self, config: UNetConfig, *, in_channels: int | None = None) -> None:
        super().__init__(config, in_channels or config.in_channels)
        if config.num_classes is not None:
            self.label_emb = nn.Embedding(config.num_classes, 4 * config.model_channels)
        width, stages = self.bottom, []
        skips = list(self.skips)
        for level, multiple in reversed(list(enumerate(config.channel_mult))):
            for position in range(config.num_res_blocks + 1):
                out = config.width(multiple)
                block = ResBlock(width + skips.pop(), out, config)
                stage = self._stage(block, out, upsampling=True)
                width = out
                if level and position == config.num_res_blocks:
                    stage.append(_doubling(width, config))
                    self.factor //= 2
                stages.append(stage)
        self.output_blocks = nn.ModuleList(stages)
        self.out = nn.Sequential(
            GroupNorm32(width),
            nn.SiLU(),
            _zeroed(nn.Conv2d(width, config.out_channels, 3, padding=1)),
        )

    def blocks(self) -> Iterator[nn.Module]:
        """As `_Encoder.blocks`, and the way up."""
        yield from super().blocks()
        yield self.output_blocks

    def forward(self, x: Tensor, timesteps: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noisy images float [N, 3, R, R], original timesteps [N], labels int64 [N] (exactly when
        the network is conditional) -> [N, out_channels, R, R], the dtype of x.

        Raises GenbenchError for labels too many or missing.
        """
        if (labels is None) != (self.config.num_classes is None):
            wanted = "no labels" if labels is not None else "labels"
            raise GenbenchError(f"this ADM network takes {wanted}: choose the variant that fits")
        embedding = self.embedded(timesteps)  # [N, 4 model_channels]
        if labels is not None:
            embedding = embedding + self.label_emb(labels)
        embedding = functional.silu(embedding)
        h, kept = self.encoded(x, embedding)  # [N, C, r, r] at the bottom
        for stage in self.output_blocks:
            # Channels of h and of the skip -> the level's own; its last stage doubles the sides.
            h = stage(torch.cat([h, kept.pop()], dim=1), embedding)
        return self.out(h.to(x.dtype))  # [N, out_channels, R, R]


class SuperResUNet(UNet):
    """The upsampler: denoises a large image beside the bilinearly upsampled small one."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config, in_channels=2 * config.in_channels)

    def forward(  # type: ignore[override]
        self, x: Tensor, timesteps: Tensor, labels: Tensor | None, low_res: Tensor
    ) -> Tensor:
        """As `UNet.forward`, with the small images [N, 3, r, r] in [-1, 1]."""
        large = functional.interpolate(low_res, x.shape[2:], mode="bilinear")  # [N, 3, R, R]
        return super().forward(torch.cat([x, large], dim=1), timesteps, labels)  # of [N, 6, R, R]


class AttentionPool(nn.Module):
    """One token of class logits from all pixels and their mean (as CLIP's, arXiv:2103.00020)."""

    def __init__(self, side: int, channels: int, head_channels: int, out: int) -> None:
        super().__init__()
        self.heads = channels // head_channels
        self.positional_embedding = nn.Parameter(torch.empty(channels, side * side + 1))
        nn.init.normal_(self.positional_embedding, std=channels**-0.5)
        self.qkv_proj = nn.Conv1d(channels, 3 * channels, 1)
        self.c_proj = nn.Conv1d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, side, side] -> [N, out]."""
        pixels = x.flatten(2)  # [N, C, HW]
        tokens = torch.cat([pixels.mean(dim=2, keepdim=True), pixels], dim=2)  # [N, C, 1 + HW]
        tokens = tokens + self.positional_embedding.to(x.dtype)
        # Of the mean's token alone: what the others attend to is read by nobody. In the new order
        # (3, head, width), although the classifier's blocks have the legacy one.
        channels = tokens.shape[1]
        weight, bias = self.qkv_proj.weight, self.qkv_proj.bias
        assert bias is not None
        asked = tokens[:, :, :1]  # [N, C, 1]
        q = functional.conv1d(asked, weight[:channels], bias[:channels])  # [N, C, 1]
        kv = functional.conv1d(tokens, weight[channels:], bias[channels:])  # [N, 2 C, 1 + HW]
        shape = (len(x), self.heads, channels // self.heads, -1)
        k, v = (part.reshape(shape) for part in kv.chunk(2, dim=1))
        mixed = weighed(q.view(shape), k, v).flatten(1, 2)  # [N, C, 1]
        return self.c_proj(mixed)[:, :, 0]  # [N, out]


class Classifier(_Encoder):
    """Class logits of noisy images."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config, config.in_channels)
        width = self.bottom
        pool: Sequence[nn.Module]
        if config.pool == "attention":
            side = config.image_size // self.factor
            channels = config.num_head_channels
            pool = (AttentionPool(side, width, channels, config.out_channels),)
        else:
            pool = (
                nn.AdaptiveAvgPool2d((1, 1)),
                _zeroed(nn.Conv2d(width, config.out_channels, 1)),
                nn.Flatten(),
            )
        self.out = nn.Sequential(GroupNorm32(width), nn.SiLU(), *pool)

    def forward(self, x: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy images float [N, 3, R, R] and original timesteps [N] -> logits [N, out_channels],
        the dtype of x."""
        h, _ = self.encoded(x, functional.silu(self.embedded(timesteps)))  # [N, C, r, r]
        return self.out(h.to(x.dtype))
