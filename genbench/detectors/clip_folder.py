"""A CLIP of the transformers library from a folder or the Hub: images and texts in one space."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.runtime.devices import kind_of
from genbench.weights.hub_folders import folder_digest, folder_of, read_json

NAME = "clip"  # the detector's, as records have it
_AT_ONCE = 64  # texts of a batch


@dataclass(frozen=True)
class ClipFolder:
    """A saved CLIP. named: as the user did. digest: SHA-256 (hex) of configurations, vocabulary and
    weights."""

    named: str
    path: Path
    digest: str

    @property
    def shown(self) -> str:
        """Its name for people, without folders of this machine."""
        return self.named if not Path(self.named).expanduser().exists() else self.path.name


def find_clip(named: str) -> ClipFolder:
    """The CLIP in a folder of `save_pretrained`, or the Hub's `owner/name@revision`, fetched where
    it is not here; nothing is loaded.

    Raises UsageError for a folder that holds none, GenbenchError where transformers is missing, the
    Hub cannot be reached, or its weights are pickles.
    """
    if not find_spec("transformers"):
        raise GenbenchError("--clip needs transformers: pip install 'genbench[diffusers]'")
    path = folder_of(named, weights=True, what="a CLIP")
    if not (path / "config.json").is_file():
        raise UsageError(f"--clip {named} holds no config.json: name the folder of a saved CLIP")
    kind = read_json(path / "config.json").get("model_type")
    if kind != "clip":
        raise UsageError(f"--clip {named} is a model of type {kind}, not a CLIP with two towers")
    if (
        not (path / "preprocessor_config.json").is_file()
        and not (path / "processor_config.json").is_file()
    ):
        raise UsageError(
            f"--clip {named} does not say how images come to it: save its processor beside it "
            "(transformers: CLIPProcessor.save_pretrained)"
        )
    if not any(path.glob("*.safetensors")):
        raise GenbenchError(
            f"--clip {named} holds no .safetensors: pickled weights are not read; convert them "
            "(transformers: save_pretrained), or name a revision that has them"
        )
    return ClipFolder(named, path, folder_digest(path, pickles=False))


class ClipTowers:
    """A CLIP as a detector, which also embeds texts; both [n, D], as the library projects them,
    before they are scaled to unit length. Images come to it as its own processor says."""

    name = NAME

    def __init__(self, folder: ClipFolder, device: torch.device) -> None:
        import transformers

        self._device = device
        with _quiet():
            try:
                kind: Any = transformers.CLIPModel
                network = kind.from_pretrained(
                    folder.path, use_safetensors=True, local_files_only=True
                )
                processor: Any = transformers.CLIPProcessor.from_pretrained(
                    folder.path, local_files_only=True
                )
            except Exception as error:  # the library raises all kinds
                told = " ".join(str(error).split())[:200]
                raise GenbenchError(f"{folder.path} cannot be loaded as a CLIP: {told}") from error
        self._network = network.float().to(device).eval()
        self._images, self._tokens = processor.image_processor, processor.tokenizer
        self._longest = int(network.config.text_config.max_position_embeddings)
        self.layers = {"pool": int(network.config.projection_dim)}
        self.identity = {
            "weights": folder.shown, "weights_sha256": folder.digest,
            "input": f"{type(self._images).__name__} of the folder", "dtype": "float32",
            "device": kind_of(device), "torch": torch.__version__,
            "transformers": transformers.__version__,
        }  # fmt: skip

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Image embeddings {"pool": float32 [N, D]} of uint8 [N, 3, H, W]."""
        # On the CPU, so that a GPU's network sees the same input.
        with _quiet():
            pixels = self._images(images=list(images.cpu()), return_tensors="pt")["pixel_values"]
        found = self._network.vision_model(pixel_values=pixels.to(self._device)).pooler_output
        return {"pool": self._network.visual_projection(found)}

    def texts(self, prompts: Sequence[str]) -> tuple[Tensor, int]:
        """Text embeddings float32 [M, D] on the CPU, and how many of the texts were cut because
        they are longer than the network reads."""
        whole = self._tokens(list(prompts), verbose=False)["input_ids"]
        with torch.inference_mode():
            parts = [
                self._embedded(prompts[start : start + _AT_ONCE])
                for start in range(0, len(prompts), _AT_ONCE)
            ]
        return torch.cat(parts), sum(len(tokens) > self._longest for tokens in whole)

    def _embedded(self, prompts: Sequence[str]) -> Tensor:
        tokens = self._tokens(
            list(prompts), padding="max_length", truncation=True, max_length=self._longest,
            return_tensors="pt",
        ).to(self._device)  # fmt: skip
        found = self._network.text_model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )
        embedded: Tensor = self._network.text_projection(found.pooler_output)
        return embedded.cpu()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the bars and the advice of the library."""
    import transformers

    logging: Any = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
