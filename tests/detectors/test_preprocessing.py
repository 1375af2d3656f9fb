"""What a network is handed under each protocol: the official inputs, and what follows of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity import checked
from parity_cases import open_case
from torch import Tensor
from weight_files import CPU, fails, on_its_own, some_images

from genbench.detectors import efficientnet
from genbench.detectors.published_preprocessing import (
    PREPROCESSINGS,
    find_preprocessing,
    resized_alike,
)
from genbench.detectors.registry import check_choices, create_detector, preprocessings_of
from genbench.detectors.resizing import prepared
from genbench.weights.loading import load_tensors

PARITY = Path(__file__).parents[1] / "parity" / "metrics"
# How many comparisons every file makes, so that none can pass by making none.
CHECKS = {
    "preprocess_images.npz": 0,  # the images of the others
    "preprocess_inception.npz": 12,
    "preprocess_vit.npz": 13,
    "dinov2_tiny.npz": 9,
    "dinov2_tiny_reg.npz": 6,
}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_its_own(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", CHECKS)
def test_official_inputs_and_networks_are_reproduced(name: str) -> None:
    found = list(checked(open_case(PARITY / name)))
    assert [str(check) for check in found if not check.passed] == []
    assert len(found) == CHECKS[name]


def test_a_wrong_input_fails_and_an_unknown_protocol_is_named(tmp_path: Path) -> None:
    case = open_case(PARITY / "preprocess_inception.npz")
    (tmp_path / "images.npz").write_bytes((PARITY / "preprocess_images.npz").read_bytes())
    key = "pytorch_fid/noise_64/last"
    arrays: dict[str, Any] = {**case.arrays, key: case.arrays[key] + np.float32(1e-5)}
    meta = '{"stride": 9, "corner": 8, "protocols": ["pytorch_fid", "tomorrow"], '
    meta += '"images": ["noise_64"]}'
    np.savez(tmp_path / "inputs.npz", **arrays, __meta__=np.array(meta))
    found = checked(open_case(tmp_path / "inputs.npz"))
    assert not next(found).passed
    with pytest.raises(Exception, match="not implemented: tomorrow"):
        next(found)


def by_name(name: str, images: Tensor) -> Tensor:
    return prepared(images, PREPROCESSINGS[name], CPU)


def test_every_input_has_its_size_and_each_row_is_of_its_image_alone() -> None:
    images = some_images(3, 40)[:, :, :, :30]
    for name, preprocessing in PREPROCESSINGS.items():
        if preprocessing.size > 299:
            continue  # only their sizes differ from those of the others
        whole = by_name(name, images)
        assert whole.shape == (3, 3, preprocessing.size, preprocessing.size)
        assert whole.dtype == torch.float32
        assert torch.equal(by_name(name, images[1:2]), whole[1:2]), name
        assert preprocessing.source


def test_what_the_official_codes_are_to_each_other() -> None:
    board = (torch.arange(300)[:, None] // 5 + torch.arange(300) // 5) % 2 * 255
    images = torch.cat((some_images(1, 300), board.to(torch.uint8).expand(1, 3, -1, -1)))
    assert torch.equal(by_name("edm2_dinov2_pil", images), by_name("dgm_dinov2", images))
    assert PREPROCESSINGS["dgm_inception"] == PREPROCESSINGS["pytorch_fid"]
    # Nobody clips the overshoot of EDM2's default; clipped, it is dgm-eval's other way.
    raw, clean = (
        by_name(name, images) for name in ("edm2_dinov2_torch", "dgm_dinov2_clean_resize")
    )
    assert (raw - clean).abs().max() > 0.1
    lowest, highest = clean.amin(dim=(0, 2, 3)), clean.amax(dim=(0, 2, 3))
    clipped = raw.clamp(lowest[:, None, None], highest[:, None, None])
    assert (clipped - clean).abs().max() < 1e-3
    # A square image is cropped alike before and after its resize, another is not.
    square = by_name("cmmd_google", images) - by_name("openai_clip_336", images)
    assert square.abs().max() < 1e-6
    wide = images[..., :250]
    beside = by_name("cmmd_google", wide) - by_name("openai_clip_336", wide)
    assert beside.abs().max() > 0.1


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    fails(lambda: find_preprocessing("cleanfid_clear"), "did you mean cleanfid_clean?")
    fails(
        lambda: check_choices("inception", preprocessing="cleanfid-clean"),
        "did you mean cleanfid_clean?",
    )


def test_a_detector_refuses_what_does_not_end_in_its_size_and_names_those_that_do() -> None:
    fails(
        lambda: create_detector(
            "inception", layers=["pool"], device=CPU, preprocessing="openai_clip_336"
        ),
        "inception does not take preprocessing openai_clip_336", "torch_fidelity, cleanfid_clean",
    )  # fmt: skip
    fails(
        lambda: check_choices(
            "inception", preprocessing="cleanfid_make_resizer_PIL_quantized_bicubic"
        ),
        "does not take",
    )
    fails(lambda: check_choices("vgg16", logits_bias=True), "no choice between logits")
    assert preprocessings_of("clip-vit-l-14-336px")[:2] == ("openai_clip_336", "cmmd_google")
    assert preprocessings_of("dinov2-vit-l-14")[0] == "dgm_dinov2"


def test_the_offline_detector_takes_every_resize_of_others() -> None:
    taken = preprocessings_of("efficientnet-lite0")
    for name, preprocessing in PREPROCESSINGS.items():
        alike = PREPROCESSINGS[resized_alike(name, taken)]
        assert (alike.resize, alike.size) == (preprocessing.resize, 96)
    assert resized_alike("studiogan_InceptionV3_tf_clean", taken) != "lite0_clean", "it clips"
    assert resized_alike("cleanfid_clean", ["lite0_tf1"]) == ""
    images = some_images(2, 160) // 128 * 255  # black and white: bicubic overshoots
    inputs = [prepared(images, PREPROCESSINGS[name], CPU) for name in taken]
    # Float results of Pillow and torch are the same filters, to 0.004 levels.
    assert taken[6:] == ("lite0_pillow_bicubic", "lite0_pillow_bilinear", "lite0_pillow_lanczos")
    for number, one in enumerate(inputs[:6]):
        assert all((one - other).abs().max() > 1e-2 for other in inputs[:number]), taken[number]
    mirrored = efficientnet.prepare(images).flip(2, 3)
    torch.testing.assert_close(mirrored, inputs[0], rtol=0, atol=1e-4)


def test_it_is_the_networks_own_function_of_the_input() -> None:
    """The mirrored network sees a prepared image as the package's own sees it."""
    images = some_images(2, 50)
    path = next(efficientnet.weight("efficientnet-lite0").search[0].glob("*.pth"))
    package = efficientnet.load_network(load_tensors(path))
    with torch.no_grad():
        inputs = prepared(images, PREPROCESSINGS["lite0_tf1"], CPU)
        wanted = package.extract_features(inputs).mean(dim=(2, 3))
    detector = create_detector(
        "efficientnet-lite0", layers=["pool"], device=CPU, preprocessing="lite0_tf1"
    )
    assert "lite0_tf1" in detector.identity["input"]
    found = detector(images)["pool"]
    assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max()
