"""Latents to images by an AutoencoderKL of diffusers, as it was saved."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import GenbenchError, UsageError
from genbench.runtime.digests import file_sha256

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LEVELS = 16  # of an autoencoder at most: one more would double the sides once more
_KIND = "vae:"


@dataclass(frozen=True)
class AutoencoderFolder:
    """A saved autoencoder. digest: SHA-256 (hex) of its configuration and weights. A latent is
    decoded as latent / scaling + shift. enlarging: pixels a side of one latent."""

    path: Path
    digest: str
    scaling: float
    shift: float
    enlarging: int

    @property
    def text(self) -> str:
        """As --decode takes it, with all that decides the images."""
        shift = f",shift={self.shift:g}" if self.shift else ""
        return f"{_KIND}{self.path}#sha256={self.digest},scaling={self.scaling:g}{shift}"

    def load(self, device: torch.device, dtype: torch.dtype) -> Decoder:
        """The decoder on a device. Raises GenbenchError for weights that do not fit."""
        import diffusers

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kind: Any = diffusers.AutoencoderKL
                network = kind.from_pretrained(
                    self.path, torch_dtype=dtype, use_safetensors=True, local_files_only=True
                )
        except Exception as error:  # the library raises all kinds
            told = " ".join(str(error).split())[:200]
            raise GenbenchError(
                f"{self.path} cannot be loaded as an AutoencoderKL: {told}"
            ) from error
        return Decoder(self, network.to(device).eval())


class Decoder:
    """A loaded autoencoder. channels: of the latents that it takes."""

    def __init__(self, folder: AutoencoderFolder, network: Any) -> None:
        self._folder, self._network = folder, network
        self.channels = int(network.config.latent_channels)

    def __call__(self, latents: Tensor) -> Tensor:
        """Float [N, C, h, w] -> float [N, 3, H, W], about -1 … 1. Raises GenbenchError for another
        number of channels."""
        import torch

        if latents.ndim != 4 or latents.shape[1] != self.channels:
            raise GenbenchError(
                f"latents {list(latents.shape)} do not fit {self._folder.path}, which decodes "
                f"[N, {self.channels}, h, w]: name the autoencoder that they were made with"
            )
        weights = next(self._network.parameters())
        scaled = latents.to(weights.device, weights.dtype) / self._folder.scaling
        with torch.inference_mode():
            images: Tensor = self._network.decode(scaled + self._folder.shift).sample
        return images


def find_autoencoder(text: str) -> AutoencoderFolder:
    """What --decode names: "vae:FOLDER", of `save_pretrained`; nothing is loaded.

    "#sha256=…" after it, as records have it, is compared. Raises UsageError for another form or a
    folder that holds none, GenbenchError where diffusers is missing or the digest is another.
    """
    from importlib.util import find_spec

    if not find_spec("diffusers"):
        raise GenbenchError("--decode needs diffusers: pip install 'genbench[diffusers]'")
    named, _, wanted = text.removeprefix(_KIND).partition("#sha256=")
    path = Path(named).expanduser()
    if not text.startswith(_KIND):
        raise UsageError(f"--decode {text}: write vae:FOLDER")
    files = [path / "config.json", *sorted(path.glob("*.safetensors"))]
    if len(files) < 2 or not files[0].is_file():
        raise UsageError(
            f"--decode {path} holds no config.json with .safetensors beside it: name the folder of "
            "an AutoencoderKL, as a pipeline's vae/"
        )
    config = _read(files[0])
    if config.get("_class_name") != "AutoencoderKL":
        raise UsageError(f"{path} is a {config.get('_class_name')}, not an AutoencoderKL")
    scaling, shift = (_number(config, key, files[0]) for key in ("scaling_factor", "shift_factor"))
    if scaling == 0:
        raise GenbenchError(f"{files[0]} has a scaling_factor of 0: fetch it again")
    told = "".join(f"{file.name} {file_sha256(file)}\n" for file in files)
    digest = hashlib.sha256(told.encode()).hexdigest()
    if wanted and wanted.split(",")[0] != digest:
        raise GenbenchError(
            f"{path} is not the autoencoder on record: its digest is {digest[:16]}…"
        )
    return AutoencoderFolder(
        path,
        digest,
        1.0 if scaling is None else scaling,
        0.0 if shift is None else shift,
        _enlarging(config, files[0]),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise GenbenchError(f"{path} cannot be read ({error}): fetch it again") from error
    if not isinstance(config, dict):
        raise GenbenchError(f"{path} holds no configuration: fetch it again")
    return config


def _enlarging(config: dict[str, Any], path: Path) -> int:
    """How many times as large as its latent an image's side is."""
    widths = config.get("block_out_channels") or [0]
    if not isinstance(widths, list) or len(widths) > _LEVELS:
        raise GenbenchError(f"{path} has block_out_channels that are none: fetch it again")
    return 1 << (len(widths) - 1)


def _number(config: dict[str, Any], name: str, path: Path) -> float | None:
    """A number of a configuration; None where it has none."""
    value = config.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or not abs(value) < math.inf:
        raise GenbenchError(f"{path} has a {name} that is no number: fetch it again")
    return float(value)
