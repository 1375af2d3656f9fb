"""Parity with the official implementations: every case of tests/parity, and what makes one fail."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity import cases, checked, main
from parity_cases import Check, UnknownCaseError, open_case
from parity_weights import RECIPE, made_weights

ROOT = Path(__file__).parents[2]
PARITY = ROOT / "tests" / "parity"
FURTHER = ROOT.parent / "shared" / "parity"

# How many comparisons every case makes, so that none can pass by making none.
CHECKS = {
    "adm_classifier_adaptive.npz": 6,
    "adm_classifier_attention.npz": 6,
    "adm_sample_ddim10_eta05_guided.npz": 5,
    "adm_sample_ddim10_noclip.npz": 5,
    "adm_sample_ddim25_guided.npz": 5,
    "adm_sample_ddpm20.npz": 5,
    "adm_sample_ddpm25_cosine_guided.npz": 5,
    "adm_sample_upsampler10.npz": 5,
    "adm_sampler_models.npz": 0,  # the networks of the five trajectories at 16 pixels
    "adm_schedules.npz": 5,
    "adm_superres_numheads.npz": 5,
    "adm_unet_legacy_headchannels_uncond_half.npz": 5,
    "adm_unet_legacy_numheads.npz": 5,
    "adm_unet_legacy_numheads_fp16out.npz": 2,
    "adm_unet_new_headchannels.npz": 5,
    "adm_unet_plain_convresample.npz": 5,
    "biggan_tiny128.npz": 17,
    "biggan_tiny256.npz": 15,
    "biggan_truncation_index.npz": 1,
    "biggan_truncnorm.npz": 2,
    "cm_tiny.npz": 9,
    "edm_dhariwal_cond.npz": 16,
    "edm_dhariwal_uncond_aug.npz": 7,
    "edm_onestep.npz": 11,
    "edm_song_ddpmpp_cond.npz": 8,
    "edm_song_ncsnpp.npz": 16,
    "hit_tiny128.npz": 4,
    "hit_tiny32.npz": 6,
    "hit_tiny32_ckpt": 2,
    "hit_tiny32_multihead_layernorm.npz": 4,
}


def checks_of(path: Path) -> list[Check]:
    return list(checked(open_case(path)))


def failed(checks: list[Check]) -> list[str]:
    return [str(check) for check in checks if not check.passed]


def write_case(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    held: dict[str, Any] = {"__meta__": np.array(json.dumps(meta)), **arrays}
    np.savez(path, **held)


def test_every_case_is_counted() -> None:
    # Those of metrics/ are counted where the tests of their rooms are.
    found = {path.name for path in cases([PARITY]) if path.parent.name != "metrics"}
    assert found == set(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_official_outputs_are_reproduced(name: str) -> None:
    checks = checks_of(PARITY / name)
    assert not failed(checks)
    assert len(checks) == CHECKS[name]


def test_a_published_folder_of_biggan(tmp_path: Path) -> None:
    """Its files hold what the case names by seed, and nothing else tells how to read them."""
    case = open_case(Path(shutil.copy(PARITY / "biggan_tiny128.npz", tmp_path)))
    folder = tmp_path / "biggan_tiny128_ckpt"
    folder.mkdir()
    torch.save(case.state(), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(case.meta["config"]))
    checks = checks_of(folder)
    assert not failed(checks)
    assert len(checks) == 7


@pytest.mark.skipif(not FURTHER.is_dir(), reason="further cases lie beside the repository alone")
def test_further_official_outputs_are_reproduced() -> None:
    """Weights stored, not made; another draw of everything; the 250 steps of the papers."""
    checks = []
    for path in cases([FURTHER]):
        with suppress(UnknownCaseError):
            checks += checks_of(path)
    assert not failed(checks)
    assert len(checks) >= 131


HIT_BLOCK = "var/ema_generator/blocks/1/layer_with_weights-1"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("adm_unet_legacy_numheads.npz", "sd/middle_block.1.qkv.weight"),
        ("adm_unet_legacy_headchannels_uncond_half.npz", "sd/input_blocks.1.0.out_layers.3.bias"),
        ("adm_unet_new_headchannels.npz", "sd/label_emb.weight"),
        ("adm_unet_plain_convresample.npz", "sd/input_blocks.2.0.op.bias"),
        ("adm_superres_numheads.npz", "sd/time_embed.0.weight"),
        ("adm_classifier_attention.npz", "sd/out.2.positional_embedding"),
        ("adm_classifier_adaptive.npz", "sd/out.0.weight"),
        ("biggan_tiny128.npz", "sd/generator.layers.8.gamma"),
        ("biggan_tiny256.npz", "sd/generator.layers.3.bn_1.running_vars"),
        ("cm_tiny.npz", "sd/output_blocks.0.1.qkv.weight"),
        ("edm_dhariwal_cond.npz", "sd/model.enc.8x8_block0.qkv.weight"),
        ("edm_onestep.npz", "sd/model.map_label.weight"),
        ("edm_song_ddpmpp_cond.npz", "sd/model.dec.16x16_up.skip.weight"),
        ("edm_song_ncsnpp.npz", "sd/model.map_noise.freqs"),
        ("hit_tiny128.npz", f"{HIT_BLOCK}/attention_layer/key_dense/kernel"),
        ("hit_tiny32_multihead_layernorm.npz", f"{HIT_BLOCK}/norm_layer/gamma"),
    ],
)
def test_a_change_of_one_tensor_fails(tmp_path: Path, name: str, key: str) -> None:
    """By a hundredth; a tensor that is stored goes before the one made from the seed."""
    case = open_case(PARITY / name)
    key = next(made for made in case.meta["weights"]["keys"] if made.startswith(key))
    other = made_weights(case.meta["weights"])[key] * np.float32(1.01)
    write_case(tmp_path / name, case.meta, {**case.arrays, key: other})
    assert failed(checks_of(tmp_path / name))


@pytest.mark.parametrize("name", [name for name in CHECKS if name.startswith("adm_sample_")])
def test_another_guide_or_network_fails_a_trajectory(tmp_path: Path, name: str) -> None:
    for part in ("adm_sampler_models.npz", "adm_superres_numheads.npz"):
        case = open_case(PARITY / part)
        kept = [key for key in case.meta["weights"]["keys"] if key.startswith("unet/")]
        made = made_weights(case.meta["weights"])
        weights = {**case.meta["weights"], "seed": 99}
        guided = "guided" in name  # then the guide alone is another
        stored = {key: made[key] for key in kept} if guided else {}
        write_case(tmp_path / part, {**case.meta, "weights": weights}, {**case.arrays, **stored})
    assert failed(checks_of(Path(shutil.copy(PARITY / name, tmp_path))))


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("right.npz", 0, "right.npz truncated noise of seed 1: error 0, tolerance 0: pass"),
        ("wrong.npz", 1, "wrong.npz truncated noise of seed 0: error 0.001, tolerance 0: FAIL"),
        ("stranger.npz", 1, "skipped: stranger.npz: no family of genbench knows this case yet"),
    ],
)
def test_the_exit_code_tells(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    code: int,
    said: str,
) -> None:
    case = open_case(PARITY / "biggan_truncnorm.npz")
    wrong = {**case.arrays, "seed0": case.arrays["seed0"] + np.float32(1e-3)}
    write_case(tmp_path / "right.npz", case.meta, case.arrays)
    write_case(tmp_path / "wrong.npz", case.meta, wrong)
    write_case(tmp_path / "stranger.npz", {}, {"a": np.zeros(1)})
    monkeypatch.setattr(sys, "argv", ["parity.py", str(tmp_path / name)])
    assert main() == code
    assert said in "".join(capsys.readouterr())


def test_it_runs_as_a_command() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "parity.py"), str(PARITY / "none")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, "0 of 0 checks passed\n"), run.stderr


def test_the_recipe_makes_the_same_bits_everywhere() -> None:
    """Else every case would fail, and the networks would be suspected."""
    case = open_case(PARITY / "biggan_tiny128.npz")
    made = made_weights(case.meta["weights"])
    bits = hashlib.sha256(b"".join(made[name].astype("<f4").tobytes() for name in sorted(made)))
    assert bits.hexdigest()[:16] == "641fc74310985b93"
    assert all(tensor.any() and np.isfinite(tensor).all() for tensor in made.values())


def test_weights_of_another_recipe_are_refused() -> None:
    keys = {"sd/a": ["float32", [2]]}
    with pytest.raises(ValueError, match="genbench-parity-2"):
        made_weights({"recipe": "genbench-parity-2", "seed": 0, "keys": keys})
    with pytest.raises(ValueError, match="int64"):
        made_weights({"recipe": RECIPE, "seed": 0, "keys": {"sd/a": ["int64", [2]]}})
