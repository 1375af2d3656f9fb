"""A network behind a preprocessing: what genbench's own detectors are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version

import torch
from torch import Tensor

from genbench.detectors.preprocessing import Preprocessing
from genbench.detectors.published_preprocessing import PREPROCESSINGS, find_preprocessing
from genbench.detectors.resizing import prepared

Network = Callable[[Tensor], Mapping[str, Tensor]]


class PreparedDetector:
    """A detector that hands a network its input.

    network: float32 [N, 3, S, S] on `device` -> layer -> float32 [N, width]. layers: those to
    return, with their widths.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        *,
        layers: Mapping[str, int],
        preprocessing: Preprocessing,
        identity: Mapping[str, str],
        device: torch.device,
    ) -> None:
        self.name = name
        self.layers = layers
        self.identity = identity
        self._network, self._preprocessing, self._device = network, preprocessing, device

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """`images`, uint8 [N, 3, H, W] -> layer -> float32 [N, width]."""
        found = self._network(prepared(images, self._preprocessing, self._device))
        return {layer: found[layer] for layer in self.layers}


def chosen(name: str, own: Preprocessing) -> Preprocessing:
    """The preprocessing of that name, or a detector's own: without a name, and for one that does
    the same. Raises UsageError for an unknown name."""
    found = find_preprocessing(name) if name else own
    return own if found == own else found


def input_identity(preprocessing: Preprocessing) -> dict[str, str]:
    """What of an input decides the features. Two names of one preprocessing give one identity, so
    that kept features serve both."""
    same = (item for item in PREPROCESSINGS.values() if item == preprocessing)
    identity = {"input": f"{next(same, preprocessing).name}: {preprocessing}"}
    if preprocessing.resize.library == "Pillow":
        identity["pillow"] = version("pillow")
    return identity
