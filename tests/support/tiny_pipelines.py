"""Text to image, tiny and with random weights: a Stable Diffusion and a CLIP, as the libraries save
them, with an alphabet for a vocabulary."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

_LETTERS = [*"abcdefghijklmnopqrstuvwxyz"]
_WORDS = [*_LETTERS, *(f"{letter}</w>" for letter in _LETTERS), "<|startoftext|>", "<|endoftext|>"]
_TEXT = {
    "vocab_size": len(_WORDS), "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 8, "eos_token_id": len(_WORDS) - 1,
    "bos_token_id": len(_WORDS) - 2,
}  # fmt: skip


def tiny_vae() -> Any:
    """An autoencoder that enlarges twice."""
    diffusers = _library("diffusers")
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip


def text_to_image(folder: Path) -> Path:
    """A Stable Diffusion of 16 pixels, saved to `folder`/sd."""
    diffusers, transformers = _library("diffusers"), _library("transformers")
    with _seeded():
        tokenizer = _tokenizer(folder)
        text = transformers.CLIPTextConfig(**_TEXT)
        unet = diffusers.UNet2DConditionModel(
            sample_size=8, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4,
            cross_attention_dim=8, attention_head_dim=2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        diffusers.StableDiffusionPipeline(
            vae=tiny_vae(), text_encoder=transformers.CLIPTextModel(text), tokenizer=tokenizer,
            unet=unet, scheduler=diffusers.EulerAncestralDiscreteScheduler(), safety_checker=None,
            feature_extractor=None, requires_safety_checker=False,
        ).save_pretrained(folder / "sd")  # fmt: skip
    return folder / "sd"


def tiny_clip(folder: Path) -> Path:
    """A CLIP that sees 12 pixels and reads 8 tokens, with its processor, saved to `folder`/clip."""
    transformers = _library("transformers")
    with _seeded(3):  # of which cosines of either sign come about
        tokenizer = _tokenizer(folder)
        vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
                  "num_attention_heads": 2, "image_size": 12, "patch_size": 4}  # fmt: skip
        network = transformers.CLIPModel(
            transformers.CLIPConfig(projection_dim=6, text_config=_TEXT, vision_config=vision)
        )
        for part in network.parameters():
            torch.nn.init.normal_(part, std=0.5)
        network.save_pretrained(folder / "clip")
        pictures = transformers.CLIPImageProcessor(size={"shortest_edge": 12}, crop_size=12)
        transformers.CLIPProcessor(pictures, tokenizer).save_pretrained(folder / "clip")
    return folder / "clip"


def _library(name: str) -> Any:
    return importlib.import_module(name)


def _tokenizer(folder: Path) -> Any:
    transformers = _library("transformers")
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({word: number for number, word in enumerate(_WORDS)}))
    merges.write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(str(vocabulary), str(merges), model_max_length=8)


@contextmanager
def _seeded(seed: int = 0) -> Iterator[None]:
    _library("transformers").utils.logging.disable_progress_bar()
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        yield
