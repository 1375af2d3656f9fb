"""Network evaluations are counted as they happen, kept with the samples, and recorded."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from adm_files import CLASSIFIER, UNET, filled
from biggan_files import CONFIG as BIGGAN
from biggan_files import small_network as small_biggan
from biggan_files import write_folder
from edm_files import ADM_LIKE, arguments_of
from edm_files import small_network as small_edm
from hit_files import CONFIG as HIT
from hit_files import small_network as small_hit
from safetensors.torch import save_file
from strangers import GOOD, error_line, genbench, install
from torch import Tensor

from genbench.models.contract import ModelCard
from genbench.models.noise import NoiseStream
from genbench.models.source import ModelSource, SampleSpec
from genbench.quality.features import extract_features, mean_evaluations
from genbench.runtime.distributed import World
from genbench.runtime.progress import SilentReporter
from genbench_adapters.adm.bundle import GuidedModel
from genbench_adapters.adm.network import Classifier, UNet
from genbench_adapters.model_files import write_model

Counts = tuple[float | None, float | None]
MISCOUNTING = GOOD.replace("16", "32").replace(
    "self.brightness = brightness", "self.brightness, self.evaluations = brightness, 'many'"
)


def fid(folder: Path, *words: str | Path, samples: str = "5") -> list[str | Path]:
    return [
        "fid", "--ref", "bundled[:20]", "--protocol", "bundled", "--metric", "fd", "-n", samples,
        "--cache", folder / "cache", "--records", folder / "records.jsonl", *words,
    ]  # fmt: skip


def counted(words: list[str | Path], path: Path | None = None) -> list[Counts]:
    run = genbench(*words, "--json", path=path)
    assert run.returncode == 0, run.stderr
    records: list[dict[str, Any]] = [json.loads(line) for line in run.stdout.splitlines()]
    return [(record["nfe"], record["nfe_guidance"]) for record in records]


@pytest.fixture(scope="module")
def adm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adm")
    unet, classifier = replace(UNET, image_size=32), replace(CLASSIFIER, image_size=32)
    model = GuidedModel(
        noise_schedule="linear", diffusion_steps=1000, unet=unet, classifier=classifier
    )
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(model)))
    tensors = {f"unet/{key}": value for key, value in filled(UNet(unet)).state_dict().items()}
    tensors |= {
        f"classifier/{key}": value
        for key, value in filled(Classifier(classifier)).state_dict().items()
    }
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--sampler", "ddpm", "--steps", "3", "--classifier-scale", "2"), (3, 3)),
        (("--steps", "4", "--classifier-scale", "0"), (4, 0)),
    ],
)
def test_guided_adm(tmp_path: Path, adm: Path, options: tuple[str, ...], expected: Counts) -> None:
    words = fid(tmp_path, "--model", "adm-guided", "--res", "32", "--checkpoint", adm, *options)
    assert counted(words) == [expected]
    shown = genbench(*words).stdout  # from the cache, where nothing is drawn
    line = f"network evaluations a sample, counted: {expected[0]}"
    assert (f"{line}, and {expected[1]} of networks that guide\n" if expected[1] else line) in shown


def test_edm_and_one_step(tmp_path: Path) -> None:
    weights = tmp_path / "edm.safetensors"
    write_model(weights, small_edm().state_dict(), arguments_of(ADM_LIKE), kind="converted")
    both = ("--res", "32", "--checkpoint", weights)
    words = fid(tmp_path, "--model", "edm", *both, "--steps", "4")
    assert counted(words) == [(7, 0)]
    record = json.loads((tmp_path / "records.jsonl").read_text())
    assert record["options"]["s_max"] == "inf"  # JSON has no infinity
    assert counted(fid(tmp_path, "--model", "emd", *both, "--sigma", "80")) == [(1, 0)]


def test_one_pass_generators(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "biggan", small_biggan(BIGGAN))
    words = ("--model", "biggan-deep", "--res", "32", "--checkpoint", folder)
    assert counted(fid(tmp_path, *words)) == [(1, 0)]
    weights = tmp_path / "hit.safetensors"
    write_model(weights, small_hit().state_dict(), asdict(HIT), kind="converted")
    words = ("--model", "hit", "--res", "32", "--checkpoint", weights)
    assert counted(fid(tmp_path, *words)) == [(1, 0)]


def test_who_does_not_count_records_nothing(tmp_path: Path) -> None:
    words = fid(tmp_path, "--model", "toy", "--res", "32")
    assert counted(words) == [(None, None)]
    assert "network evaluations" not in genbench(*words).stdout
    assert counted(fid(tmp_path, "--samples", "bundled[:30]", samples="30")) == [(None, None)]


class Growing:
    """Needs 2 evaluations for the first 500 samples and then 4."""

    evaluations = guide_evaluations = 0

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        self.evaluations = 2 if int(noise.indices[0]) < 500 else 4
        self.guide_evaluations = 1
        return torch.zeros(len(noise), 3, 4, 4, dtype=torch.uint8)


class Means:
    """A detector of one layer."""

    name, identity, layers = "means", MappingProxyType({"v": "1"}), MappingProxyType({"pool": 1})
    seen = 0

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        self.seen += len(images)
        return {"pool": images.float().mean(dim=(1, 2, 3))[:, None]}


def test_the_mean_over_the_samples_survives_lost_shards(tmp_path: Path) -> None:
    card = ModelCard(name="growing-4", resolution=4)
    spec = SampleSpec(model="growing", card="growing-4", resolution=4)
    for lost, drawn in (("", 600), ("", 0), ("000001-evaluations", 100), ("000000-pool", 500)):
        for path in tmp_path.rglob(f"{lost}.npz"):
            path.write_bytes(b"damaged")
        detector = Means()
        features = extract_features(
            ModelSource(Growing(), spec, card, torch.device("cpu"), batch_size=100), detector,
            ["pool"], 600,
            root=tmp_path, world=World(), reporter=SilentReporter(),
        )  # fmt: skip
        assert detector.seen == drawn
        assert mean_evaluations(features, 500) == (2, 1)
        assert mean_evaluations(features, 600) == ((500 * 2 + 100 * 4) / 600, 1)


def test_counts_that_are_none(tmp_path: Path) -> None:
    install(tmp_path / "site", "plain-images", "plain", MISCOUNTING)
    line = error_line(genbench(*fid(tmp_path, "--model", "plain"), path=tmp_path / "site"))
    assert "model plain counts 'many' network evaluations" in line
