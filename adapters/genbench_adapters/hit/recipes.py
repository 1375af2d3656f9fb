"""The recipe files that ship with genbench."""

from __future__ import annotations

from pathlib import Path

_NAMES = {32: "fashion-mnist-32.toml", 128: "imagenet-128.toml", 256: "ffhq-256.toml"}

# By the resolution they train at: that of the bundled weights, and the paper's.
RECIPES = {side: Path(__file__).with_name(name) for side, name in _NAMES.items()}
