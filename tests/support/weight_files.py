"""What the tests of weights, downloads and detectors share: a published file, images, errors."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.weights.files import WeightFile

CPU = torch.device("cpu")
CONTENT = bytes(range(256)) * 12_000  # 3 MB: several blocks of a download
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches of this test alone, and no proxy between it and the loopback."""
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def on_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty caches, and no network."""
    empty_caches(tmp_path, monkeypatch)

    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "create_connection", refuse)


def published(url: str, **changes: Any) -> WeightFile:
    values: dict[str, Any] = {
        "filename": "net.pth",
        "url": url,
        "sha256": DIGEST,
        "published_at": "https://example.org/net",
        "alternative": "without it, --detector other works",
        "option": "--detector-weights",
    }
    return WeightFile(**{**values, **changes})


def fails(call: Callable[[], object], *words: str) -> str:
    with pytest.raises(GenbenchError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def some_images(count: int, size: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)


def save_random_inception(folder: Path) -> Path:
    """Random weights of torch-fidelity's Inception, scaled so that no activation dies away."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Unfilled(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *arguments: Any, **options: Any) -> None:
            """Leave the initial weights."""

    torch.save({}, folder / "none.pth")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = Unfilled("x", ["2048"], str(folder / "none.pth")).state_dict()
    for key, value in state.items():
        if key.endswith("conv.weight"):
            value.mul_(6**0.5)  # torch's initial variance is 1 / (3 fan_in), ReLU wants 2 / fan_in
    torch.save(state, folder / "inception.pth")
    return folder / "inception.pth"
