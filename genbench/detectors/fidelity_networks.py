"""torch-fidelity's extractor modules, filled with tensors that genbench loads and checks itself."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.runtime.folders import torch_hub_folder
from genbench.weights.files import WeightFile, how_to_get, matches
from genbench.weights.loading import load_state_strictly, load_tensors


def build_inception(path: Path, weight: WeightFile, features: list[str]) -> Any:
    """FeatureExtractorInceptionV3 for `features`; the file is a state dict of that class."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Inception(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, state_dict: Mapping[str, Any], **options: Any) -> Any:
            """Skip the empty state that stands in for the file the constructor would unpickle."""
            return super().load_state_dict(state_dict, **options) if state_dict else None

    state = load_tensors(path)
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    extractor = Inception("inception", features, feature_extractor_weights_path=nothing)
    load_state_strictly(extractor, state, what="torch-fidelity's Inception")
    return extractor


def build_vgg16(path: Path, weight: WeightFile, features: list[str]) -> Any:
    """FeatureExtractorVGG16; the file is torchvision's state dict of vgg16."""
    import torchvision
    from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16

    state = load_tensors(path)
    with torch.device("meta"):  # 138 million initial weights need not be drawn
        network = torchvision.models.vgg16(weights=None, init_weights=False)
    network = network.to_empty(device="cpu")
    load_state_strictly(network, state, what="torchvision's vgg16")
    for last in (6, 5, 4):  # what follows fc2: its ReLU, the dropout and the classifier
        del network.classifier[last]
    return _filled(FeatureExtractorVGG16, "vgg16", features, network)


def build_clip(name: str, path: Path, weight: WeightFile, features: list[str]) -> Any:
    """FeatureExtractorCLIP; the file is OpenAI's TorchScript archive, or a state dict of it.

    An archive carries code, so it is opened only when it has the published digest.
    """
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP, build_model

    state = _archive_state(path, weight) if _is_torchscript(path) else load_tensors(path)
    try:
        network = build_model(dict(state), torch.float32)  # it also checks every key and shape
    except (KeyError, RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GenbenchError(f"{path} does not fit {name} ({reason}); name its own file") from error
    extractor = _filled(FeatureExtractorCLIP, name, features, network)
    extractor.resolution = network.visual.input_resolution
    return extractor


def build_dino(name: str, model: str, path: Path, weight: WeightFile, features: list[str]) -> Any:
    """FeatureExtractorDinoV2 over the official code, which torch.hub must have put on the disk."""
    from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

    state = load_tensors(path)
    os.environ.setdefault("XFORMERS_DISABLED", "1")  # as torch-fidelity does: one set of kernels
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="xFormers is")
            network = torch.hub.load(str(dino_code()), model, source="local", pretrained=False)
    except Exception as error:  # whatever the code in the hub folder raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise GenbenchError(
            f"the DINOv2 code does not load ({reason}): {get_dino_code()}"
        ) from error
    load_state_strictly(network, state, what=name)
    return _filled(FeatureExtractorDinoV2, name, features, network)


def dino_code() -> Path:
    """The folder into which torch.hub clones the official code of DINOv2."""
    return torch_hub_folder() / "facebookresearch_dinov2_main"


def get_dino_code() -> str:
    """How to get the code, for error lines."""
    return (
        f"put a clone of https://github.com/facebookresearch/dinov2 at {dino_code()} (online, "
        "torch.hub.load('facebookresearch/dinov2', 'dinov2_vits14', pretrained=False) does so)"
    )


def dino_code_digest() -> str:
    """SHA-256 (hex) of the Python sources of the DINOv2 code, names and contents."""
    folder = dino_code()
    total = hashlib.sha256()
    for path in [folder / "hubconf.py", *sorted((folder / "dinov2").rglob("*.py"))]:
        content = path.read_bytes()
        total.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


def _filled(kind: Any, name: str, features: list[str], network: Any) -> Any:
    """An extractor whose constructor, which would download or unpickle weights, was not run."""
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    extractor = kind.__new__(kind)
    FeatureExtractorBase.__init__(extractor, name, features)
    extractor.feature_extractor_internal_dtype = torch.float32
    extractor.model = network
    return extractor.to(torch.float32).requires_grad_(False).eval()


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(entry.endswith("/constants.pkl") for entry in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _archive_state(path: Path, weight: WeightFile) -> Mapping[str, Tensor]:
    if not matches(weight, path):
        raise GenbenchError(
            f"{path} is a TorchScript archive, which carries code, and not the published "
            f"{weight.filename}: it is refused; {how_to_get(weight)}"
        )
    with warnings.catch_warnings():  # torch.jit.load is deprecated; OpenAI publishes nothing else
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        archive = torch.jit.load(path, map_location="cpu")
    state: Mapping[str, Tensor] = archive.state_dict()
    return state
