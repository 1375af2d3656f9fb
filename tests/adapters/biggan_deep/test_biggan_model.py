"""BigGAN-deep as a user meets it: checkpoints, options, bad files, the bundled weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from biggan_files import CONFIG, small_network, write_folder
from safetensors.torch import save_file
from strangers import error_line, genbench
from torch import Tensor

from genbench_adapters.biggan_deep.network import OFFICIAL, BigGANDeep

SAMPLE = ("sample", "--model", "biggan-deep", "--res", "32", "-n", "3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("biggan"), small_network())


def drawn(tmp_path: Path, *words: str | Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    out = tmp_path / "samples.npz"
    run = genbench(*SAMPLE, "--out", out, "--cache", tmp_path, *words)
    assert run.returncode == 0, run.stderr
    with np.load(out, allow_pickle=False) as file:
        images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = file["arr_0"]
    return images


def test_folder_file_and_safetensors_draw_the_same_images(folder: Path, tmp_path: Path) -> None:
    images = drawn(tmp_path, "--checkpoint", folder)
    assert images.shape == (3, 32, 32, 3)
    assert images.std() > 10
    assert np.array_equal(images, drawn(tmp_path, "--checkpoint", folder / "pytorch_model.bin"))
    state = {key: value.contiguous() for key, value in small_network().state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    assert np.array_equal(images, drawn(tmp_path, "--checkpoint", tmp_path / "model.safetensors"))


def test_plain_and_folded_differ_by_a_grey_level_at_most(folder: Path, tmp_path: Path) -> None:
    fast = drawn(tmp_path, "--checkpoint", folder, "--truncation", "0.4").astype(int)
    plain = drawn(tmp_path, "--checkpoint", folder, "--truncation", "0.4", "--plain").astype(int)
    assert abs(fast - plain).max() <= 1


def test_another_truncation_gives_other_images(folder: Path, tmp_path: Path) -> None:
    half = drawn(tmp_path, "--checkpoint", folder, "--truncation", "0.5")
    assert not np.array_equal(half, drawn(tmp_path, "--checkpoint", folder))


def test_given_classes_are_drawn_in_turn(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    words = ("--checkpoint", folder, "--labels", "7,2", "--out", out, "--cache", tmp_path)
    assert genbench(*SAMPLE, *words).returncode == 0
    with np.load(out, allow_pickle=False) as file:
        assert file["arr_1"].tolist() == [7, 2, 7]


def test_another_configuration_is_another_model(folder: Path, tmp_path: Path) -> None:
    """The order of blocks is in no shape: the same weights with another config.json are other
    samples, so the cache must not answer for them."""
    first = drawn(tmp_path, "--checkpoint", folder)
    other = tmp_path / "other"
    write_folder(other, small_network())
    config = json.loads((folder / "config.json").read_text())
    config["layers"][0], config["layers"][1] = config["layers"][1], config["layers"][0]
    (other / "config.json").write_text(json.dumps(config))
    assert not np.array_equal(first, drawn(tmp_path, "--checkpoint", other))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--truncation", "0"), "truncation 0.0 is outside (0, 1]"),
        (("--truncation", "1.5"), "truncation 1.5 is outside (0, 1]"),
        (("--truncation", "nan"), "truncation nan is outside (0, 1]"),
        (("--truncation", "much"), "--truncation must be of type float"),
        (("--trunction", "1"), "did you mean --truncation?"),
        (("--labels", "3,10"), "class 10 is not one of 0 … 9"),
        (("--labels", "-1"), "class -1 is not one of 0 … 9"),
        (("--labels", "shirts"), "use uniform, balanced, or class numbers"),
        (("--res", "48"), "no variant at resolution 48; it has 32, 128, 256, 512"),
        (("--res", "128"), "is a BigGAN-deep of 32 pixels, not 128: pass --res 32"),
    ],
)
def test_bad_options(folder: Path, tmp_path: Path, words: tuple[str, str], expected: str) -> None:
    run = genbench(*SAMPLE, "--checkpoint", folder, "--out", tmp_path / "x.npz", *words)
    assert expected in error_line(run)
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("classes", [4, 20])  # the second would do, silently, for its first ten
def test_another_number_of_classes(tmp_path: Path, classes: int) -> None:
    write_folder(tmp_path, small_network(dataclasses.replace(CONFIG, num_classes=classes)))
    run = genbench(*SAMPLE, "--checkpoint", tmp_path, "--out", tmp_path / "x.npz")
    assert f"is a BigGAN-deep of {classes} classes, not of 10" in error_line(run)


def test_published_weights_of_another_resolution(tmp_path: Path) -> None:
    with torch.device("meta"):
        keys = BigGANDeep(OFFICIAL[256]).state_dict()
    weights = tmp_path / "mine.bin"  # alone, as downloaded: no config.json says what it is
    torch.save({key: torch.zeros(1) for key in keys}, weights)
    sample = ("sample", "--model", "biggan-deep", "-n", "1", "--checkpoint", weights)
    run = genbench(*sample, "--res", "128", "--out", tmp_path / "x.npz")
    assert "published BigGAN-deep of 256 pixels, not 128: pass --res 256" in error_line(run)


State = dict[str, Tensor]


def without_a_tensor(state: State) -> None:
    del state["generator.gen_z.bias"]


def with_one_too_many(state: State) -> None:
    state["discriminator.bias"] = torch.zeros(1)


def misshapen(state: State) -> None:
    state["generator.bn.bias"] = torch.zeros(3)


def not_finite(state: State) -> None:
    state["generator.bn.bias"] = torch.full_like(state["generator.bn.bias"], torch.nan)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (without_a_tensor, "1 missing (generator.gen_z.bias)"),
        (with_one_too_many, "1 unexpected (discriminator.bias)"),
        (misshapen, "1 wrong shape (generator.bn.bias [3] for [8])"),
        (not_finite, "holds NaN or infinity in generator.bn.bias"),
    ],
)
def test_bad_weights(tmp_path: Path, spoil: Callable[[State], None], expected: str) -> None:
    write_folder(tmp_path, small_network())
    state = small_network().state_dict()
    spoil(state)
    torch.save(state, tmp_path / "pytorch_model.bin")
    run = genbench(*SAMPLE, "--checkpoint", tmp_path, "--out", tmp_path / "x.npz")
    assert expected in error_line(run)


def test_a_truncated_file_and_a_hostile_one(tmp_path: Path) -> None:
    class Marker:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
            return open, (str(tmp_path / "ran"), "w")

    weights = write_folder(tmp_path, small_network()) / "pytorch_model.bin"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    run = genbench(*SAMPLE, "--checkpoint", tmp_path, "--out", tmp_path / "x.npz")
    assert "damaged or cut short" in error_line(run)
    torch.save({"state": Marker()}, weights)
    run = genbench(*SAMPLE, "--checkpoint", tmp_path, "--out", tmp_path / "x.npz")
    assert "could run code and are refused" in error_line(run)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("{", "is not a JSON file"), ("[]", "holds no configuration"),
     ('{"layers": []}', "not a BigGAN-deep configuration"),
     ('{"layers": [[true, 4, 0]], "output_dim": 8}', "has a size below 1: correct it"),
     ('{"layers": [[true, 4, 1e999]], "output_dim": 8}', "not a BigGAN-deep configuration"),
     ('{"layers": [[true, 4, 4]], "output_dim": 8, "channel_width": 1e9}', "whole numbers up to"),
     ('{"layers": [[true, 4, 4]], "output_dim": 8, "channel_width": 90000}', "or over 100000"),
     ('{"layers": [[true, 4, 4]], "output_dim": 8, "channel_width": 1, '
      '"attention_layer_position": 0}', "needs 8 or more channels"),
     ("[" * 100_000, "is not a JSON file (it nests too deep)"),
     ('{"layrs": []}', "config.json: configuration keys ['layrs'] are not BigGAN-deep's")],
)  # fmt: skip
def test_bad_configuration(tmp_path: Path, text: str, expected: str) -> None:
    write_folder(tmp_path, small_network())
    (tmp_path / "config.json").write_text(text)
    run = genbench(*SAMPLE, "--checkpoint", tmp_path, "--out", tmp_path / "x.npz")
    assert expected in error_line(run)


def test_published_weights_that_nobody_has_named(tmp_path: Path) -> None:
    run = genbench("fid", "--model", "biggan-deep", "--res", "128", "--ref", "bundled")
    line = error_line(run)
    assert "biggan-deep-128-pytorch_model.bin of biggan-deep-128, published at https://" in line
    assert "--checkpoint" in line
    empty = genbench(*SAMPLE, "--checkpoint", tmp_path, "--out", tmp_path / "x.npz")
    assert "holds neither model.safetensors nor pytorch_model.bin" in error_line(empty)


def test_the_bundled_weights_draw_garments(tmp_path: Path) -> None:
    run = genbench(
        "fid", "--model", "biggan-deep", "--res", "32", "--labels", "balanced", "-n", "200",
        "--ref", "bundled[:400]", "--protocol", "bundled", "--metric", "precision", "--json",
        "--cache", tmp_path, "--records", tmp_path / "records.jsonl",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    assert (record["weight_kind"], record["card"]) == ("trained-here", "biggan-deep-32")
    assert record["value"] > 0.3  # the toy model has 0


def test_the_contract_holds() -> None:
    run = genbench("check", "biggan-deep", "--res", "32")
    assert run.returncode == 0, run.stdout
    offered = (
        "Trainable, BringsRecipes, RandomInit, Folding, TimedTraining, CountsEvaluations, "
        "Concurrent, Compilable"
    )
    assert f"✓ offers beyond sampling: {offered}\n" in run.stdout
    assert run.stdout.count("✓") == 13 + 9  # of timed training, the forms and a step
