"""Stored latents as an image set: decoded as they are read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.images.autoencoders import AutoencoderFolder, find_autoencoder
from genbench.images.rounding import to_uint8
from genbench.images.sets import ImageSet
from genbench.runtime.digests import file_sha256

_AT_ONCE = 8  # latents decoded together: a fixed number, since it moves last bits


class LatentImages(ImageSet):
    """Images of latents float [N, C, h, w] in an .npz or .safetensors file, in memory."""

    def __init__(self, path: Path, folder: AutoencoderFolder, device: torch.device) -> None:
        self._path, self._folder = path, folder
        self._latents, self._device = _latents_of(path), device
        self._decoder = folder.load(device, torch.float32)
        height, width = self._block(0).shape[2:]
        self.size = (int(height), int(width))
        self.name = f"{path.name} decoded by {folder.path.name} {folder.digest[:12]}"

    def __len__(self) -> int:
        return len(self._latents)

    def read(self, start: int, stop: int) -> Tensor:
        """As `ImageSet.read`; whole blocks are decoded: an image is always the same bits."""
        first = start // _AT_ONCE
        blocks = [self._block(index) for index in range(first, -(-stop // _AT_ONCE))]
        if not blocks:
            return torch.empty((0, 3, *self.size), dtype=torch.uint8)
        offset = first * _AT_ONCE
        return torch.cat(blocks)[start - offset : stop - offset].contiguous()

    def _block(self, index: int) -> Tensor:
        latents = self._latents[index * _AT_ONCE : (index + 1) * _AT_ONCE].float()
        return to_uint8(self._decoder(latents), rounding="nearest").cpu()

    def content_digest(self) -> str:
        """Digest of the file and of all that decodes it: weights, scaling, arithmetic."""
        folder = self._folder
        told = f"{file_sha256(self._path)} {folder.digest} {folder.scaling} {folder.shift} float32"
        return hashlib.sha256(f"latents {told} {_AT_ONCE} {self._device.type}".encode()).hexdigest()


def _latents_of(path: Path) -> Tensor:
    if not path.is_file():
        raise UsageError(f"there is no file {path}: --decode takes latents in .npz or .safetensors")
    if path.suffix not in (".safetensors", ".npz"):
        raise UsageError(f"{path}: --decode takes latents in .npz or .safetensors")
    try:
        held = _npz(path) if path.suffix == ".npz" else load_file(path)
    except Exception as error:  # zipfile, zlib, numpy and safetensors each raise their own
        raise GenbenchError(f"{path} is damaged ({error}): write it again") from error
    fitting = [value for value in held.values() if value.ndim == 4 and value.is_floating_point()]
    if len(fitting) != 1 or not len(fitting[0]):
        raise GenbenchError(
            f"{path} holds {len(fitting)} arrays of latents: save one, float [N, C, h, w]"
        )
    return fitting[0]


def _npz(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return {
        name: torch.from_numpy(value) for name, value in arrays.items() if value.dtype.kind == "f"
    }


def open_latents(spec: str, decode: str, device: torch.device) -> LatentImages:
    """Stored latents, decoded by what --decode names. Raises GenbenchError or UsageError."""
    return LatentImages(Path(spec), find_autoencoder(decode), device)
