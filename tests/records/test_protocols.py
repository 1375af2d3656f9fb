"""Protocols and references: data with a digest, strict about what they say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from genbench.errors import GenbenchError, UsageError
from genbench.metrics.catalogue import METRICS
from genbench.records.protocols import EvalProtocol, choose_protocol, load_protocols, with_weights


def test_every_shipped_protocol_is_sound() -> None:
    protocols = load_protocols()
    assert {"bundled", "standard", "adm-imagenet128"} <= set(protocols)
    for protocol in protocols.values():
        assert set(protocol.metrics) <= set(METRICS)
        assert protocol.source
    digests = [protocol.digest() for protocol in protocols.values()]
    assert len(set(digests)) == len(digests)


def test_what_decides_a_figure_changes_the_digest_and_words_do_not() -> None:
    protocol = load_protocols()["bundled"]
    for change in (
        {"detector": "inception"},
        {"reference": "x"},
        {"crop": "adm"},
        {"pr_neighbours": 5},
        {"pr_half": True},
        {"is_splits": 1},
        {"kid_subset_size": 100},
    ):
        assert dataclasses.replace(protocol, **change).digest() != protocol.digest()
    for words in ({"title": "x"}, {"counts": (5,)}, {"metrics": ("fid",)}, {"source": "y"}):
        assert dataclasses.replace(protocol, **words).digest() == protocol.digest()


DIGESTS = {
    "bundled": "722d89005aabfa4d",
    "standard": "19c687af6beb10d7",
    "adm-imagenet64": "4d2167b177f0401d",
    "adm-imagenet128": "e5c8fad0c35f32b4",
    "adm-imagenet256": "688ead1f68676c71",
    "adm-imagenet512": "f4408a993166487b",
    "torch-fidelity": "1e0dce864f63982e",
    "adm-lsun-bedroom256": "d8754a2dafbb44fd",
    "adm-lsun-cat256": "eb4d2bc7f54d0c47",
    "adm-lsun-horse256": "fef59c22eb0413fa",
    "edm-imagenet64": "e253901793406443",
    "edm-imagenet64-baseline": "bf3b594e96aea51a",
    "edm-cifar10": "271249fa1bd80f45",
    "edm-ffhq64": "d1a972f43526c7c4",
    "edm-afhqv2-64": "ad930d997414ade8",
    "edm2-imagenet512": "b8f1c07fcb3f29a3",
    "edm2-imagenet512-dinov2": "4a9b80aa58ff3fda",
    "edm2-imagenet64": "30d61bbe06e74d0b",
    "edm2-imagenet64-dinov2": "c67398d350d01970",
    "clean-fid": "58c2aa15cd1d6275",
    "cm-cifar10": "33350d32f3b4de77",
    "pytorch-fid": "f93457f100b8bfe1",
    "torchmetrics": "995c031a4c59b8ea",
    "mar-imagenet256": "8151402645f9fde4",
}


def test_digests_stay_what_they_were() -> None:
    """Of records that people keep: whoever adds a choice to protocols leaves these as they are."""
    found = {name: protocol.digest() for name, protocol in load_protocols().items()}
    assert found == found | DIGESTS


def test_a_choice_added_later_counts_only_where_it_is_made() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Later(EvalProtocol):
        mending: str = "none"

    assert Later(name="x").digest() == EvalProtocol(name="x").digest()
    assert Later(name="x", mending="all").digest() != EvalProtocol(name="x").digest()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[p]\ndetectr = 'x'", "did you mean detector?"),
        ("[p]\ncounts = 5", "counts"),
        ("[p]\npr_half = 1", "pr_half"),
        ("[p]\npr_neighbours = 0", "p.pr_neighbours 0 cannot be: give 1 or more"),
        ("[p]\nmetrics = ['fdi']", "there is no metric fdi; did you mean"),
        ("p = 3", "p 3 is not a table of keys"),
        ("[p\n", "not valid TOML"),
    ],
)
def test_slips_in_the_file_are_named(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "protocols.toml"
    path.write_text(text)
    with pytest.raises(GenbenchError, match=expected.replace("?", r"\?")):
        load_protocols(path)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[" * 5000, "nests lists or tables too deep"),
        ("9" * 5000, "is not valid TOML"),
        ("0x" + "f" * 5000, "holds a number that is too long"),
        ("{a=" * 300 + "1" + "}" * 300, "x"),
    ],
)
def test_bombs_in_toml_are_one_line(value: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(f"[x]\nkid_seed = {value}\n")
    with pytest.raises(GenbenchError, match=expected):
        load_protocols(path)


def test_an_error_is_one_line_whatever_it_names(tmp_path: Path) -> None:
    error = GenbenchError("a\nb\x1b[2J\u2028é\u200d漢")
    assert str(error) == "a\\nb\\x1b[2J\\u2028é\u200d漢"
    (tmp_path / "two\nlines.toml").write_text("=")
    with pytest.raises(GenbenchError) as caught:
        load_protocols(tmp_path / "two\nlines.toml")
    assert len(str(caught.value).splitlines()) == 1


def test_the_usual_protocol_of_a_model_and_the_users_changes() -> None:
    assert choose_protocol("", model_resolution=32).name == "bundled"
    assert choose_protocol("", model_resolution=128).name == "adm-imagenet128"
    assert choose_protocol("", model_resolution=128, referenced=True).name == "standard"
    assert choose_protocol("", model_resolution=16).name == "standard"
    assert choose_protocol("").name == "standard"
    changed = choose_protocol("bundled", detector="vgg16")
    assert changed.name == "bundled*"
    assert changed.digest() != choose_protocol("bundled").digest()
    with pytest.raises(UsageError, match="32 pixels"):
        choose_protocol("bundled", resolution=64)


def test_another_preprocessing_is_another_protocol_and_goes_with_its_detector() -> None:
    plain = choose_protocol("bundled")
    changed = choose_protocol("bundled", preprocessing="lite0_tf1")
    assert (changed.name, changed.preprocessing) == ("bundled*", "lite0_tf1")
    assert changed.digest() != plain.digest()
    own = EvalProtocol(name="own", preprocessing="cleanfid_clean", logits_bias=True)
    assert own.digest() != EvalProtocol(name="own").digest()


def test_weights_of_ones_own_make_another_protocol() -> None:
    protocol = load_protocols()["bundled"]
    own = with_weights(with_weights(protocol, "a" * 64), "b" * 64)
    assert own.name == "bundled*"
    assert len({protocol.digest(), own.digest(), with_weights(protocol, "a" * 64).digest()}) == 3


def test_half_precision_distances_are_no_default() -> None:
    assert not EvalProtocol(name="x").pr_half
