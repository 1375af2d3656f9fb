"""torch-fidelity's networks, filled with tensors that genbench loads and checks itself."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from genbench.errors import GenbenchError
from genbench.weights.files import WeightFile, how_to_get, matches
from genbench.weights.loading import load_state_strictly, load_tensors
from genbench.weights.unfilled import unfilled, with_room

SPATIAL_CHANNELS = 7  # of mixed_6/conv; ADM evaluator.py:599
# The blocks of torch-fidelity's Inception in the order of its forward.
_TO_MIXED_6D = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1", "Conv2d_3b_1x1",
    "Conv2d_4a_3x3", "MaxPool_2", "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b",
    "Mixed_6c", "Mixed_6d",
)  # fmt: skip
_TO_POOL = ("Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool")


class InceptionLayers(nn.Module):
    """Layers of torch-fidelity's Inception, of input that is normalised already.

    `pool` is torch-fidelity's "2048" (TensorFlow's pool_3), `logits` its "logits_unbiased" (1008
    classes, no bias) or, with `bias`, its "logits", and `spatial` the first 7 channels of
    mixed_6/conv, 17 x 17 x 7 flattened in TensorFlow's NHWC order as in ADM's evaluator.py:24 and
    :599. Its blocks are run here one by one: its own forward resizes first.
    """

    def __init__(self, extractor: Any, layers: Sequence[str], bias: bool) -> None:
        super().__init__()
        self.extractor = extractor
        self._layers, self._bias = layers, bias
        self._spatial: Tensor | None = None
        if "spatial" in layers:
            extractor.Mixed_6d.branch1x1.register_forward_hook(self._keep_spatial)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """float32 [N, 3, 299, 299] -> layer -> float32 [N, width]; the pass ends where nothing more
        is asked."""
        found: dict[str, Tensor] = {}
        for block in _TO_MIXED_6D:
            x = self.extractor.get_submodule(block)(x)
        if self._spatial is not None:
            found["spatial"], self._spatial = self._spatial, None
        if set(self._layers) == {"spatial"}:
            return found
        for block in _TO_POOL:
            x = self.extractor.get_submodule(block)(x)
        found["pool"] = x.flatten(1)  # [N, 2048, 1, 1] -> [N, 2048]
        if "logits" in self._layers:
            classify = self.extractor.fc
            found["logits"] = (
                classify(found["pool"]) if self._bias else found["pool"].mm(classify.weight.T)
            )
        return found

    def _keep_spatial(self, module: Any, inputs: Any, output: Tensor) -> None:
        first = output[:, :SPATIAL_CHANNELS]
        self._spatial = first.permute(0, 2, 3, 1).reshape(len(output), -1)


class OneLayer(nn.Module):
    """A network that gives one layer, `pool` [N, width]."""

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """float32 [N, 3, S, S] -> the layer."""
        return {"pool": self.network(x)}


class Built(NamedTuple):
    """A network that gives layers, and the pixels of the square that it takes."""

    network: nn.Module
    pixels: int


def build_inception(path: Path, weight: WeightFile, layers: Sequence[str], bias: bool) -> Built:
    """torch-fidelity's Inception for `layers`; the file is a state dict of its class."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Inception(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, state_dict: Mapping[str, Any], **options: Any) -> Any:
            """Skip the empty state that stands in for the file the constructor would unpickle."""
            return super().load_state_dict(state_dict, **options) if state_dict else None

    state = load_tensors(path)
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    extractor = Inception("inception", ["2048"], feature_extractor_weights_path=nothing)
    load_state_strictly(extractor, state, what="torch-fidelity's Inception")
    return Built(InceptionLayers(extractor, layers, bias), extractor.INPUT_IMAGE_SIZE)


def build_vgg16(path: Path, weight: WeightFile, layers: Sequence[str], bias: bool) -> Built:
    """VGG16 up to fc2 after ReLU; the file is torchvision's state dict of vgg16."""
    import torchvision

    state = load_tensors(path)
    with unfilled():
        network = torchvision.models.vgg16(weights=None, init_weights=False)
    network = with_room(network)
    load_state_strictly(network, state, what="torchvision's vgg16")
    for last in (6, 5):  # what follows fc2 and its ReLU: the dropout and the classifier
        del network.classifier[last]
    return Built(OneLayer(network.requires_grad_(False).eval()), 224)


def build_clip(
    name: str, path: Path, weight: WeightFile, layers: Sequence[str], bias: bool
) -> Built:
    """CLIP's image half, its embedding as it comes (CMMD and others bring it to length 1); the file
    is OpenAI's TorchScript archive, or a state dict of it.

    An archive carries code, so it is opened only when it has the published digest.
    """
    from torch_fidelity.feature_extractor_clip import build_model

    state = _archive_state(path, weight) if _is_torchscript(path) else load_tensors(path)
    try:
        network = build_model(dict(state), torch.float32)  # it also checks every key and shape
    except (KeyError, RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GenbenchError(f"{path} does not fit {name} ({reason}); name its own file") from error
    return Built(OneLayer(network.visual), network.visual.input_resolution)


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
