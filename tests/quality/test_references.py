"""Statistics of a reference stand for its images only while they are of them, by this detector."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from strangers import error_line, genbench
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.npz_writing import write_reference
from genbench.images.opening import open_image_set
from genbench.quality.references import OpenedReference, open_reference, suited_to
from genbench.records.store import read_records

OFFLINE = ("--detector", "efficientnet-lite0", "--device", "cpu")
WIDTH = 6


class Fake:
    """A detector of pool features, whose identity is what it is told."""

    def __init__(self, name: str = "fake", **identity: str) -> None:
        self.name, self.layers = name, {"pool": WIDTH}
        self.identity = {"weights_sha256": "a" * 64, "device": "cpu", **identity}

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        return {"pool": torch.zeros(len(images), WIDTH)}


def meta_of(detector: Fake, **more: Any) -> dict[str, Any]:
    whole = {"detector": detector.name, "identity": detector.identity, "count": 90}
    return {**whole, "genbench": "0.1.0", **more}


def written(
    path: Path, meta: dict[str, Any] | None, *, images: bool = True, width: int = WIDTH
) -> Path:
    arrays: dict[str, Any] = {"mu": np.zeros(width), "sigma": np.eye(width)}
    shown = open_image_set("bundled[:30]") if images else None
    if meta is not None:
        write_reference(path, shown, arrays, meta)
        return path
    if shown is not None:
        arrays["arr_0"] = shown.read(0, 30).permute(0, 2, 3, 1).numpy()
    np.savez(path, **arrays)
    return path


def opened(path: Path, detector: Fake, size: int = 32, crop: str = "none") -> OpenedReference:
    return suited_to(open_reference(str(path), crop=crop, size=(size, size)), detector)


def test_statistics_of_this_detector_are_used(tmp_path: Path) -> None:
    for name in ("r.npz", "R.NPZ"):
        found = opened(written(tmp_path / name, meta_of(Fake())), Fake(device="cuda"))
        assert found.statistics is not None
        assert found.statistics.count == 90
        assert not found.notes


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        (meta_of(Fake(weights_sha256="b" * 64)), "made by another fake (weights_sha256 bbb"),
        (meta_of(Fake(input="299x299")), ""),  # what only one tells is not held against the other
        (meta_of(Fake("other")), "its statistics are of other, not fake"),
        (None, "do not say what made them, and are taken for Inception's"),
    ],
)
def test_other_statistics_are_left_aside_for_the_images(
    tmp_path: Path, meta: dict[str, Any] | None, said: str
) -> None:
    found = opened(written(tmp_path / "r.npz", meta), Fake())
    assert (found.statistics is None) is bool(said)
    assert said in " ".join(found.notes)
    if said:
        assert found.digest == open_image_set(str(tmp_path / "r.npz")).digest()
        assert found.notes[0].endswith("computed from its images instead")


def test_statistics_of_an_unknown_preprocessing_stand_for_no_other_than_the_detectors_own(
    tmp_path: Path,
) -> None:
    foreign = open_reference(str(written(tmp_path / "r.npz", None)), crop="none", size=(32, 32))
    detector = Fake("inception")
    assert suited_to(foreign, detector).statistics is not None
    found = suited_to(foreign, detector, preprocessing="cleanfid_clean")
    assert found.statistics is None
    assert "do not say whether they are of cleanfid_clean" in found.notes[0]


def test_statistics_are_not_those_of_images_brought_to_another_size(tmp_path: Path) -> None:
    found = opened(written(tmp_path / "r.npz", meta_of(Fake())), Fake(), size=16, crop="adm")
    assert found.statistics is None
    assert found.images is not None
    assert found.images.size == (16, 16)
    assert "are not of images brought to 16 pixels" in found.notes[0]


def test_statistics_alone_must_be_of_this_detector(tmp_path: Path) -> None:
    own = opened(written(tmp_path / "own.npz", meta_of(Fake()), images=False), Fake())
    assert own.rows == 0
    assert own.has_moments("pool")
    foreign = opened(written(tmp_path / "foreign.npz", None, images=False), Fake())
    assert "does not say which weights made its statistics: taken on trust" in foreign.notes[0]
    wide = written(tmp_path / "wide.npz", None, images=False, width=9)
    with pytest.raises(GenbenchError, match="pool features are 9 wide where fake gives 6"):
        opened(wide, Fake())
    other = written(tmp_path / "other.npz", meta_of(Fake("other")), images=False)
    with pytest.raises(GenbenchError, match="holds statistics alone, and its statistics are of"):
        opened(other, Fake())
    line = error_line(genbench("fid", "--samples", "bundled[:9]", "--ref", other, *OFFLINE))
    assert "genbench ref IMAGES --out FILE --detector efficientnet-lite0" in line


def test_statistics_alone_must_be_of_images_of_the_samples_size(tmp_path: Path) -> None:
    sized = written(tmp_path / "sized.npz", meta_of(Fake(), size=[64, 64]), images=False)
    assert opened(sized, Fake(), size=64).rows == 0
    for crop in ("none", "adm"):
        with pytest.raises(GenbenchError, match="statistics of images of 64x64, not of 32x32"):
            opened(sized, Fake(), crop=crop)
    unknown = written(tmp_path / "unknown.npz", meta_of(Fake()), images=False)
    with pytest.raises(GenbenchError, match="does not say of what size its images were"):
        opened(unknown, Fake(), crop="adm")


def test_a_file_of_our_own_is_known_for_its_images(tmp_path: Path) -> None:
    words = ("ref", "bundled[:12]", *OFFLINE, "--res", "16", "--crop", "adm")
    run = genbench(*words, "--out", tmp_path / "r.npz", "--cache", tmp_path / "c")
    assert run.returncode == 0, run.stderr
    kept = ("--cache", tmp_path / "c", "--records", tmp_path / "r.jsonl")
    run = genbench("fid", "--samples", tmp_path / "r.npz", "--ref", tmp_path / "r.npz", *OFFLINE,
                   *kept, "--metric", "fd")  # fmt: skip
    assert "not of the" not in run.stderr
    assert read_records(tmp_path / "r.jsonl")[0].value == 0


def test_the_reference_has_the_size_of_samples_that_are_not_square(tmp_path: Path) -> None:
    pixels = open_image_set("bundled[:9]").read(0, 9).permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "wide.npz", pixels[:, 8:24])
    for size, good in (((16, 32), True), ((32, 32), False), ((16, 16), False)):
        if good:
            reference = open_reference(str(tmp_path / "wide.npz"), crop="none", size=size)
            assert reference.rows == 9
        else:
            with pytest.raises(GenbenchError, match="holds images of 32x16, not"):
                open_reference(str(tmp_path / "wide.npz"), crop="none", size=size)
    words = ("fid", "--samples", tmp_path / "wide.npz", *OFFLINE, "--metric", "fd")
    assert "not 32x16 as the samples" in error_line(genbench(*words, "--ref", "bundled[:9]"))
    kept = ("--cache", tmp_path / "c", "--records", tmp_path / "r.jsonl")
    run = genbench(*words, "--ref", tmp_path / "wide.npz", *kept)
    assert "wide.npz 32×16, measured here" in run.stdout
    (record,) = read_records(tmp_path / "r.jsonl")
    assert (record.resolution, record.size) == (0, (16, 32))


def test_a_record_tells_of_how_many_images_the_statistics_are(tmp_path: Path) -> None:
    """A file whose statistics are of more images than it holds, as ADM's are."""
    run = genbench("ref", "bundled[:40]", *OFFLINE, "--out", tmp_path / "all.npz",
                   "--cache", tmp_path / "c")  # fmt: skip
    assert run.returncode == 0, run.stderr
    arrays = dict(np.load(tmp_path / "all.npz", allow_pickle=False))
    arrays["arr_0"], arrays["arr_1"] = arrays["arr_0"][:20], arrays["arr_1"][:20]
    np.savez(tmp_path / "part.npz", **arrays)
    kept = ("--cache", tmp_path / "c", "--records", tmp_path / "r.jsonl")
    run = genbench("fid", "--samples", "bundled[100:130]", "--ref", tmp_path / "part.npz",
                   *OFFLINE, *kept, "--metric", "fd", "--metric", "precision")  # fmt: skip
    assert run.returncode == 0, run.stderr
    counts = {item.metric: item.reference_samples for item in read_records(tmp_path / "r.jsonl")}  # type: ignore[union-attr]
    assert counts == {"fd": 40, "precision": 20}
    assert "made of 40 images, not of the 20 that it holds" in run.stderr


@pytest.mark.parametrize(("step", "noted"), [("", True), ("[::5]", False)])
def test_a_part_of_a_sorted_set_is_told(tmp_path: Path, step: str, noted: bool) -> None:
    whole = open_image_set("bundled[:200]")
    assert whole.labels is not None
    order = np.argsort(whole.labels, kind="stable")
    pixels = whole.read(0, 200).permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "sorted.npz", pixels[order], whole.labels[order])
    kept = ("--cache", tmp_path / "c", "--records", tmp_path / "r.jsonl")
    run = genbench("fid", "--samples", f"{tmp_path / 'sorted.npz'}{step}", "--ref", "bundled[:50]",
                   *OFFLINE, *kept, "--metric", "fd", "-n", "40")  # fmt: skip
    assert run.returncode == 0, run.stderr
    said = "its first 40 of 200 images are of"
    assert (said in run.stderr) is noted
    assert any(said in note for note in read_records(tmp_path / "r.jsonl")[0].notes) is noted


def test_what_cannot_be_had_is_left_out_count_by_count(tmp_path: Path) -> None:
    words = ("fid", "--samples", "bundled[:30]", *OFFLINE, "--protocol", "torch-fidelity")
    kept = ("--cache", tmp_path / "c", "--records", tmp_path / "r.jsonl")
    run = genbench(*words, "--ref", "bundled[:1]", *kept, "-n", "8", "-n", "30")
    assert run.returncode == 0, run.stderr
    assert "fd left out: bundled[0:1] holds one image, which has no covariance" in run.stderr
    assert "cs at 8 left out: it needs at least 10 samples" in run.stderr
    found = [(item.metric, item.samples) for item in read_records(tmp_path / "r.jsonl")]
    assert found == [("cs", 30)]
    again = genbench(*words, "--ref", "bundled[:1]", *kept, "-n", "8", "-n", "30", "--reuse")
    assert "on record already" in again.stderr


def test_own_weights_of_a_detector_are_a_protocol_of_their_own(tmp_path: Path) -> None:
    from genbench.detectors.efficientnet import NAME
    from genbench.detectors.published_weights import detector_weight
    from genbench.quality.request import QualityRequest, with_own_weights
    from genbench.records.protocols import find_protocol

    protocol = find_protocol("bundled")
    request = QualityRequest(protocol=protocol, samples="bundled[:9]")
    assert with_own_weights(request) == request
    (tmp_path / "other.pth").write_bytes(b"other weights")
    own = with_own_weights(replace(request, detector_weights=tmp_path / "other.pth"))
    assert own.protocol.name == "bundled*"
    assert own.protocol.digest() != protocol.digest()
    assert detector_weight(NAME) is None or own.protocol.weights


def test_a_name_that_is_no_text_is_recorded_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "n\udcff"
    folder.mkdir()
    pixels = open_image_set("bundled[:9]").read(0, 9).permute(0, 2, 3, 1).numpy()
    np.savez(folder / "x.npz", pixels)
    (folder / "x.npz").rename(folder / "x\udcfe.npz")
    kept = ("--cache", tmp_path / "c", "--records", tmp_path / "r.jsonl")
    run = genbench("fid", "--samples", folder / "x\udcfe.npz", "--ref", "bundled[:9]", *OFFLINE,
                   *kept, "--metric", "fd", "--json")  # fmt: skip
    assert run.returncode == 0, run.stderr
    (record,) = read_records(tmp_path / "r.jsonl")
    assert record.model == "x?.npz"
    assert json.loads(run.stdout)["model"] == "x?.npz"
