"""Inception, VGG16 and CLIP: torch-fidelity's networks, weights that genbench loads itself.

torch-fidelity unpickles the weight files it is given, and downloads those it is not. Neither
happens here: genbench finds, verifies and safely loads the tensors, checks every key and shape,
and puts them into torch-fidelity's own modules. What it does to images first is one preprocessing
among others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch

from genbench.detectors.fidelity_networks import (
    SPATIAL_CHANNELS,
    Built,
    build_clip,
    build_inception,
    build_vgg16,
)
from genbench.detectors.prepared_detector import PreparedDetector, chosen, input_identity
from genbench.detectors.preprocessing import Preprocessing
from genbench.detectors.published_preprocessing import (
    TORCH_FIDELITY,
    TORCH_FIDELITY_224,
    names_of_size,
    openai_clip,
)
from genbench.errors import GenbenchError
from genbench.runtime.devices import kind_of
from genbench.runtime.digests import file_sha256
from genbench.weights.files import WeightFile, how_to_get, locate, obtain

_OFFLINE = "without it, --detector efficientnet-lite0 works offline (its figures are FD, not FID)"
_TF1_RESIZE = "float32 bilinear as in TensorFlow 1, no antialias"

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
# Pixels of the networks that do not take 224.
_CLIP_PIXELS = {
    "clip-rn50x4": 288, "clip-rn50x16": 384, "clip-rn50x64": 448, "clip-vit-l-14-336px": 336,
}  # fmt: skip
# About, in millions of bytes: of CLIP as its downloads show, of the others four a parameter.
_MEGABYTES = {
    "inception": 96, "vgg16": 553, "clip-rn50": 256, "clip-rn101": 291, "clip-rn50x4": 422,
    "clip-rn50x16": 661, "clip-rn50x64": 1350, "clip-vit-b-32": 354, "clip-vit-b-16": 351,
    "clip-vit-l-14": 933, "clip-vit-l-14-336px": 934,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What is known of one network before its weights are read."""

    summary: str
    layers: Mapping[str, int]
    weight: WeightFile
    own: Callable[[int], Preprocessing]  # of a network that takes so many pixels
    inputs: str = ""  # how identities have called its own ever since; empty: in its words
    build: Callable[[Path, WeightFile, Sequence[str], bool], Built]


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
    """What is missing besides the weights: nothing."""
    return ""


def preprocessings(name: str) -> Sequence[str]:
    """What brings images to the network's size, its own first."""
    pixels = _CLIP_PIXELS.get(name, 299 if name == "inception" else 224)
    own = _kind(name).own(pixels).name
    return (own, *(other for other in names_of_size(pixels) if other != own))


def has_logits_bias(name: str) -> bool:
    """Inception's classifier has one, which ADM's evaluator leaves out."""
    return name == "inception"


def create(
    name: str,
    *,
    layers: Sequence[str],
    weights: Path | None,
    device: torch.device,
    preprocessing: str = "",
    logits_bias: bool = False,
) -> PreparedDetector:
    """The detector for `layers`. Raises GenbenchError when weights are missing or do not fit, or
    make a network of another input size than `preprocessing` ends in."""
    kind = _kind(name)
    path = obtain(kind.weight, weights)
    with torch.random.fork_rng(devices=[]):  # modules draw initial weights that are replaced
        network, pixels = kind.build(path, kind.weight, layers, logits_bias)
    own = kind.own(pixels)
    preprocess = chosen(preprocessing, own)
    if preprocess.size != pixels:
        raise GenbenchError(
            f"{path} holds a network for {pixels} pixels, and preprocessing {preprocess.name} ends "
            f"in {preprocess.size}: leave the preprocessing out, or name other weights"
        )
    identity = {
        "weights_sha256": file_sha256(path),
        **(
            {"input": kind.inputs}
            if preprocess is own and kind.inputs
            else input_identity(preprocess)
        ),
        "dtype": "float32",
        "device": kind_of(device),
        "torch": torch.__version__,
        "torch-fidelity": version("torch-fidelity"),
    }
    if logits_bias and "logits" in layers:
        identity["logits"] = "with the classifier's bias"
    return PreparedDetector(
        name, network.to(device), layers={layer: kind.layers[layer] for layer in layers},
        preprocessing=preprocess, identity=identity, device=device,
    )  # fmt: skip


def _kind(name: str) -> _Kind:
    if name == "inception":
        return _inception_kind()
    if name == "vgg16":
        return _Kind(
            summary="VGG16 fc2 after ReLU, torch-fidelity's default for precision and recall",
            layers={"pool": 4096},
            weight=_weight(
                "vgg16-397923af.pth",
                "https://download.pytorch.org/models/vgg16-397923af.pth",
                "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
                "https://pytorch.org/vision/stable/models/vgg.html",
            ),
            own=lambda pixels: TORCH_FIDELITY_224,
            inputs=f"224x224, {_TF1_RESIZE}, ImageNet mean and deviation",
            build=build_vgg16,
        )
    return _clip_kind(name)


def _inception_kind() -> _Kind:
    filename = "weights-inception-2015-12-05-6726825d.pth"
    releases = "https://github.com/toshas/torch-fidelity/releases"
    return _Kind(
        summary="InceptionV3 of 2015-12-05: the features of FID, sFID and Inception Score",
        layers={"pool": 2048, "spatial": 17 * 17 * SPATIAL_CHANNELS, "logits": 1008},
        weight=_weight(
            filename,
            f"{releases}/download/v0.2.0/{filename}",
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            f"{releases}/tag/v0.2.0",
        ),
        own=lambda pixels: TORCH_FIDELITY,
        inputs=f"299x299, {_TF1_RESIZE}, (x-128)/128",
        build=build_inception,
    )


def _clip_kind(name: str) -> _Kind:
    width, sha256, published = _CLIP[name]
    base = "https://openaipublic.azureedge.net/clip/models"
    return _Kind(
        summary=f"CLIP {published} image embedding",
        layers={"pool": width},
        weight=_weight(
            f"{name}-{sha256}.pt",
            f"{base}/{sha256}/{published}.pt",
            sha256,
            "https://github.com/openai/CLIP",
        ),
        own=openai_clip,
        build=partial(build_clip, name),
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
