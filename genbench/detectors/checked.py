"""What holds of every call of every detector: checked input, exact kernels, finite features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from genbench.detectors.contract import Detector
from genbench.errors import GenbenchError
from genbench.runtime.arithmetic import FLOAT32, pinned
from genbench.runtime.host_copies import HostCopy, copied_to_host
from genbench.runtime.out_of_memory import is_out_of_memory


class CheckedDetector:
    """A detector whose calls run without gradients and TF32, and whose output is what it promised.

    layers: the layers asked for, in that order, with their widths: the keys of every result.
    Raises GenbenchError when `detector` does not keep the contract or lacks a layer.
    """

    def __init__(self, detector: Detector, *, name: str, layers: Sequence[str]) -> None:
        for attribute in ("layers", "identity"):
            if not isinstance(getattr(detector, attribute, None), Mapping):
                raise GenbenchError(f"detector {name} is broken: `{attribute}` must be a mapping")
        if lacking := [layer for layer in layers if layer not in detector.layers]:
            raise GenbenchError(
                f"detector {name} has no layer {lacking[0]!r}, only {', '.join(detector.layers)}: "
                "leave out the metrics that need it, or choose another detector"
            )
        self.name = name
        self.layers: Mapping[str, int] = {layer: detector.layers[layer] for layer in layers}
        self.identity: Mapping[str, str] = {
            "detector": name,
            **{key: str(value) for key, value in detector.identity.items()},
        }
        self._detector = detector

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features float32 [N, width] a layer, on the CPU, of `images`, uint8 [N, 3, H, W].

        Raises GenbenchError for any other input, for what the detector raises, and for features of
        a wrong shape or that are not finite.
        """
        return self.begin(images).wait()

    def begin(self, images: torch.Tensor) -> BegunFeatures:
        """As a call on `images`, uint8 [N, 3, H, W], but for waiting until a GPU is done. Raises
        GenbenchError likewise."""
        _check_images(images, self.name)
        with torch.inference_mode(), pinned(FLOAT32):
            try:
                found = self._detector(images)
            except (GenbenchError, torch.OutOfMemoryError):
                raise
            except (Exception, SystemExit) as error:  # whatever a stranger's code raises
                if is_out_of_memory(error):
                    raise torch.OutOfMemoryError(str(error)) from error
                raise GenbenchError(
                    f"detector {self.name} failed: {type(error).__name__}: {error}; its code is at "
                    "fault, tell its author"
                ) from error
            if not isinstance(found, Mapping):
                raise GenbenchError(
                    f"detector {self.name} gave a {type(found).__name__}, not features by layer: "
                    "its code is at fault, tell its author"
                )
            copies = {layer: self._copy(found, layer, len(images)) for layer in self.layers}
        return BegunFeatures(self.name, copies)

    def _copy(self, found: Mapping[str, torch.Tensor], layer: str, count: int) -> HostCopy:
        wanted = (count, self.layers[layer])
        features = found.get(layer)
        if features is None or tuple(features.shape) != wanted:
            held = "nothing" if features is None else f"shape {tuple(features.shape)}"
            raise GenbenchError(
                f"detector {self.name} gave {held} for layer {layer!r}, not {wanted}: its code is "
                "at fault, tell its author"
            )
        return copied_to_host(features.to(torch.float32).contiguous())


@dataclass(frozen=True)
class BegunFeatures:
    """Features that a detector was asked for, by layer, on their way."""

    name: str  # of the detector
    copies: Mapping[str, HostCopy]

    @property
    def here(self) -> bool:
        """Whether there is nothing to wait for."""
        return all(copy.pending is None for copy in self.copies.values())

    def wait(self) -> dict[str, torch.Tensor]:
        """Features float32 [N, width] a layer, on the CPU. Raises GenbenchError for those that are
        not finite."""
        return {layer: self._finite(copy.wait(), layer) for layer, copy in self.copies.items()}

    def _finite(self, features: torch.Tensor, layer: str) -> torch.Tensor:
        if not bool(torch.isfinite(features).all()):
            row = int((~torch.isfinite(features)).any(dim=1).nonzero()[0])
            raise GenbenchError(
                f"detector {self.name} gave NaN or infinity in layer {layer!r} for image {row} of "
                "the batch: its weights are damaged or not its own; name another file"
            )
        return features


def _check_images(images: torch.Tensor, name: str) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise GenbenchError(
            f"detector {name} takes uint8 images [N, 3, H, W], not {images.dtype} "
            f"{list(images.shape)}: convert them to 8-bit RGB first"
        )
