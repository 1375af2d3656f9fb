"""The networks of EDM (Karras et al., arXiv:2206.00364) with their preconditioning.

Two backbones under the published tensor names: "DhariwalUNet" (ADM's, of ImageNet 64) and
"SongUNet" (DDPM++ and NCSN++). Written from the papers and the checkpoints' layout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional

from genbench.errors import GenbenchError

_HEAD_WIDTH = 64  # channels of a head in the Dhariwal backbone
_CHOICES = {
    "model_type": ("DhariwalUNet", "SongUNet"),
    "embedding_type": ("positional", "fourier"),
    "encoder_type": ("standard", "residual"),
    "decoder_type": ("standard",),
}
# What SongUNet's constructor takes where nothing is said; DhariwalUNet's are EDMConfig's own.
_SONG: Mapping[str, Any] = {
    "model_channels": 128,
    "channel_mult": (1, 2, 2, 2),
    "num_blocks": 4,
    "attn_resolutions": (16,),
}
# The most of each that is believed of a file: beyond them a network only exhausts the machine.
_WIDEST = 8192
_MOST = {
    "img_resolution": 4096, "label_dim": 100_000, "augment_dim": 1000, "model_channels": 4096,
    "channel_mult_emb": 64, "num_blocks": 64, "channel_mult_noise": 64,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EDMConfig:
    """The constructor arguments of the official EDMPrecond and its backbone, under their names."""

    img_resolution: int
    img_channels: int = 3
    label_dim: int = 0
    augment_dim: int = 0
    sigma_data: float = 0.5
    model_type: Literal["DhariwalUNet", "SongUNet"] = "DhariwalUNet"
    model_channels: int = 192
    channel_mult: tuple[int, ...] = (1, 2, 3, 4)
    channel_mult_emb: int = 4
    num_blocks: int = 3
    attn_resolutions: tuple[int, ...] = (32, 16, 8)
    dropout: float = 0.10
    embedding_type: Literal["positional", "fourier"] = "positional"
    channel_mult_noise: int = 1
    encoder_type: Literal["standard", "residual"] = "standard"
    decoder_type: Literal["standard"] = "standard"
    resample_filter: tuple[int, ...] = (1, 1)

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                _refuse(f"{name} {getattr(self, name)!r} is not {' or '.join(known)}")
        for name, most in _MOST.items():
            value, least = getattr(self, name), 0 if name.endswith("_dim") else 1
            if type(value) is not int or not least <= value <= most:
                _refuse(f"{name} {value!r} is not a number from {least} to {most}")
        for name in ("channel_mult", "attn_resolutions", "resample_filter"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(type(n) is int and n > 0 for n in value):
                _refuse(f"{name} {value!r} is not a list of positive numbers")
        for name in ("sigma_data", "dropout"):
            if not isinstance(getattr(self, name), float | int):
                _refuse(f"{name} {getattr(self, name)!r} is not a number")
        if self.img_channels != 3:
            _refuse(f"images of {self.img_channels!r} channels are not RGB")
        if not 0 < self.sigma_data < math.inf or not 0 <= self.dropout < 1:
            _refuse(f"sigma_data {self.sigma_data} or dropout {self.dropout} is out of range")
        levels, taps = len(self.channel_mult), len(self.resample_filter)
        if not 1 <= levels <= 16 or self.img_resolution % 2 ** (levels - 1):
            _refuse(f"{self.img_resolution} pixels cannot be halved to {levels} levels")
        if not 2 <= taps <= 16 or taps % 2:
            _refuse(f"a resample_filter of {taps} taps does not halve")
        wrong = [w for w in self.widths if not 4 <= w <= _WIDEST or w % min(32, w // 4)]
        if wrong:
            _refuse(f"widths {wrong} do not divide into groups, or exceed {_WIDEST}")

    @property
    def widths(self) -> list[int]:
        """Channels of every level."""
        return [multiple * self.model_channels for multiple in self.channel_mult]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> EDMConfig:
        """From official keyword arguments; those of training alone are passed over. Raises
        GenbenchError naming what does not fit."""
        known = {item.name for item in fields(cls)}
        training = {"use_fp16", "sigma_min", "sigma_max", "label_dropout", "in_channels",
                    "out_channels"}  # fmt: skip
        if unknown := sorted(set(values) - known - training):
            raise GenbenchError(f"configuration keys {unknown} are not EDM's: remove them")
        listed: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values.items()
            if key in known
        }
        song = _SONG if listed.get("model_type") == "SongUNet" else {}
        try:
            return cls(**{**song, **listed})
        except TypeError as error:
            raise GenbenchError(f"not an EDM configuration ({error}): complete it") from error


def _refuse(reason: str) -> NoReturn:
    raise GenbenchError(f"not an EDM configuration: {reason}; name a network of EDM's own recipe")


class Resample(nn.Module):
    """Halves or doubles the sides by a separable filter; adds nothing to learn."""

    resample_filter: Tensor

    def __init__(self, taps: tuple[int, ...], *, up: bool) -> None:
        super().__init__()
        self.up = up
        line = torch.tensor(taps, dtype=torch.float32)
        self.register_buffer(
            "resample_filter", (torch.outer(line, line) / line.sum() ** 2)[None, None]
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, 2 H, 2 W] or [N, C, H / 2, W / 2]."""
        return resampled(x, self.resample_filter, up=self.up)


def resampled(x: Tensor, taps: Tensor, *, up: bool) -> Tensor:
    """x [N, C, H, W] filtered and halved, or doubled, by taps [1, 1, K, K] of sum 1."""
    channels, padding = x.shape[1], (taps.shape[-1] - 1) // 2
    kernel = taps.to(x.dtype).expand(channels, 1, -1, -1)  # [C, 1, K, K]
    if up:
        return functional.conv_transpose2d(
            x, 4 * kernel, stride=2, padding=padding, groups=channels
        )
    return functional.conv2d(x, kernel, stride=2, padding=padding, groups=channels)


class Conv(nn.Module):
    """A convolution that keeps sizes, after a resampling or, `fused`, before one."""

    resample_filter: Tensor

    def __init__(
        self, inputs: int, outputs: int, side: int, *, resample: str = "",
        taps: tuple[int, ...] = (1, 1), fused: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.padding, self.resample, self.fused = side // 2, resample, fused
        self.weight = nn.Parameter(torch.empty(outputs, inputs, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_uniform_(self.weight)
        if resample:
            line = torch.tensor(taps, dtype=torch.float32)
            self.register_buffer(
                "resample_filter", (torch.outer(line, line) / line.sum() ** 2)[None, None]
            )

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H', W'], the sides as the resampling leaves them."""
        if self.fused:  # the convolution on a larger frame, then the smoothed halving
            spare = (self.resample_filter.shape[-1] - 1) // 2
            # [N, outputs, H + 2 spare, W + 2 spare].
            x = functional.conv2d(x, self.weight, padding=self.padding + spare)
            kernel = self.resample_filter.to(x.dtype).expand(x.shape[1], 1, -1, -1)
            # [N, outputs, H / 2, W / 2].
            x = functional.conv2d(x, kernel, stride=2, groups=x.shape[1])
            return x + self.bias[:, None, None]
        if self.resample:
            x = resampled(x, self.resample_filter, up=self.resample == "up")
        return functional.conv2d(x, self.weight, self.bias, padding=self.padding)


def group_norm(channels: int, epsilon: float) -> nn.GroupNorm:
    """At most 32 groups of at least 4 channels."""
    return nn.GroupNorm(min(32, channels // 4), channels, eps=epsilon)


@dataclass(frozen=True)
class _Style:
    """In what the blocks of the two backbones differ."""

    embedding: int
    dropout: float
    epsilon: float
    adaptive: bool  # scale and shift after the second norm; else a shift before it
    skip_scale: float
    always_skip: bool  # a convolution in every resampling skip
    head_width: int  # 0: one head
    taps: tuple[int, ...]


class Block(nn.Module):
    """The residual block of both backbones, with attention or a resampling."""

    def __init__(
        self, inputs: int, outputs: int, style: _Style, *, resample: str = "",
        attention: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inputs, self.style = inputs, style
        self.norm0 = group_norm(inputs, style.epsilon)
        self.conv0 = Conv(inputs, outputs, 3, resample=resample, taps=style.taps)
        self.affine = nn.Linear(style.embedding, 2 * outputs if style.adaptive else outputs)
        self.norm1 = group_norm(outputs, style.epsilon)
        self.conv1 = Conv(outputs, outputs, 3)
        self.skip: nn.Module | None = None
        if inputs != outputs or (resample and style.always_skip):
            self.skip = Conv(inputs, outputs, 1, resample=resample, taps=style.taps)
        elif resample:
            self.skip = Resample(style.taps, up=resample == "up")
        self.heads = 0
        if attention:  # below the width of one head the Dhariwal backbone leaves it out
            self.heads = outputs // style.head_width if style.head_width else 1
        if self.heads:
            self.norm2 = group_norm(outputs, style.epsilon)
            self.qkv = Conv(outputs, 3 * outputs, 1)
            self.proj = Conv(outputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """[N, inputs, H, W] and an embedding [N, E] or [1, E] -> [N, outputs, H', W'], the sides as
        the resampling leaves them."""
        style = self.style
        h = self.conv0(functional.silu(self.norm0(x)))  # [N, outputs, H', W']
        # [N, outputs, 1, 1], or [N, 2 outputs, 1, 1] for scale and shift.
        condition = self.affine(embedding)[:, :, None, None].to(x.dtype)
        if style.adaptive:
            scale, shift = condition.chunk(2, dim=1)  # [N, outputs, 1, 1] each
            h = functional.silu(self.norm1(h) * (1 + scale) + shift)
        else:
            h = functional.silu(self.norm1(h + condition))
        h = self.conv1(functional.dropout(h, style.dropout, self.training))
        x = (h + (x if self.skip is None else self.skip(x))) * style.skip_scale
        if self.heads:
            x = (x + self.proj(self._attended(self.qkv(self.norm2(x))))) * style.skip_scale
        return x

    def _attended(self, qkv: Tensor) -> Tensor:
        """[N, 3 C, H, W] -> [N, C, H, W]. The channels of qkv are ordered (head, width, 3): neither
        of ADM's two orders. Logits and softmax are float32, as officially, whatever the dtype."""
        count, channels, height, width = qkv.shape
        if qkv.dtype.itemsize < 4:  # torch's fused attention, which stores no logits
            parts = qkv.unflatten(1, (self.heads, -1, 3)).flatten(4)  # [N, heads, d, 3, HW]
            # [N, heads, HW, d] each.
            q, k, v = (part.transpose(2, 3).contiguous() for part in parts.unbind(3))
            mixed = functional.scaled_dot_product_attention(q, k, v)
            return mixed.transpose(2, 3).reshape(count, -1, height, width)
        split = qkv.view(count * self.heads, channels // (3 * self.heads), 3, -1)
        q, k, v = split.unbind(2)  # [N heads, d, HW] each
        # [N heads, HW of q, HW of k].
        scores = torch.bmm(q.transpose(1, 2).float(), k.float() / math.sqrt(k.shape[1]))
        weights = torch.softmax(scores, dim=2).to(v.dtype)
        return torch.bmm(v, weights.transpose(1, 2)).view(count, -1, height, width)


def sinusoids(noise: Tensor, channels: int, *, endpoint: bool) -> Tensor:
    """Cosines, then sines float32 [N, channels] of noise labels [N]; endpoint: the last frequency
    is 1/10000 itself."""
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float32, device=noise.device)
    exponents = exponents / (half - (1 if endpoint else 0))
    angles = noise[:, None].float() * (1 / 10_000) ** exponents  # [N, half], in radians
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class Fourier(nn.Module):
    """Random frequencies, fixed."""

    freqs: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("freqs", nn.init.normal_(torch.empty(channels // 2), std=16))

    def forward(self, noise: Tensor) -> Tensor:
        """Noise labels [N] -> [N, channels], cosines first."""
        angles = noise[:, None] * (2 * math.pi * self.freqs.to(noise.dtype))  # [N, channels / 2]
        return torch.cat([angles.cos(), angles.sin()], dim=1)


class _Backbone(nn.Module):
    """The way down and up that both backbones share; they differ in style and embeddings."""

    def __init__(self, config: EDMConfig, style: _Style, *, song: bool) -> None:
        super().__init__()
        self.config, self.song = config, song
        self.enc, skips, width = nn.ModuleDict(), list[int](), config.img_channels
        aux = config.img_channels
        last = len(config.channel_mult) - 1
        for level, multiple in enumerate(config.channel_mult):
            side, out = config.img_resolution >> level, multiple * config.model_channels
            name = f"{side}x{side}"
            if level == 0:
                first = config.model_channels if song else out
                self.enc[f"{name}_conv"] = Conv(width, first, 3)
                width = first
            else:
                self.enc[f"{name}_down"] = Block(width, width, style, resample="down")
                if config.encoder_type == "residual":
                    self.enc[f"{name}_aux_residual"] = Conv(
                        aux, width, 3, resample="down", taps=config.resample_filter, fused=True
                    )
                    aux = width
            skips.append(width)
            for number in range(config.num_blocks):
                attention = side in config.attn_resolutions
                self.enc[f"{name}_block{number}"] = Block(width, out, style, attention=attention)
                width = out
                skips.append(width)
        self.dec = nn.ModuleDict()
        for level, multiple in reversed(list(enumerate(config.channel_mult))):
            side, out = config.img_resolution >> level, multiple * config.model_channels
            name = f"{side}x{side}"
            if level == last:
                self.dec[f"{name}_in0"] = Block(width, width, style, attention=True)
                self.dec[f"{name}_in1"] = Block(width, width, style)
            else:
                self.dec[f"{name}_up"] = Block(width, width, style, resample="up")
            for number in range(config.num_blocks + 1):
                inside = side in config.attn_resolutions
                attention = inside and (not song or number == config.num_blocks)
                self.dec[f"{name}_block{number}"] = Block(
                    width + skips.pop(), out, style, attention=attention
                )
                width = out
        self.width = width
        if song:
            name = f"{config.img_resolution}x{config.img_resolution}"
            self.dec[f"{name}_aux_norm"] = group_norm(width, style.epsilon)
            self.dec[f"{name}_aux_conv"] = Conv(width, config.img_channels, 3)

    def walked(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Down and up again: [N, img_channels, R, R], embedding [N, E] or [1, E] ->
        [N, width, R, R]."""
        skips: list[Tensor] = []
        aux = x
        for name, layer in self.enc.items():
            if name.endswith("_aux_residual"):
                x = skips[-1] = aux = (x + layer(aux)) / math.sqrt(2)
                continue
            x = layer(x, embedding) if isinstance(layer, Block) else layer(x)
            skips.append(x)
        for layer in self.dec.values():
            if not isinstance(layer, Block):
                continue
            if x.shape[1] != layer.inputs:
                x = torch.cat([x, skips.pop()], dim=1)  # [N, the block's inputs, side, side]
            x = layer(x, embedding)
        return x


class DhariwalUNet(_Backbone):
    """ADM's UNet as EDM writes it."""

    def __init__(self, config: EDMConfig) -> None:
        embedding = config.model_channels * config.channel_mult_emb
        style = _Style(embedding, config.dropout, 1e-5, True, 1.0, False, _HEAD_WIDTH, (1, 1))
        super().__init__(config, style, song=False)
        base = config.model_channels
        if config.augment_dim:
            self.map_augment = nn.Linear(config.augment_dim, base, bias=False)
        self.map_layer0 = nn.Linear(base, embedding)
        self.map_layer1 = nn.Linear(embedding, embedding)
        if config.label_dim:
            self.map_label = nn.Linear(config.label_dim, embedding, bias=False)
        self.out_norm = group_norm(self.width, style.epsilon)
        self.out_conv = Conv(self.width, config.img_channels, 3)

    def forward(
        self, x: Tensor, noise: Tensor, labels: Tensor | None, augment: Tensor | None = None
    ) -> Tensor:
        """Scaled images [N, C, R, R], noise labels [N], one-hot labels float [N, label_dim] (when
        there are classes), augmentations [N, augment_dim] or none -> [N, C, R, R].

        One row for all images will do: [1] and [1, label_dim].
        """
        # [N, model_channels].
        embedding = sinusoids(noise, self.config.model_channels, endpoint=False)
        if self.config.augment_dim and augment is not None:
            embedding = embedding + self.map_augment(augment)
        embedding = self.map_layer1(functional.silu(self.map_layer0(embedding)))  # [N, E]
        if self.config.label_dim:
            assert labels is not None
            embedding = embedding + self.map_label(labels)
        x = self.walked(x, functional.silu(embedding))  # [N, width, R, R]
        return self.out_conv(functional.silu(self.out_norm(x)))


class SongUNet(_Backbone):
    """DDPM++ and NCSN++ (Song et al., arXiv:2011.13456) as EDM writes them."""

    def __init__(self, config: EDMConfig) -> None:
        embedding = config.model_channels * config.channel_mult_emb
        style = _Style(embedding, config.dropout, 1e-6, False, math.sqrt(0.5), True, 0,
                       config.resample_filter)  # fmt: skip
        super().__init__(config, style, song=True)
        noise = config.model_channels * config.channel_mult_noise
        self.noise_channels = noise
        if config.embedding_type == "fourier":
            self.map_noise = Fourier(noise)
        if config.label_dim:
            self.map_label = nn.Linear(config.label_dim, noise)
        if config.augment_dim:
            self.map_augment = nn.Linear(config.augment_dim, noise, bias=False)
        self.map_layer0 = nn.Linear(noise, embedding)
        self.map_layer1 = nn.Linear(embedding, embedding)

    def forward(
        self, x: Tensor, noise: Tensor, labels: Tensor | None, augment: Tensor | None = None
    ) -> Tensor:
        """As `DhariwalUNet.forward`."""
        if self.config.embedding_type == "fourier":
            embedding = self.map_noise(noise)  # [N, noise_channels]
        else:
            embedding = sinusoids(noise, self.noise_channels, endpoint=True)
        embedding = torch.cat(embedding.chunk(2, dim=1)[::-1], dim=1)  # sines first, here alone
        if self.config.label_dim:
            assert labels is not None
            embedding = embedding + self.map_label(labels * math.sqrt(self.config.label_dim))
        if self.config.augment_dim and augment is not None:
            embedding = embedding + self.map_augment(augment)
        embedding = functional.silu(self.map_layer0(embedding))  # [N, E]
        embedding = functional.silu(self.map_layer1(embedding))
        x = self.walked(x, embedding)  # [N, width, R, R]
        name = f"{self.config.img_resolution}x{self.config.img_resolution}"
        x = functional.silu(self.dec[f"{name}_aux_norm"](x))
        return self.dec[f"{name}_aux_conv"](x)


class EDM(nn.Module):
    """The denoiser D(x; sigma) = c_skip x + c_out F(c_in x; c_noise), equation 7 of EDM."""

    def __init__(self, config: EDMConfig) -> None:
        super().__init__()
        self.config = config
        kind = DhariwalUNet if config.model_type == "DhariwalUNet" else SongUNet
        self.model = kind(config)

    @property
    def dtype(self) -> torch.dtype:
        """Of the convolutions."""
        return next(self.model.enc.parameters()).dtype

    def convolutions_to(self, dtype: torch.dtype) -> None:
        """Bring the convolutions and norms to a dtype once, as the official use_fp16 does anew in
        every call; embeddings, logits of attention and the preconditioning stay float32."""
        for module in self.model.modules():
            if isinstance(module, Conv | Resample | nn.GroupNorm):
                module.to(dtype)

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noisy images float [N, 3, R, R], noise levels [N] or [1], one-hot labels [N, label_dim]
        (None: no class) -> denoised images float32 [N, 3, R, R] in about [-1, 1]."""
        x = x.float()
        sigma = sigma.float().reshape(-1, 1, 1, 1)  # [N, 1, 1, 1] or [1, 1, 1, 1]
        data = self.config.sigma_data
        if self.config.label_dim:
            empty = torch.zeros(1, self.config.label_dim, device=x.device)
            labels = empty if labels is None else labels.float()
        else:
            labels = None
        total = (sigma**2 + data**2).sqrt()
        noise = (sigma.log() / 4).flatten()  # [N] or [1]
        raw = self.model((x / total).to(self.dtype), noise, labels)
        return data**2 / (sigma**2 + data**2) * x + sigma * data / total * raw.float()
