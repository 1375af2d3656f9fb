"""DINOv2 by timm: the official weights and timm's alike, checked against a plain forward pass."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from weight_files import CPU, fails, on_its_own, some_images

from genbench.detectors import dinov2
from genbench.detectors.contract import Detector
from genbench.detectors.dinov2_network import build_dinov2
from genbench.detectors.published_preprocessing import DGM_DINOV2
from genbench.detectors.registry import create_detector, detector_status
from genbench.detectors.resizing import prepared

WIDTH, HEADS, DEPTH = 12, 2, 2


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_its_own(tmp_path, monkeypatch)


def official(*, gated: bool = False, registers: int = 0, side: int = 16) -> dict[str, Tensor]:
    """A state dict of the official form, of random tensors; a table of side x side patches."""
    hidden = 24
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, WIDTH),
        "pos_embed": (1, side * side + 1, WIDTH),
        "mask_token": (1, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, 14, 14),
        "patch_embed.proj.bias": (WIDTH,),
        "norm.weight": (WIDTH,),
        "norm.bias": (WIDTH,),
    }
    if registers:
        shapes["register_tokens"] = (1, registers, WIDTH)
    first, second = ("w12", "w3") if gated else ("fc1", "fc2")
    for block in range(DEPTH):
        parts = {
            "norm1": (WIDTH,), "norm2": (WIDTH,), "attn.qkv": (3 * WIDTH, WIDTH),
            "attn.proj": (WIDTH, WIDTH), f"mlp.{first}": (hidden * (1 + gated), WIDTH),
            f"mlp.{second}": (WIDTH, hidden),
        }  # fmt: skip
        for part, shape in parts.items():
            shapes[f"blocks.{block}.{part}.weight"] = shape
            shapes[f"blocks.{block}.{part}.bias"] = shape[:1]
        shapes[f"blocks.{block}.ls1.gamma"] = shapes[f"blocks.{block}.ls2.gamma"] = (WIDTH,)
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.randn(shape, generator=generator) * (0.05 if "embed.proj" in key else 0.5)
        for key, shape in shapes.items()
    }


def plain(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The class token by the formulas alone, for inputs of the table's own size."""

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (WIDTH,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    weight, bias = state["patch_embed.proj.weight"], state["patch_embed.proj.bias"]
    patches = F.conv2d(x, weight, bias, stride=14).flatten(2).mT
    x = torch.cat((state["cls_token"].expand(len(x), -1, -1), patches), dim=1) + state["pos_embed"]
    if "register_tokens" in state:
        registers = state["register_tokens"].expand(len(x), -1, -1)
        x = torch.cat((x[:, :1], registers, x[:, 1:]), dim=1)
    for block in (f"blocks.{number}" for number in range(DEPTH)):
        both = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv")
        q, k, v = both.unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.mT / (WIDTH / HEADS) ** 0.5).softmax(dim=-1)
        attended = linear((weights @ v).transpose(1, 2).flatten(2), f"{block}.attn.proj")
        x = x + state[f"{block}.ls1.gamma"] * attended
        inner = norm(x, f"{block}.norm2")
        if f"{block}.mlp.w12.weight" in state:
            gate, value = linear(inner, f"{block}.mlp.w12").chunk(2, dim=-1)
            inner = linear(F.silu(gate) * value, f"{block}.mlp.w3")
        else:
            inner = linear(F.gelu(linear(inner, f"{block}.mlp.fc1")), f"{block}.mlp.fc2")
        x = x + state[f"{block}.ls2.gamma"] * inner
    return norm(x, "norm")[:, 0]


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("registers", [0, 4])
def test_the_network_is_the_formulas(gated: bool, registers: int) -> None:
    state = official(gated=gated, registers=registers)
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    network = build_dinov2(state, heads=HEADS, size=(224, 224))
    found = network.forward_features(x)[:, 0]
    torch.testing.assert_close(found, plain(state, x), rtol=1e-4, atol=1e-4)


def in_timms_form(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file that timm publishes of the same model: its names, nothing of the training."""
    renamed = {key: value for key, value in state.items() if key != "mask_token"}
    return {key.replace("w12", "fc1").replace("w3", "fc2"): v for key, v in renamed.items()}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """dinov2-vit-s-14 of a tiny width."""
    monkeypatch.setitem(dinov2._MODELS, "dinov2-vit-s-14", (WIDTH, HEADS, 1, "0" * 64))


def create(weights: Path, preprocessing: str = "") -> Detector:
    return create_detector(
        "dinov2-vit-s-14", layers=["pool"], weights=weights, device=CPU,
        preprocessing=preprocessing,
    )  # fmt: skip


@pytest.mark.usefixtures("tiny")
def test_the_official_file_and_timms_give_the_same_features(tmp_path: Path) -> None:
    state = official(gated=True)
    torch.save(state, tmp_path / "official.pth")
    save_file(in_timms_form(state), tmp_path / "timm.safetensors")
    images = some_images(2, 50)
    detector = create(tmp_path / "official.pth")
    found = detector(images)["pool"]
    assert torch.equal(create(tmp_path / "timm.safetensors")(images)["pool"], found)
    wanted = plain(state, prepared(images, DGM_DINOV2, CPU))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert "dgm_dinov2" in detector.identity["input"]
    assert {"timm", "pillow"} <= set(detector.identity)
    other = create(tmp_path / "official.pth", "openai_clip_336")
    assert (other(images)["pool"] - found).abs().max() > 1e-3, "24 x 24 patches of another scaling"


@pytest.mark.usefixtures("tiny")
def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = official()
    path = tmp_path / "net.pth"

    def refused(changed: dict[str, Tensor], *words: str) -> None:
        torch.save(changed, path)
        fails(lambda: create(path), "net.pth", *words)

    refused({"fc.weight": torch.ones(2)}, "cls_token is missing", "name its own file")
    refused({**state, "cls_token": torch.ones(1, 1, 48)}, "width 48, and dinov2-vit-s-14 is of 12")
    refused({**state, "strange": torch.ones(2)}, "1 unexpected (strange)")
    refused({key: v for key, v in state.items() if key != "norm.bias"}, "missing (norm.bias)")
    refused({**state, "pos_embed": state["pos_embed"][:, :200]}, "no square of patches")


def test_images_in_parts_of_patches_are_refused() -> None:
    fails(
        lambda: build_dinov2(official(), heads=HEADS, size=(224, 225)), "patches of 14", "225x224"
    )


def test_without_timm_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest: None if name == "timm" else find(name, *rest),
    )
    monkeypatch.setitem(sys.modules, "timm", None)
    reason = detector_status("dinov2-vit-l-14").reason
    assert "pip install 'genbench[dinov2]'" in reason
    assert "dinov2_vitl14_pretrain.pth" in reason
    torch.save(official(), tmp_path / "net.pth")
    fails(lambda: create(tmp_path / "net.pth"), "timm is missing", "genbench[dinov2]")
