"""Detectors by name: the offline network, what every call keeps, and strangers' plug-ins."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from strangers import error_line, genbench
from torch import Tensor
from weight_files import CPU, fails, on_its_own, some_images

from genbench.detectors import dinov2, efficientnet, fidelity
from genbench.detectors.checked import CheckedDetector
from genbench.detectors.contract import Detector, PreparingModule
from genbench.detectors.published_weights import detector_weight
from genbench.detectors.registry import (
    create_detector,
    detector_module,
    detector_names,
    detector_status,
)
from genbench.weights.loading import load_tensors


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_its_own(tmp_path, monkeypatch)


# EfficientNet-Lite0


@pytest.fixture(scope="session")
def lite() -> Detector:
    return create_detector("efficientnet-lite0", layers=["pool", "logits"], device=CPU)


def test_the_folded_network_is_the_packages_own(lite: Detector) -> None:
    path = next(efficientnet.weight("efficientnet-lite0").search[0].glob("*.pth"))
    package = efficientnet.load_network(load_tensors(path))
    images = some_images(3)
    inputs = F.interpolate(
        images.float(), (96, 96), mode="bilinear", align_corners=False, antialias=True
    )
    inputs = (inputs - 127) / 128
    with torch.no_grad():
        pool, logits = package.extract_features(inputs).mean(dim=(2, 3)), package(inputs)
    found = lite(images)
    for ours, theirs in ((found["pool"], pool), (found["logits"], logits)):
        assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


def test_input_is_scaled_and_mirrored_not_shifted() -> None:
    levels = torch.tensor([127, 255, 0], dtype=torch.uint8)
    flat = efficientnet.prepare(levels[:, None, None, None].expand(3, 3, 32, 32))
    for image, value in zip(flat, (0.0, 1.0, -127 / 128), strict=True):
        torch.testing.assert_close(image, torch.full((3, 96, 96), value))
    corner = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    corner[..., 0, 0] = 255
    mirrored = efficientnet.prepare(corner)[0, 0]
    assert mirrored[-1, -1] == 1.0
    assert mirrored[:48, :48].max() < -0.99


def test_rows_do_not_depend_on_their_batch_to_the_last_bit(lite: Detector) -> None:
    images = some_images(60)
    whole = lite(images)
    for start, stop in ((0, 1), (7, 20), (24, 51), (10, 60)):
        part = lite(images[start:stop])
        for layer, features in whole.items():
            assert torch.equal(part[layer], features[start:stop])


def test_building_it_leaves_the_global_random_state() -> None:
    before = torch.random.get_rng_state()
    create_detector("efficientnet-lite0", layers=["pool"], device=CPU)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_lite_says_what_its_features_depend_on(lite: Detector) -> None:
    assert lite.layers == {"pool": 1280, "logits": 1000}
    assert lite.identity["weights_sha256"].startswith("57934424")
    assert "96x96" in lite.identity["input"]
    assert "folded" in lite.identity["form"]


def test_missing_packages_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    find = efficientnet.importlib.util.find_spec  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest: None if name.startswith("efficientnet") else find(name, *rest),
    )
    status = detector_status("efficientnet-lite0")
    assert not status.usable
    assert "pip install 'genbench[offline]'" in status.reason
    fails(
        lambda: create_detector("efficientnet-lite0", layers=["pool"], device=CPU),
        "efficientnet-lite-pytorch is missing",
    )


# By name


def test_names_start_with_the_default_and_every_status_says_how_to_get_it() -> None:
    names = detector_names()
    assert names[0] == "inception"
    assert {"vgg16", "clip-vit-l-14", "dinov2-vit-l-14", "efficientnet-lite0"} <= set(names)
    for name in names:
        status = detector_status(name)
        assert status.usable == (name == "efficientnet-lite0"), "the caches here are empty"
        assert status.usable or "http" in status.reason
        assert status.summary
        assert "pool" in status.layers


def test_a_located_weight_file_makes_a_detector_usable() -> None:
    weight = detector_weight("inception")
    assert weight is not None
    weight.place.parent.mkdir(parents=True)
    weight.place.touch()
    assert detector_status("inception").usable


def test_names_and_layers_that_do_not_exist_are_explained() -> None:
    fails(
        lambda: create_detector("incepton", layers=["pool"], device=CPU),
        "no detector is named incepton; did you mean inception?",
    )
    fails(lambda: detector_status("zzz"), "no detector is named zzz; known: clip-rn101")
    fails(
        lambda: create_detector("efficientnet-lite0", layers=["pool", "spatial"], device=CPU),
        "no layer 'spatial'", "pool, logits",
    )  # fmt: skip
    fails(lambda: create_detector("inception", layers=[], device=CPU), "no layer asked")


class Mean:
    """A stranger's detector: the mean of each channel, and a fault when told."""

    name = "mean"
    layers: dict[str, int] = {"pool": 3}  # noqa: RUF012
    summary = "mean colour"
    identity: dict[str, str] = {"version": "1"}  # noqa: RUF012
    value = 0.0
    width = 3

    def __init__(self, *, layers: Sequence[str], weights: Path | None, device: torch.device):
        pass

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        return {"pool": images.double().mean(dim=(2, 3))[:, : self.width] + self.value}


def test_detectors_of_strangers_are_checked_like_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "det_mean", "mean = det_mean:Mean", "")
    monkeypatch.setitem(sys.modules, "det_mean", SimpleNamespace(Mean=Mean))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "mean" in detector_names()
    assert detector_status("mean").layers == {"pool": 3}
    detector = create_detector("mean", layers=["pool"], device=CPU)
    found = detector(some_images(4))["pool"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, some_images(4).float().mean(dim=(2, 3)))
    assert detector.identity == {"detector": "mean", "version": "1"}
    fails(
        lambda: create_detector(
            "mean", layers=["pool"], device=CPU, preprocessing="cleanfid_clean"
        ),
        "mean does not take preprocessing cleanfid_clean, and none but its own",
    )  # fmt: skip
    for wrong in (some_images(4).float(), some_images(4)[0], some_images(4)[:, :1],
                  some_images(4)[:0]):  # fmt: skip
        fails(lambda wrong=wrong: detector(wrong), "uint8 images [N, 3, H, W]")  # type: ignore[misc]
    monkeypatch.setattr(Mean, "value", float("nan"))
    fails(lambda: detector(some_images(4)), "NaN or infinity", "'pool'", "image 0")
    monkeypatch.setattr(Mean, "width", 2)
    fails(lambda: detector(some_images(4)), "(4, 2)", "(4, 3)")


def test_our_own_modules_keep_the_contract_that_strangers_may_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own: tuple[PreparingModule, ...] = (efficientnet, fidelity, dinov2)  # mypy compares signatures
    assert all(isinstance(module, PreparingModule) for module in own)
    assert detector_module("efficientnet-lite0") is efficientnet
    code = """
def layers(name): return {"pool": len(name)}
def summary(name): return "ones, as many as letters"
def weight(name): return None
def missing_code(name): return ""
def missing(name): return "one part: put it in" if name == "partless" else ""
def create(name, *, layers, weights, device):
    from types import SimpleNamespace
    class Ones:
        identity = {}
        def __init__(self): self.layers = {"pool": len(name)}
        def __call__(self, images): return {"pool": images.new_ones(len(images), len(name))}
    return Ones()
"""
    install(tmp_path, "det_family", "abc = det_family\npartless = det_family", code)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert detector_status("abc").layers == {"pool": 3}
    assert detector_status("partless").reason == "one part: put it in"
    features = create_detector("abc", layers=["pool"], device=CPU)(some_images(2))
    assert torch.equal(features["pool"], torch.ones(2, 3))


def test_memory_that_runs_out_in_a_detector_is_not_its_authors_fault() -> None:
    class Short(Mean):
        def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")

    detector = CheckedDetector(
        Short(layers=[], weights=None, device=CPU), name="short", layers=["pool"]
    )
    with pytest.raises(torch.OutOfMemoryError, match="CUBLAS"):
        detector(some_images(2))


def test_the_command_line_answers_an_unknown_detector_as_an_unknown_model() -> None:
    for words in (("--model", "toi"), ("--model", "toy", "--detector", "incepton")):
        run = genbench("fid", *words)
        assert run.returncode == 2
        assert "did you mean" in error_line(run)


GOOD = """
class Stranger:
    name, layers, summary, identity = "stranger", {"pool": 2}, "two ones", {"made": "by hand"}
    def __init__(self, *, layers, weights, device): ...
    def __call__(self, images): return {"pool": images.new_ones((len(images), 2)).float()}
"""


def install(folder: Path, package: str, points: str, code: str) -> None:
    """A package on disk as pip leaves it: a module and the metadata with its entry points."""
    (folder / f"{package}.py").write_text(code)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[genbench.detectors]\n{points}\n")


def test_packages_of_strangers_are_found_and_broken_ones_hide_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "det_good", "stranger = det_good:Stranger", GOOD)
    install(tmp_path, "det_bad", "broken = det_bad:Net", "raise ValueError('two\\nlines')")
    install(tmp_path, "det_late", "late = det_late:build", "def build(**_): return 1 / 0")
    install(tmp_path, "det_noncall", "number = det_noncall:x", "x = 3")
    install(tmp_path, "det_twin", "twin = det_good:Stranger\nvgg16 = det_good:Stranger", "")
    install(tmp_path, "det_twin2", "twin = det_good:Stranger", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = detector_names()
    assert {"stranger", "broken", "late", "number", "twin", "inception"} <= set(names)
    assert len(names) == len(set(names))

    status = detector_status("stranger")
    assert (status.usable, status.summary, status.origin) == (True, "two ones", "det_good 1.0")
    found = create_detector("stranger", layers=["pool"], device=CPU)(some_images(3))
    assert torch.equal(found["pool"], torch.ones(3, 2))

    status = detector_status("broken")
    assert not status.usable
    assert "det_bad" in status.reason
    assert "ValueError: two lines" in status.reason
    assert "cannot be called" in detector_status("number").reason
    fails(
        lambda: create_detector("late", layers=["pool"], device=CPU),
        "det_late", "ZeroDivisionError",
    )  # fmt: skip
    for name, owners in (("twin", ("det_twin", "det_twin2")), ("vgg16", ("genbench", "det_twin"))):
        assert not detector_status(name).usable
        fails(lambda name=name: create_detector(name, layers=["pool"], device=CPU), *owners)  # type: ignore[misc]
