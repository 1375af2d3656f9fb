"""torch-fidelity's extractors: its own numbers, from files that genbench loads safely."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from weight_files import CPU, fails, on_its_own, save_random_inception, some_images

from genbench.detectors import fidelity as detectors_fidelity
from genbench.detectors.contract import Detector
from genbench.detectors.prepared_detector import chosen, input_identity
from genbench.detectors.published_preprocessing import PREPROCESSINGS, TORCH_FIDELITY, openai_clip
from genbench.detectors.published_weights import detector_weight
from genbench.detectors.registry import create_detector, detector_names
from genbench.detectors.resizing import prepared
from genbench.runtime.digests import file_sha256
from genbench.weights.loading import load_tensors


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_its_own(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_inception(tmp_path_factory.mktemp("inception"))


@pytest.fixture(scope="session")
def inception_oracle(inception_file: Path) -> dict[str, Tensor]:
    """What torch-fidelity's own class gives for two images, and the whole of its Mixed_6d."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    names = ["2048", "logits_unbiased"]
    extractor = FeatureExtractorInceptionV3("x", names, str(inception_file))
    kept: dict[str, Tensor] = {}
    extractor.Mixed_6d.register_forward_hook(lambda _, __, out: kept.update(block=out.clone()))
    kept.update(zip(names, extractor(some_images(2)), strict=True))
    return kept


@pytest.fixture(scope="session")
def inception(inception_file: Path) -> Detector:
    layers = ["pool", "spatial", "logits"]
    return create_detector("inception", layers=layers, weights=inception_file, device=CPU)


@pytest.fixture(scope="session")
def inception_features(inception: Detector) -> dict[str, Tensor]:
    return inception(some_images(2))


def test_inception_gives_torch_fidelitys_pool_and_logits(
    inception_features: dict[str, Tensor], inception_oracle: dict[str, Tensor]
) -> None:
    assert inception_oracle["2048"].std() > 1e-3, "the oracle must not be dead"
    for layer, name in (("pool", "2048"), ("logits", "logits_unbiased")):
        ours, theirs = inception_features[layer], inception_oracle[name]
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_inception_spatial_is_adms_seven_channels_in_nhwc_order(
    inception_features: dict[str, Tensor], inception_oracle: dict[str, Tensor]
) -> None:
    block = inception_oracle["block"]  # [2, 768, 17, 17], its first 192 channels are branch1x1
    ours = inception_features["spatial"]
    assert ours.shape == (2, 2023)
    for height, width, channel in ((0, 0, 0), (0, 0, 6), (0, 1, 0), (3, 11, 2), (16, 16, 6)):
        position = (height * 17 + width) * 7 + channel
        torch.testing.assert_close(ours[:, position], block[:, channel, height, width])
    nchw = block[:, :7].reshape(2, -1)
    torch.testing.assert_close(ours.sort(dim=1).values, nchw.sort(dim=1).values)
    assert not torch.allclose(ours, nchw, rtol=0.1)


def test_inception_gives_only_what_is_asked(
    inception_file: Path, inception_features: dict[str, Tensor]
) -> None:
    for layers in (["spatial"], ["logits", "pool"]):
        only = create_detector("inception", layers=layers, weights=inception_file, device=CPU)
        blocks: list[int] = []
        last = only._detector._network.extractor.Mixed_7c  # type: ignore[attr-defined]
        last.register_forward_hook(lambda *_, seen=blocks: seen.append(1))
        found = only(some_images(2))
        assert list(found) == list(only.layers) == layers
        assert len(blocks) == (layers != ["spatial"]), "the pass ends where nothing more is asked"
        for layer in layers:
            torch.testing.assert_close(found[layer], inception_features[layer])


def test_inception_says_what_its_features_depend_on(
    inception: Detector, inception_file: Path
) -> None:
    assert inception.layers == {"pool": 2048, "spatial": 2023, "logits": 1008}
    identity = inception.identity
    assert identity["weights_sha256"] == file_sha256(inception_file)
    assert "299x299" in identity["input"]
    assert all(isinstance(value, str) for value in identity.values())


def test_inception_takes_another_preprocessing_and_a_bias_and_says_so(
    inception_file: Path, inception: Detector, inception_features: dict[str, Tensor]
) -> None:
    images = some_images(2)
    clean = create_detector(
        "inception", layers=["pool", "logits"], weights=inception_file, device=CPU,
        preprocessing="cleanfid_clean", logits_bias=True,
    )  # fmt: skip
    assert "cleanfid_clean" in clean.identity["input"]
    assert {"pillow", "logits"} <= set(clean.identity)
    assert not {"pillow", "logits"} & set(inception.identity)
    found = clean(images)
    assert (found["pool"] - inception_features["pool"]).abs().max() > 1e-4
    network = inception._detector._network  # type: ignore[attr-defined]
    with torch.inference_mode():
        given = network(prepared(images, PREPROCESSINGS["cleanfid_clean"], CPU))
    torch.testing.assert_close(given["pool"], found["pool"])
    offset, bias = found["logits"] - given["logits"], load_tensors(inception_file)["fc.bias"]
    torch.testing.assert_close(offset, bias.expand(2, -1), rtol=0, atol=1e-4)


def test_two_names_of_one_preprocessing_are_one_identity() -> None:
    same = [PREPROCESSINGS[name] for name in ("pytorch_fid", "dgm_inception")]
    assert input_identity(same[0]) == input_identity(same[1])
    assert chosen("torchmetrics_no_antialias", TORCH_FIDELITY) is TORCH_FIDELITY
    assert chosen("cleanfid_clean", TORCH_FIDELITY).name == "cleanfid_clean"


def test_building_a_detector_leaves_the_global_random_state(inception_file: Path) -> None:
    before = torch.random.get_rng_state()
    create_detector("inception", layers=["pool"], weights=inception_file, device=CPU)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_that_do_not_fit_are_named(inception_file: Path, tmp_path: Path) -> None:
    state = load_tensors(inception_file)
    state["strange"] = state.pop("fc.bias")
    torch.save(state, tmp_path / "other.pth")
    fails(
        lambda: create_detector(
            "inception", layers=["pool"], weights=tmp_path / "other.pth", device=CPU
        ),
        "Inception", "1 missing (fc.bias)", "1 unexpected (strange)",
    )  # fmt: skip


def test_without_weights_or_network_the_offline_detector_is_named() -> None:
    fails(
        lambda: create_detector("inception", layers=["pool"], device=CPU),
        "weights-inception-2015-12-05-6726825d.pth", "cannot be reached", "no network in this test",
        "efficientnet-lite0", "--detector-weights",
    )  # fmt: skip


# The other extractors of torch-fidelity


def test_the_tables_are_torch_fidelitys() -> None:
    from torch_fidelity import feature_extractor_clip as clip
    from torch_fidelity import feature_extractor_dinov2 as dino
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    def url(name: str) -> str:
        weight = detector_weight(name)
        assert weight is not None
        assert len(weight.sha256) == 64
        return weight.url

    assert url("inception") == URL_INCEPTION_V3
    ours = {name for name in detector_names() if name.startswith("clip-")}
    assert {name: url(name) for name in ours} == clip.MODEL_URLS
    ours = {name for name in detector_names() if name.startswith("dinov2-")}
    assert ours == set(dino.MODEL_METADATA)
    for name, model in dino.MODEL_METADATA.items():
        assert url(name).endswith(f"/{model}/{model}_pretrain.pth")


class SmallVGG(nn.Module):
    """Stands in for torchvision's VGG16: 138 million weights make a slow test."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.classifier = nn.Sequential(
            nn.Linear(147, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 4096), nn.ReLU(),
            nn.Dropout(), nn.Linear(4096, 10),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.classifier(F.adaptive_avg_pool2d(x, 7).flatten(1))
        return found


def test_vgg16_gives_torch_fidelitys_fc2_after_relu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision
    from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16

    monkeypatch.setattr(torchvision.models, "vgg16", SmallVGG)
    torch.save(SmallVGG().state_dict(), tmp_path / "vgg.pth")
    oracle = FeatureExtractorVGG16("x", ["fc2_relu"], str(tmp_path / "vgg.pth"))
    ours = create_detector("vgg16", layers=["pool"], weights=tmp_path / "vgg.pth", device=CPU)
    (theirs,) = oracle(some_images(3))
    torch.testing.assert_close(ours(some_images(3))["pool"], theirs)
    assert (theirs > 0).any()


def small_clip() -> dict[str, Tensor]:
    """A state dict of CLIP's form: one transformer layer, 64 pixels, 512 features."""
    from torch_fidelity.feature_extractor_clip import CLIPVisual

    torch.manual_seed(0)
    state: dict[str, Tensor] = CLIPVisual(512, 64, 1, 64, 32).state_dict()
    return {**state, "text_projection": torch.zeros(1, 512), "logit_scale": torch.ones(())}


class Holder(nn.Module):
    """A module whose state dict is what it is given; scriptable."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for key, value in state.items():
            *path, last = key.split(".")
            place: nn.Module = self
            for name in path:
                if not hasattr(place, name):
                    place.add_module(name, nn.Module())
                place = getattr(place, name)
            place.register_buffer(last, value)

    def forward(self, x: Tensor) -> Tensor:
        return x


def save_archive(state: dict[str, Tensor], path: Path) -> None:
    with warnings.catch_warnings():  # TorchScript is deprecated, but it is what OpenAI published
        warnings.simplefilter("ignore")
        torch.jit.trace(Holder(state), torch.zeros(1), check_trace=False).save(str(path))


def test_clip_loads_a_state_dict_and_the_published_archive_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = small_clip()
    torch.save(state, tmp_path / "clip.pth")
    save_archive(state, tmp_path / "clip.pt")

    def features(name: str) -> Tensor:
        detector = create_detector(
            "clip-vit-b-32", layers=["pool"], weights=tmp_path / name, device=CPU
        )
        return detector(some_images(2))["pool"]

    plain = features("clip.pth")
    assert plain.shape == (2, 512)
    assert plain.std() > 1e-3
    fails(lambda: features("clip.pt"), "TorchScript", "carries code", "refused")
    digest = file_sha256(tmp_path / "clip.pt")
    entry = (512, digest, "ViT-B-32")
    monkeypatch.setitem(detectors_fidelity._CLIP, "clip-vit-b-32", entry)
    assert torch.equal(features("clip.pt"), plain)


def test_a_torchscript_archive_is_refused_as_any_other_checkpoint(tmp_path: Path) -> None:
    save_archive({"weight": torch.ones(2)}, tmp_path / "net.pt")
    fails(lambda: load_tensors(tmp_path / "net.pt"), "TorchScript")


def test_clip_takes_safetensors_and_its_own_preprocessing_is_openais(tmp_path: Path) -> None:
    state = small_clip()
    save_file(state, tmp_path / "clip.safetensors")
    torch.save(state, tmp_path / "clip.pth")
    both = [
        create_detector("clip-vit-b-32", layers=["pool"], weights=tmp_path / name, device=CPU)
        for name in ("clip.safetensors", "clip.pth")
    ]
    images = some_images(2, 48)[:, :, :40]
    features = [detector(images)["pool"] for detector in both]
    assert torch.equal(*features)
    assert "openai_clip_64" in both[0].identity["input"]
    network = both[0]._detector._network  # type: ignore[attr-defined]
    with torch.inference_mode():
        wanted = network.network(prepared(images, openai_clip(64), CPU))
    assert torch.equal(features[0], wanted)
    assert (features[0].norm(dim=1) - 1).abs().min() > 1e-3, "nobody brings it to length 1 here"


def test_weights_of_another_input_size_than_the_preprocessing_are_named(tmp_path: Path) -> None:
    torch.save(small_clip(), tmp_path / "clip.pth")
    fails(
        lambda: create_detector(
            "clip-vit-b-32", layers=["pool"], weights=tmp_path / "clip.pth", device=CPU,
            preprocessing="dgm_clip",
        ),
        "clip.pth holds a network for 64 pixels", "dgm_clip ends in 224",
    )  # fmt: skip


def test_clip_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "other.pth")
    fails(
        lambda: create_detector(
            "clip-rn50", layers=["pool"], weights=tmp_path / "other.pth", device=CPU
        ),
        "other.pth does not fit clip-rn50",
    )
