"""DINOv2 as detectors: the class token of timm's network under the official weights.

The input is 224 pixels, as in FD-DINOv2; preprocessings of other sizes in whole patches are taken
too, and the positions are brought to them as the official hub does.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from genbench.detectors.dinov2_network import build_dinov2
from genbench.detectors.prepared_detector import PreparedDetector, chosen, input_identity
from genbench.detectors.published_preprocessing import DGM_DINOV2, PREPROCESSINGS, names_of_size
from genbench.errors import GenbenchError
from genbench.runtime.devices import kind_of
from genbench.runtime.digests import file_sha256
from genbench.weights.files import WeightFile, how_to_get, locate, obtain
from genbench.weights.loading import load_tensors

_PATCH = 14
# name -> (width, heads, megabytes, SHA-256 of the published file as several projects pin it). The
# variants with registers are left out: their publisher gives no digest.
_MODELS = {
    "dinov2-vit-s-14": (
        384, 6, 88, "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    ),
    "dinov2-vit-b-14": (
        768, 12, 346, "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
    ),
    "dinov2-vit-l-14": (
        1024, 16, 1220, "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    ),
    "dinov2-vit-g-14": (
        1536, 24, 4550, "baf8467e50af277596bbbafa06887c177ee899ab46033649c383577d7e9309d3",
    ),
}  # fmt: skip


def layers(name: str) -> Mapping[str, int]:
    """Layer -> width: the class token alone."""
    return {"pool": _MODELS[name][0]}


def summary(name: str) -> str:
    """One line for people."""
    return f"DINOv2 {name.removeprefix('dinov2-')} class token (LVD-142M)"


def weight(name: str) -> WeightFile:
    """The published weight file, by its official name."""
    _, _, megabytes, sha256 = _MODELS[name]
    model = f"dinov2_vit{name.split('-')[2]}14"
    return WeightFile(
        filename=f"{model}_pretrain.pth",
        url=f"https://dl.fbaipublicfiles.com/dinov2/{model}/{model}_pretrain.pth",
        sha256=sha256,
        published_at="https://github.com/facebookresearch/dinov2",
        alternative="without it, --detector efficientnet-lite0 works offline",
        option="--detector-weights",
        megabytes=megabytes,
    )


def missing(name: str) -> str:
    """What is missing on this machine and how to get it; empty when the detector can be built."""
    lacking = [missing_code(name)] if missing_code(name) else []
    published = weight(name)
    if locate(published, None) is None:
        get = how_to_get(published)
        lacking.append(f"the weights are fetched on first use; by hand: {get}")
    return "; ".join(lacking)


def missing_code(name: str) -> str:
    """Whether timm is missing, and how to get it."""
    if importlib.util.find_spec("timm") is not None:
        return ""
    return "package timm is missing: pip install 'genbench[dinov2]'"


def preprocessings(name: str) -> Sequence[str]:
    """What ends in whole patches, the default first: dgm-eval's, under which FD-DINOv2 was
    published."""
    sizes = sorted({item.size for item in PREPROCESSINGS.values() if item.size % _PATCH == 0})
    fitting = [other for size in sizes for other in names_of_size(size)]
    return (DGM_DINOV2.name, *(other for other in fitting if other != DGM_DINOV2.name))


def has_logits_bias(name: str) -> bool:
    """It has no logits."""
    return False


def create(
    name: str,
    *,
    layers: Sequence[str],
    weights: Path | None,
    device: torch.device,
    preprocessing: str = "",
    logits_bias: bool = False,
) -> PreparedDetector:
    """The detector. weights: the official .pth, or timm's .safetensors of the same model. Raises
    GenbenchError when timm or the weights are missing or do not fit."""
    if lacking := missing_code(name):
        raise GenbenchError(f"detector {name}: {lacking}")
    width, heads, _, _ = _MODELS[name]
    path = obtain(weight(name), weights)
    state = load_tensors(path)
    held = state["cls_token"].shape[-1] if "cls_token" in state else width
    if held != width:
        raise GenbenchError(
            f"{path} holds a network of width {held}, and {name} is of {width}: name its own file"
        )
    preprocess = chosen(preprocessing, DGM_DINOV2)
    size = (preprocess.size, preprocess.size)
    network = build_dinov2(state, heads=heads, size=size, what=f"{name} ({path.name})").to(device)
    identity = {
        "weights_sha256": file_sha256(path),
        **input_identity(preprocess),
        "dtype": "float32",
        "device": kind_of(device),
        "torch": torch.__version__,
        "timm": version("timm"),
    }
    return PreparedDetector(
        name, _class_token(network.forward_features), layers=dict.fromkeys(layers, width),
        preprocessing=preprocess, identity=identity, device=device,
    )  # fmt: skip


def _class_token(tokens: Callable[[Tensor], Tensor]) -> Callable[[Tensor], dict[str, Tensor]]:
    return lambda x: {"pool": tokens(x)[:, 0]}
