"""CLIP scores of pipelines and of image sets are those of transformers' own CLIP, and a pipeline of
texts is measured against images and timed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from strangers import error_line, genbench
from tiny_detector import afar
from tiny_pipelines import text_to_image, tiny_clip
from torch import Tensor

from genbench import api
from genbench.errors import GenbenchError, UsageError
from genbench.records.kinds import QualityRecord

transformers: Any = pytest.importorskip("transformers")
pytest.importorskip("diffusers")

PROMPTS = ["a cat", "zz", "q w e"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    text_to_image(folder)
    tiny_clip(folder)
    (folder / "prompts.txt").write_text("a cat\n\nzz\n q w e \n")
    return folder


def own_scores(folder: Path, images: Tensor, prompts: list[str]) -> np.ndarray[Any, Any]:
    """100 max(cos, 0), as the library itself gives it, of images uint8 [N, 3, H, W]."""
    model = transformers.CLIPModel.from_pretrained(folder)
    processor = transformers.CLIPProcessor.from_pretrained(folder)
    given = processor(
        text=prompts, images=list(images), return_tensors="pt", padding=True, truncation=True
    )
    with torch.no_grad():
        found = model(**given)
    cosines = (found.image_embeds * found.text_embeds).sum(dim=1)
    scores: np.ndarray[Any, Any] = (100 * cosines.clamp(min=0)).double().numpy()
    return scores


def pictures(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, 20, 16), generator=generator, dtype=torch.uint8)


def score(images: Tensor, made: Path, cache: Path, **options: Any) -> QualityRecord:
    given: dict[str, Any] = {"clip": made / "clip", "prompts": made / "prompts.txt"} | options
    (record,) = api.evaluate(samples=images, cache=cache, device="cpu", **given)
    return record


def test_an_image_set_is_scored_as_the_library_scores_it(made: Path, tmp_path: Path) -> None:
    images = pictures(6)
    record = score(images, made, tmp_path, ci=True)
    own = own_scores(made / "clip", images, PROMPTS * 2)
    assert 0 < np.count_nonzero(own) < 6  # the bound at 0 is met
    assert record.metric == "clip_score"
    assert record.value == pytest.approx(own.mean(), rel=1e-5)
    reach = 1.959964 * own.std(ddof=1) / np.sqrt(6)
    assert record.high == pytest.approx(own.mean() + reach, rel=1e-5)
    assert (record.reference, record.reference_samples) == ("prompts.txt", 3)
    assert record.detector_identity["weights"] == "clip"
    assert len(record.detector_identity["weights_sha256"]) == 64


def test_other_weights_and_other_prompts_are_told_apart(made: Path, tmp_path: Path) -> None:
    images, there = pictures(3), score(pictures(3), made, tmp_path)
    moved = shutil.copytree(made / "clip", tmp_path / "moved")
    assert score(images, made, tmp_path, clip=moved).protocol_digest == there.protocol_digest
    (moved / "added.json").write_text("{}")
    assert score(images, made, tmp_path, clip=moved).protocol_digest != there.protocol_digest
    (tmp_path / "other.txt").write_text("a cat\nzz\nq w\n")
    other = score(images, made, tmp_path, prompts=tmp_path / "other.txt")
    assert other.reference_digest != there.reference_digest
    assert other.value != there.value


def test_a_pipeline_is_scored_by_its_own_prompts_measured_and_timed(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genbench.quality.reading.create_detector", afar)
    words = ("--model", f"diffusers:{made / 'sd'}", "--steps", "1", "--guidance", "1",
             "--prompts", made / "prompts.txt")  # fmt: skip
    files = ("--records", tmp_path / "r.jsonl")
    run = genbench("fid", *words, "--ref", "bundled[:9]", "--crop", "resize", "--clip",
                   made / "clip", "--metric", "fd,clip_score", "--detector", "efficientnet-lite0",
                   "-n", "7", "--cache", tmp_path, *files)  # fmt: skip
    assert run.returncode == 0, run.stderr
    timed = genbench("throughput", *words, "--batch", "2", "--seconds", "0.05", *files)
    assert timed.returncode == 0, timed.stderr
    fd, clip, *speed = api.read_records(tmp_path / "r.jsonl")
    assert isinstance(fd, QualityRecord)
    assert isinstance(clip, QualityRecord)
    assert (fd.metric, fd.reference_samples, clip.metric) == ("fd", 9, "clip_score")
    assert fd.samples_digest == clip.samples_digest
    assert "throughput" in {record.metric for record in speed}
    options: dict[str, Any] = {"steps": 1, "guidance": 1, "prompts": str(made / "prompts.txt")}
    source = api.open_model(f"diffusers:{made / 'sd'}", device="cpu", options=options)
    drawn = torch.cat(list(source.images(0, 7)))
    own = own_scores(made / "clip", drawn, (PROMPTS * 3)[:7])
    assert clip.value == pytest.approx(own.mean(), rel=1e-4)
    assert "compares images with prompts" in error_line(genbench("reproduce", clip.run, *files))


def test_what_is_too_long_to_be_read_is_told(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "long.txt").write_text("a b c d e f g h i\nzz\n")
    score(pictures(2), made, tmp_path, prompts=tmp_path / "long.txt")
    assert "1 of 2 prompts are longer than clip reads" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"metrics": "clip_score", "clip": "", "prompts": None}, "pass --prompts FILE and --clip"),
        ({"prompts": None}, "pass --prompts FILE, one a line"),
        ({"clip": ""}, "name it, --clip FOLDER"),
        ({"metrics": "fd"}, "add --metric clip_score"),
        ({"clip": "{made}"}, "holds no config.json"),
        ({"clip": "{made}/sd/text_encoder"}, "not a CLIP with two towers"),
        ({"prompts": "{made}/none.txt"}, "cannot be read"),
        ({"count": 4}, "holds 3 prompts and samples 4 images: write one line an image"),
    ],
)
def test_a_slip_is_one_line_with_the_remedy(
    made: Path, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    given = {
        key: value.format(made=made) if isinstance(value, str) else value
        for key, value in options.items() if key != "count"
    }  # fmt: skip
    with pytest.raises(UsageError, match=told):
        score(pictures(options.get("count", 3)), made, tmp_path, reference="bundled", **given)


def test_pickled_and_damaged_weights_are_refused(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made / "clip", tmp_path / "clip")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(GenbenchError, match="cannot be loaded as a CLIP"):
        score(pictures(3), made, tmp_path, clip=folder)
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(GenbenchError, match="pickled weights are not read"):
        score(pictures(3), made, tmp_path, clip=folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "siglip"}))
    with pytest.raises(UsageError, match="is a model of type siglip"):
        score(pictures(3), made, tmp_path, clip=folder)


@pytest.mark.parametrize(("option", "value"), [("--prompts", "p.txt"), ("--decode", "vae:x")])
def test_a_model_that_has_no_use_for_an_option_says_so(option: str, value: str) -> None:
    told = error_line(genbench("fid", "--model", "toy", option, value))
    assert told == f"error: model toy takes no {option}: leave it out"
