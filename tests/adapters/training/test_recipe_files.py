"""Recipe files: every value must be of the kind and range its key takes, in every family."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tiny_recipes import refusal

from genbench.errors import UsageError
from genbench_adapters.adm.train import AdmRecipe
from genbench_adapters.biggan_deep.train import BigGANRecipe
from genbench_adapters.emd.distill import EmdRecipe
from genbench_adapters.hit.recipe import HiTRecipe
from genbench_adapters.training.recipes import read_recipe

ADAPTERS = Path(__file__).parents[3] / "adapters" / "genbench_adapters"
BUNDLED = {"adm": AdmRecipe, "biggan_deep": BigGANRecipe, "emd": EmdRecipe, "hit": HiTRecipe}


def changed(folder: Path, family: str, key: str, value: str) -> Path:
    """The bundled recipe of a family with another value of a key."""
    text = (ADAPTERS / family / "fashion-mnist-32.toml").read_text()
    others = re.sub(rf"^{key} = .*$", "", text, flags=re.MULTILINE)
    path = folder / "recipe.toml"
    path.write_text(f"{others}\n{key} = {value}\n")
    return path


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("precision", '"float16"', "precision float16 is not one; did you mean bfloat16?"),
        ("precision", "16", "precision 16 is not one; known: bfloat16, float32"),
        ("batch", "0", "batch 0 cannot be: give 1 or more"),
        ("batch", "8.0", "batch 8.0 is not a whole number: correct it"),
        ("batch", "true", "batch True is not a whole number: correct it"),
        ("save_every", "0", "save_every 0 cannot be: give 1 or more"),
        ("preview_every", '"often"', "preview_every 'often' is not a whole number"),
        ("ema", '"0.9"', "ema '0.9' is not a number: correct it"),
        ("ema", "nan", "ema is no finite number: correct it"),
        ("ema", "[0.9]", "ema [0.9] is not a number: correct it"),
        ("ema", "1.5", "ema 1.5 cannot be: give 0 to 1"),
        ("ema", "-0.1", "ema -0.1 cannot be: give 0 to 1"),
    ],
)
@pytest.mark.parametrize("family", BUNDLED)
def test_values_of_another_kind_or_range(
    tmp_path: Path, family: str, key: str, value: str, expected: str
) -> None:
    path = changed(tmp_path, family, key, value)
    with pytest.raises(UsageError, match=re.escape(f"{path}: {expected}")):
        read_recipe(path, BUNDLED[family])


@pytest.mark.parametrize(
    ("family", "key", "value", "expected"),
    [
        ("adm", "noise_schedule", '"cosin"', "noise_schedule cosin is not one; did you mean"),
        ("adm", "snr_limits", "1.0", "snr_limits 1.0 is not a list: correct it"),
        ("adm", "snr_limits", '[1.0, "a"]', "snr_limits[1] 'a' is not a number: correct it"),
        ("adm", "predict_xstart", "1", "predict_xstart 1 is not true or false: correct it"),
        ("biggan_deep", "layers", "[[1, 2, 0.5]]", "layers[0][2] 0.5 is not a whole number"),
        ("emd", "weighting", '"SNR"', "weighting SNR is not one; known: likelihood, snr"),
        ("adm", "channel_mult", "[1, 0]", "channel_mult[1] 0 cannot be: give 1 or more"),
        ("adm", "rate", "-0.1", "rate -0.1 cannot be: give 0 or more"),
        ("biggan_deep", "layers", "[[1, 2, -1]]", "layers[0][2] -1 cannot be: give 0 or more"),
        ("biggan_deep", "discriminator_widths", "[]", "discriminator_widths is empty: give one"),
        ("emd", "score_rate", "-1e-4", "score_rate -0.0001 cannot be: give 0 or more"),
        ("emd", "sigma", "0", "sigma 0 cannot be: give more than 0"),
        (
            "hit",
            "discriminator",
            '"papers"',
            "discriminator papers is not one; did you mean paper?",
        ),
        ("hit", "discriminator_steps", "3", "discriminator_steps 3 cannot be: give 1 to 2"),
        ("hit", "initial", "1", "initial 1 is not a text: correct it"),
        ("hit", "generator_rate", "-1e-4", "generator_rate -0.0001 cannot be: give 0 or more"),
        ("hit", "r1", "-1", "r1 -1 cannot be: give 0 or more"),
        ("hit", "r1_every", "0", "r1_every 0 cannot be: give 1 or more"),
        ("hit", "latent", "0", "latent 0 cannot be: give 1 or more"),
        ("hit", "dims", "[-128, 64, 32]", "dims[0] -128 cannot be: give 1 or more"),
        ("hit", "discriminator_widths", "[]", "bring 32 pixels to 32, not 4"),
    ],
)
def test_values_of_one_familys_keys(
    tmp_path: Path, family: str, key: str, value: str, expected: str
) -> None:
    path = changed(tmp_path, family, key, value)
    with pytest.raises(UsageError, match=re.escape(expected)):
        read_recipe(path, BUNDLED[family])


@pytest.mark.parametrize("family", BUNDLED)
def test_missing_keys_are_named(tmp_path: Path, family: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("steps = 3")
    with pytest.raises(UsageError, match=r"recipe\.toml: lacks .*\bbatch\b.*: add what is missing"):
        read_recipe(path, BUNDLED[family])


@pytest.mark.parametrize("family", BUNDLED)
def test_whole_numbers_are_numbers_and_the_bundled_recipes_are_read(
    tmp_path: Path, family: str
) -> None:
    assert read_recipe(changed(tmp_path, family, "ema", "1"), BUNDLED[family]).ema == 1


def test_the_command_says_so_in_one_line(tmp_path: Path) -> None:
    expected = "precision float16 is not one; did you mean bfloat16? known: bfloat16, float32"
    assert expected in refusal(tmp_path, "hit", 'precision = "float16"')
