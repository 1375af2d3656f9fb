"""Protocols, papers and references in words, and what a protocol needs on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statistics_made import moments, write_edm
from strangers import error_line, genbench

from genbench.cli.protocols import explained_protocol, explained_reference, list_papers, measuring
from genbench.metrics.about import ABOUT
from genbench.metrics.catalogue import METRICS
from genbench.quality.known_references import load_references
from genbench.records.papers import PaperFigures, load_papers
from genbench.records.protocols import EvalProtocol, load_protocols

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"


@pytest.mark.parametrize("name", list(load_protocols()))
def test_every_protocol_is_explained(name: str) -> None:
    heading, lines = explained_protocol(name)
    protocol = load_protocols()[name]
    told = dict(lines)
    assert heading == f"{name}: {protocol.title}"
    assert {"samples", "detector", "reference", "metrics", "source", "digest"} <= set(told)
    assert told["digest"] == protocol.digest()
    assert all(text for _, text in lines)
    assert name == "bundled" or told["resize"]


@pytest.mark.parametrize("name", [name for name in load_references() if "*" not in name])
def test_every_reference_is_explained(name: str) -> None:
    heading, lines = explained_reference(name)
    assert heading.startswith(f"{name}: ")
    assert all(text for _, text in lines)
    assert {"file", "holds", "pictures", "SHA-256", "source"} <= {subject for subject, _ in lines}


def test_what_decides_a_figure_is_said() -> None:
    told = dict(explained_protocol("dgm-eval")[1])
    assert told["neighbours"] == (
        "k = 5 for precision and recall, k = 5 for density and coverage, "
        "on the rim is outside (<), of 10,000 rows drawn of each side"
    )
    told = dict(explained_protocol("adm-imagenet64")[1])
    assert "k = 3" in told["neighbours"]
    assert "float16 distances" in told["neighbours"]
    assert told["Inception Score"].startswith("chunks of 5,000, in the order of the samples")
    assert dict(explained_protocol("studiogan-clean")[1])["Inception Score"] == (
        "1 split, in the order of the samples, logits with the classifier's bias"
    )
    assert (
        "of which papers report the minimum"
        in dict(explained_protocol("edm-cifar10")[1])["samples"]
    )
    assert measuring(EvalProtocol(name="x")) == (
        "genbench fid SAMPLES --protocol x --ref REFERENCE -n 50000"
    )


def test_two_commands_from_a_paper_to_its_protocol() -> None:
    run = genbench("ls", "papers", "dmd2", "--json")
    (row,) = map(json.loads, run.stdout.splitlines())
    assert (row["protocol"], row["reference"]) == ("edm-imagenet64", "edm:imagenet-64x64")
    run = genbench("ls", "protocols", row["protocol"], COLUMNS="80")
    assert run.returncode == 0, run.stderr
    for words in ("Lanczos", "the minimum", "fid-refs/imagenet-64x64.npz (~34 MB)", "50000"):
        assert words in " ".join(run.stdout.split())
    assert "https://nvlabs-fi-cdn.nvidia.com/edm/fid-refs/imagenet-64x64.npz" in run.stdout.split()
    run = genbench("ls", "references", "edm2:img512", "--json")
    assert ["protocol", "edm2-imagenet512"] in json.loads(run.stdout)["lines"]


def test_an_unknown_protocol_of_a_paper_is_said_to_be_unknown() -> None:
    for name in ("iCT", "sCM"):
        (row,) = list_papers(name)
        assert row["protocol"] == "none here"
        assert "not found" in row["note"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("papers", "no-such-paper"), "no paper here is named no-such-paper"),
        (("protocols", "edm-imagenet46"), "did you mean edm-imagenet64?"),
        (("references", "edm:imagenet-46x46"), "did you mean edm:imagenet-64x64?"),
        (("references", "mine"), "no published reference is named mine"),
        (("models", "hit"), "takes no second word"),
    ],
)
def test_words_that_name_nothing(words: tuple[str, ...], said: str) -> None:
    assert said in error_line(genbench("ls", *words))


def test_doctor_names_every_file_that_a_protocol_needs(tmp_path: Path) -> None:
    places: dict[str, Any] = {"GENBENCH_CACHE": str(tmp_path), "TORCH_HOME": str(tmp_path)}
    run = genbench("doctor", "edm-cifar10", "--json", **places)
    assert run.returncode == 1
    found = {row["subject"]: row for row in map(json.loads, run.stdout.splitlines())}
    weights, reference = found["weights of inception"], found["reference edm:cifar10-32x32"]
    assert "weights-inception-2015-12-05-6726825d.pth" in weights["text"]
    assert "(~96 MB)" in weights["text"]
    assert (weights["good"], weights["megabytes"]) == (False, 96)
    assert reference["megabytes"] == 34
    assert str(tmp_path / "references" / "cifar10-32x32.npz") in reference["text"]
    (tmp_path / "references").mkdir()
    write_edm(tmp_path / "references" / "cifar10-32x32.npz", *moments(3))
    lines = genbench("doctor", "edm-cifar10", **places).stdout.splitlines()
    place = tmp_path / "references" / "cifar10-32x32.npz"
    assert f"✓ reference edm:cifar10-32x32: {place}" in lines
    assert genbench("doctor", "bundled").returncode == 0
    own = genbench("doctor", "standard", **places).stdout.splitlines()
    assert any(line.startswith("✗ reference: ") and "pass --ref" in line for line in own)
    assert "did you mean bundled" in error_line(genbench("doctor", "bundeld"))


def test_a_reference_in_edms_format(tmp_path: Path) -> None:
    words = ("ref", "bundled[:20]", "--detector", "efficientnet-lite0", "--cache", tmp_path / "c")
    run = genbench(*words, "--format", "edm", "--out", tmp_path / "edm.npz")
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "edm.npz", allow_pickle=False) as file:
        assert set(file) == {"mu", "sigma", "meta"}
        assert (file["mu"].dtype, file["sigma"].shape) == (np.float64, (1280, 1280))


def _row(item: PaperFigures) -> str:
    protocol = f"`{item.protocol}`" if item.protocol else item.note
    reference = f"`{item.reference}`" if item.reference else ""
    return f"| {item.paper} | {item.figures} | {protocol} | {reference} |"


def test_the_page_has_every_paper_and_no_other() -> None:
    part = PAGE.read_text(encoding="utf-8").split("<!-- papers:")[1].split("<!-- end of")[0]
    rows = [line for line in part.splitlines() if line.startswith("| ")][1:]
    assert rows == [_row(item) for item in load_papers()]


def test_every_metric_is_explained() -> None:
    assert list(ABOUT) == list(METRICS)
    shown = genbench("ls", "metrics", "copies").stdout
    assert "held-out images" in shown
    assert "--metric copies --train IMAGES" in " ".join(shown.split())
    assert "fd with other detectors" in genbench("ls", "metrics", "fd").stdout
    assert "did you mean vendi?" in error_line(genbench("ls", "metrics", "vendy"))


def test_parts_of_names_and_words_of_titles_are_found() -> None:
    assert "edm:cifar10-32x32" in genbench("ls", "references", "edm").stdout
    assert "StudioGAN" not in genbench("ls", "papers", "MAR").stdout
    for text in ("imagenet64", "imagenet 64", "consistency models", "cm", "2303.01469"):
        assert "CM (arXiv:2303.01469)" in genbench("ls", "papers", text).stdout, text
