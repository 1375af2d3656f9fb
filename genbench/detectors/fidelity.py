"""torch-fidelity's extractors as detectors: its forward passes, weights that genbench loads itself.

torch-fidelity unpickles the weight files it is given, and downloads those it is not. Neither
happens here: genbench finds, verifies and safely loads the tensors, checks every key and shape,
and puts them into torch-fidelity's own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.detectors.fidelity_networks import (
    build_clip,
    build_dino,
    build_inception,
    build_vgg16,
    dino_code,
    dino_code_digest,
    get_dino_code,
)
from genbench.errors import GenbenchError
from genbench.runtime.digests import file_sha256
from genbench.weights.files import WeightFile, how_to_get, locate, obtain

_OFFLINE = "without it, --detector efficientnet-lite0 works offline (its figures are FD, not FID)"
_TF1_RESIZE = "float32 bilinear as in TensorFlow 1, no antialias"
_SPATIAL_CHANNELS = 7  # of mixed_6/conv; ADM evaluator.py:599

# name -> (features, SHA-256 in torch-fidelity's table and in the address, name at the publisher)
_CLIP = {
    "clip-rn50": (1024, "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762", "RN50"),
    "clip-rn101": (
        512,
        "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599",
        "RN101",
    ),
    "clip-rn50x4": (
        640,
        "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd",
        "RN50x4",
    ),
    "clip-rn50x16": (
        768,
        "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa",
        "RN50x16",
    ),
    "clip-rn50x64": (
        1024,
        "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c",
        "RN50x64",
    ),
    "clip-vit-b-32": (
        512,
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        "ViT-B-32",
    ),
    "clip-vit-b-16": (
        512,
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        "ViT-B-16",
    ),
    "clip-vit-l-14": (
        768,
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        "ViT-L-14",
    ),
    "clip-vit-l-14-336px": (
        768,
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        "ViT-L-14-336px",
    ),
}
# name -> (features, SHA-256 of the published file as several projects pin it)
_DINO = {
    "dinov2-vit-s-14": (384, "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"),
    "dinov2-vit-b-14": (768, "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"),
    "dinov2-vit-l-14": (1024, "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"),
    "dinov2-vit-g-14": (1536, "baf8467e50af277596bbbafa06887c177ee899ab46033649c383577d7e9309d3"),
}
# About, in millions of bytes: of CLIP as its downloads show, of the others four a parameter.
_MEGABYTES = {
    "inception": 96, "vgg16": 553, "clip-rn50": 256, "clip-rn101": 291, "clip-rn50x4": 422,
    "clip-rn50x16": 661, "clip-rn50x64": 1350, "clip-vit-b-32": 354, "clip-vit-b-16": 351,
    "clip-vit-l-14": 933, "clip-vit-l-14-336px": 934, "dinov2-vit-s-14": 88,
    "dinov2-vit-b-14": 346, "dinov2-vit-l-14": 1220, "dinov2-vit-g-14": 4550,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What is known of one extractor before its weights are read."""

    summary: str
    layers: Mapping[str, int]
    features: Mapping[str, str]  # layer -> torch-fidelity's name for it
    weight: WeightFile
    inputs: str
    build: Callable[[Path, WeightFile, list[str]], Any]


def layers(name: str) -> Mapping[str, int]:
    """Layer -> width, all that the detector can give."""
    return _kind(name).layers


def summary(name: str) -> str:
    """One line for people."""
    return _kind(name).summary


def weight(name: str) -> WeightFile:
    """The published weight file, by the name under which torch-fidelity caches it."""
    return replace(_kind(name).weight, megabytes=_MEGABYTES[name])


def missing(name: str) -> str:
    """What is missing on this machine and how to get it; empty when the detector can be built."""
    if lacking := missing_code(name):
        return lacking
    published = weight(name)
    if locate(published, None) is None:
        return f"the weights are fetched on first use; by hand: {how_to_get(published)}"
    return ""


def missing_code(name: str) -> str:
    """What is missing besides the weights, and how to get it; empty when nothing is."""
    if name not in _DINO or (dino_code() / "hubconf.py").is_file():
        return ""
    return f"the code of DINOv2 is missing: {get_dino_code()}"


def create(
    name: str, *, layers: Sequence[str], weights: Path | None, device: torch.device
) -> FidelityDetector:
    """The detector for `layers`. Raises GenbenchError when weights are missing or do not fit."""
    kind = _kind(name)
    if lacking := missing_code(name):
        raise GenbenchError(f"detector {name}: {lacking}")
    path = obtain(kind.weight, weights)
    features = [kind.features[layer] for layer in layers if layer in kind.features]
    with torch.random.fork_rng(devices=[]):  # modules draw initial weights that are replaced
        # Inception's block 768 comes right after the spatial layer: asked for it, the pass ends.
        extractor = kind.build(path, kind.weight, features or ["768"])
    identity = {
        "weights_sha256": file_sha256(path),
        "input": kind.inputs,
        "dtype": "float32",
        "device": device.type,
        "torch": torch.__version__,
        "torch-fidelity": version("torch-fidelity"),
    }
    if name in _DINO:
        identity["code_sha256"] = dino_code_digest()
    widths = {layer: kind.layers[layer] for layer in layers}
    return FidelityDetector(name, extractor.to(device), widths, kind.features, identity, device)


class FidelityDetector:
    """One of torch-fidelity's extractors: `layers` of one forward pass over float32 weights.

    Inception: `pool` is torch-fidelity's "2048" (TensorFlow's pool_3), `logits` its
    "logits_unbiased" (1008 classes, no bias), and `spatial` the first 7 channels of mixed_6/conv,
    17 x 17 x 7 flattened in TensorFlow's NHWC order as in ADM's evaluator.py:24 and :599.
    """

    def __init__(
        self,
        name: str,
        extractor: Any,
        layers: Mapping[str, int],
        features: Mapping[str, str],
        identity: Mapping[str, str],
        device: torch.device,
    ) -> None:
        self.name = name
        self.layers = layers
        self.identity = identity
        self._extractor, self._features, self._device = extractor, features, device
        self._spatial: Tensor | None = None
        if "spatial" in layers:
            extractor.Mixed_6d.branch1x1.register_forward_hook(self._keep_spatial)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """`images`, uint8 [N, 3, H, W] -> layer -> float32 [N, width]."""
        outputs = self._extractor(images.to(self._device))
        found = dict(zip(self._extractor.features_list, outputs, strict=True))
        taken = {layer: found[self._features[layer]] for layer in self.layers if layer != "spatial"}
        if self._spatial is not None:
            taken["spatial"], self._spatial = self._spatial, None
        return taken

    def _keep_spatial(self, module: Any, inputs: Any, output: Tensor) -> None:
        first = output[:, :_SPATIAL_CHANNELS]
        self._spatial = first.permute(0, 2, 3, 1).reshape(len(output), -1)


def _kind(name: str) -> _Kind:
    if name == "inception":
        return _inception_kind()
    if name == "vgg16":
        return _Kind(
            summary="VGG16 fc2 after ReLU, torch-fidelity's default for precision and recall",
            layers={"pool": 4096},
            features={"pool": "fc2_relu"},
            weight=_weight(
                "vgg16-397923af.pth",
                "https://download.pytorch.org/models/vgg16-397923af.pth",
                "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
                "https://pytorch.org/vision/stable/models/vgg.html",
            ),
            inputs=f"224x224, {_TF1_RESIZE}, ImageNet mean and deviation",
            build=build_vgg16,
        )
    return _clip_kind(name) if name in _CLIP else _dino_kind(name)


def _inception_kind() -> _Kind:
    filename = "weights-inception-2015-12-05-6726825d.pth"
    releases = "https://github.com/toshas/torch-fidelity/releases"
    return _Kind(
        summary="InceptionV3 of 2015-12-05: the features of FID, sFID and Inception Score",
        layers={"pool": 2048, "spatial": 17 * 17 * _SPATIAL_CHANNELS, "logits": 1008},
        features={"pool": "2048", "logits": "logits_unbiased"},
        weight=_weight(
            filename,
            f"{releases}/download/v0.2.0/{filename}",
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            f"{releases}/tag/v0.2.0",
        ),
        inputs=f"299x299, {_TF1_RESIZE}, (x-128)/128",
        build=build_inception,
    )


def _clip_kind(name: str) -> _Kind:
    width, sha256, published = _CLIP[name]
    base = "https://openaipublic.azureedge.net/clip/models"
    return _Kind(
        summary=f"CLIP {published} image embedding",
        layers={"pool": width},
        features={"pool": "clip"},
        weight=_weight(
            f"{name}-{sha256}.pt",
            f"{base}/{sha256}/{published}.pt",
            sha256,
            "https://github.com/openai/CLIP",
        ),
        inputs=f"the network's own size, {_TF1_RESIZE}, CLIP mean and deviation",
        build=partial(build_clip, name),
    )


def _dino_kind(name: str) -> _Kind:
    width, sha256 = _DINO[name]
    model = f"dinov2_vit{name.split('-')[2]}14"
    return _Kind(
        summary=f"DINOv2 {name.removeprefix('dinov2-')} class token (LVD-142M)",
        layers={"pool": width},
        features={"pool": "dinov2"},
        weight=_weight(
            f"{model}_pretrain.pth",
            f"https://dl.fbaipublicfiles.com/dinov2/{model}/{model}_pretrain.pth",
            sha256,
            "https://github.com/facebookresearch/dinov2",
        ),
        inputs=f"224x224, {_TF1_RESIZE}, ImageNet mean and deviation",
        build=partial(build_dino, name, model),
    )


def _weight(filename: str, url: str, sha256: str, page: str) -> WeightFile:
    return WeightFile(
        filename=filename,
        url=url,
        sha256=sha256,
        published_at=page,
        alternative=_OFFLINE,
        option="--detector-weights",
    )
