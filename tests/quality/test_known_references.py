"""Published references and papers by name, and what `genbench fid` makes of their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from statistics_made import moments, write_edm, write_edm2, write_feats
from strangers import genbench
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.images.opening import open_image_set
from genbench.quality.known_references import (
    find_reference,
    load_references,
    reference_named,
    reference_path,
)
from genbench.quality.references import open_reference, refuse_statistics_of_others, suited_to
from genbench.records.papers import load_papers
from genbench.records.protocols import load_protocols
from genbench.records.store import read_records

PIXELS = open_image_set("bundled[:12]").read(0, 12).permute(0, 2, 3, 1).numpy()


class Fake:
    """A detector of pool features of a width."""

    def __init__(self, name: str = "inception", width: int = 6) -> None:
        self.name, self.layers, self.identity = name, {"pool": width}, {"device": "cpu"}

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        return {"pool": torch.zeros(len(images), self.layers["pool"])}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    (tmp_path / "references").mkdir()
    return tmp_path / "references"


def test_every_reference_that_a_protocol_names_is_known() -> None:
    for protocol in load_protocols().values():
        known = find_reference(protocol.reference)
        if protocol.reference in ("", "bundled"):
            assert known is None
            continue
        assert known is not None
        assert known.detectors[protocol.detector] == protocol.preprocessing
        assert known.resolution in (0, protocol.resolution)


def test_names_and_files_are_nobody_elses() -> None:
    known = load_references()
    names = [name for item in known.values() for name in (item.name, *item.aliases)]
    assert len(set(names)) == len(names)
    assert len({item.file for item in known.values()}) == len(known)
    for item in known.values():
        assert item.source
        assert item.pictures
        assert item.url.rpartition("/")[2] in ("", item.file)


def test_patterns_name_files_that_are_in_no_list(cache: Path) -> None:
    known = find_reference("clean-fid:cifar10_clean_train_32")
    assert known is not None
    assert known.url == "https://www.cs.cmu.edu/~clean-fid/stats/cifar10_clean_train_32.npz"
    assert known.place == cache / "cifar10_clean_train_32.npz"
    assert known.detectors == {"inception": "cleanfid_clean"}
    for bad in ("clean-fid:x", "clean-fid:../a_clean_b", "edm:imagenet-64", "edm2:img65"):
        with pytest.raises(UsageError, match="no published reference is named"):
            find_reference(bad)
    for other in ("samples.npz", "bundled[:9]", "fashion-mnist:test", "edm:", "C:x", ""):
        assert find_reference(other) is None


def test_a_reference_is_found_in_the_cache_or_where_the_user_stands(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        GenbenchError, match=r"is not here: genbench fetch edm:ffhq-64x64 \D+ https://\S+npz"
    ):
        reference_path("edm:ffhq-64x64")
    write_edm(cache / "ffhq-64x64.npz", *moments(6))
    assert reference_path("edm:ffhq-64x64") == str(cache / "ffhq-64x64.npz")
    for name in ("adm:imagenet64", "VIRTUAL_imagenet64_labeled.npz"):
        with pytest.raises(
            GenbenchError, match=r"reference VIRTUAL_imagenet64_labeled\.npz is not"
        ):
            reference_path(name)
    monkeypatch.chdir(cache)
    write_edm(cache / "VIRTUAL_imagenet64_labeled.npz", *moments(6))
    name = "VIRTUAL_imagenet64_labeled.npz"
    assert reference_path(name) == name
    assert reference_named(name) == find_reference("adm:imagenet64")


def test_published_statistics_are_known_for_what_they_are(cache: Path) -> None:
    write_edm(cache / "cifar10-32x32.npz", *moments(6))
    read = open_reference("edm:cifar10-32x32", crop="none", size=(32, 32))
    opened = suited_to(read, Fake())
    assert (opened.name, opened.rows, opened.notes) == ("edm:cifar10-32x32", 0, ())
    assert opened.has_moments("pool")
    assert not opened.has_moments("spatial")
    with pytest.raises(GenbenchError, match="of images of 32x32, not of 64x64 as the samples"):
        open_reference("edm:cifar10-32x32", crop="none", size=(64, 64))
    with pytest.raises(GenbenchError, match="are of inception, not vgg16"):
        refuse_statistics_of_others(opened, "vgg16")
    with pytest.raises(GenbenchError, match="are 6 wide where inception gives 7"):
        suited_to(opened, Fake(width=7))
    other = suited_to(read, Fake(), preprocessing="pytorch_fid")
    assert "prepared in another way (inception's own) than the samples (pytorch_fid)" in str(
        other.notes
    )


def test_statistics_of_images_prepared_otherwise_are_left_for_the_images(cache: Path) -> None:
    mu, sigma = moments(6)
    pixels = np.repeat(np.repeat(PIXELS, 2, axis=1), 2, axis=2)
    np.savez(cache / "VIRTUAL_imagenet64_labeled.npz", arr_0=pixels, mu=mu, sigma=sigma)
    read = open_reference("adm:imagenet64", crop="none", size=(64, 64))
    opened = suited_to(read, Fake(), preprocessing="cleanfid_clean")
    assert opened.statistics is None
    assert "are not of cleanfid_clean: computed from its images instead" in opened.notes[0]
    opened = suited_to(read, Fake())
    assert opened.statistics is not None
    assert (opened.known, opened.notes) == (find_reference("adm:imagenet64"), ())


def test_one_file_serves_two_detectors(cache: Path) -> None:
    write_edm2(cache / "img64.pkl", *moments(6))
    for name, width in (("inception", 6), ("dinov2-vit-l-14", 3)):
        read = open_reference("edm2:img64", crop="none", size=(64, 64), detector=name)
        own = find_reference("edm2:img64")
        assert own is not None
        opened = suited_to(read, Fake(name, width), preprocessing=own.detectors[name])
        assert not opened.notes
        assert opened.statistics is not None
        assert opened.statistics.count == 90


def test_a_damaged_published_file_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_edm(cache / "ffhq-64x64.npz", *moments(6))
    object.__setattr__(load_references()["edm:ffhq-64x64"], "sha256", "a" * 64)
    try:
        with pytest.raises(GenbenchError, match="damaged or another file than edm:ffhq-64x64"):
            open_reference("edm:ffhq-64x64", crop="none", size=(64, 64))
    finally:
        object.__setattr__(load_references()["edm:ffhq-64x64"], "sha256", "")


def test_features_of_others_serve_as_a_reference(tmp_path: Path) -> None:
    """FD and nearest neighbours against a file of features alone, such as clean-fid's for KID."""
    write_feats(tmp_path / "x_kid.npz", np.random.default_rng(0).normal(size=(30, 1280)))
    words = ("fid", "--samples", "bundled[:20]", "--ref", tmp_path / "x_kid.npz")
    kept = ("--cache", tmp_path / "c", "--records", tmp_path / "r.jsonl")
    run = genbench(*words, "--detector", "efficientnet-lite0", *kept, "--metric", "fd",
                   "--metric", "precision")  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "does not say which weights made its features: taken on trust" in run.stderr
    counts = {item.metric: item.reference_samples for item in read_records(tmp_path / "r.jsonl")}  # type: ignore[union-attr]
    assert counts == {"fd": 30, "precision": 30}
    write_feats(tmp_path / "y_kid.npz", np.ones((30, 6)))
    opened = open_reference(str(tmp_path / "y_kid.npz"), crop="none", size=(32, 32))
    with pytest.raises(GenbenchError, match="holds features alone, and its pool features are 6"):
        suited_to(opened, Fake(width=7))


def test_papers_name_protocols_that_there_are() -> None:
    papers = load_papers()
    assert {item.protocol for item in papers} <= {"", *load_protocols()}
    assert all(item.protocol or item.note for item in papers)
    for item in papers:
        if item.protocol:
            known = find_reference(load_protocols()[item.protocol].reference)
            short = item.paper.split(" (")[0]
            if known is not None:
                assert any(paper.startswith(short) for paper in known.papers), (item, known.name)
