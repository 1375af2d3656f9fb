"""Pipelines of diffusers, tiny and with random weights, saved and loaded by the library's own
format: sampled by index, counted, and every slip told in one line."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_records import made
from safetensors.torch import save_file
from strangers import error_line, genbench
from tiny_pipelines import text_to_image, tiny_vae

from genbench.api import open_model
from genbench.errors import GenbenchError, UsageError
from genbench.images.autoencoders import find_autoencoder
from genbench.images.latents import open_latents
from genbench.models.reopening import reopened
from genbench.models.source import ModelSource
from genbench.tables.columns import Column
from genbench.tables.record_commands import command_for
from genbench.weights.hub_folders import folder_digest, pickles_in

diffusers: Any = pytest.importorskip("diffusers")


def _unet(**options: Any) -> Any:
    return diffusers.UNet2DModel(
        sample_size=8, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, **options,
    )  # fmt: skip


def _dit() -> Any:
    network = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=8, num_layers=1,
        sample_size=8, patch_size=4, norm_num_groups=4,
    )  # fmt: skip
    for part in network.parameters():  # published ones are zero at the end before training
        torch.nn.init.normal_(part, std=0.2)
    return diffusers.DiTPipeline(network, tiny_vae(), diffusers.DDPMScheduler())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipelines")
    diffusers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = {
            "ddpm": diffusers.DDPMPipeline(_unet(), diffusers.DDPMScheduler()),
            "dit": _dit(),
            "consistency": diffusers.ConsistencyModelPipeline(
                _unet(num_class_embeds=5, resnet_time_scale_shift="scale_shift"),
                diffusers.CMStochasticIterativeScheduler(),
            ),
        }
    for name, pipeline in made.items():
        pipeline.save_pretrained(folder / name)
    return folder


def opened(folder: Path, *, block: int = 4, seed: int = 0, **options: Any) -> ModelSource:
    return open_model(f"diffusers:{folder}", options={"steps": 2} | options, device="cpu",
                      block=block, seed=seed)  # fmt: skip


def images(source: ModelSource, start: int = 0, stop: int = 4) -> torch.Tensor:
    return torch.cat(list(source.images(start, stop)))


@pytest.mark.parametrize("name", ["ddpm", "dit", "consistency"])
def test_a_sample_depends_on_seed_and_index_alone(saved: Path, name: str) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    source = opened(saved / name)
    whole = images(source)
    assert whole.shape == (4, 3, 16, 16) if name == "dit" else (4, 3, 8, 8)
    assert torch.equal(torch.get_rng_state(), before)
    single = images(source.asked_otherwise(block=1))
    assert int((single.int() - whole.int()).abs().max()) <= 1  # kernels may round otherwise
    assert torch.equal(images(source, 2, 3), whole[2:3])
    assert not torch.equal(images(source.asked_otherwise(seed=1)), whole)


def test_it_draws_what_the_library_draws(saved: Path) -> None:
    source = opened(saved / "ddpm", block=2)
    words = source.noise(0, 2).integers(2**31, (2,)).tolist()
    generators = [torch.Generator().manual_seed(a * 2**31 + b) for a, b in words]
    pipeline = diffusers.DDPMPipeline.from_pretrained(saved / "ddpm")
    pipeline.set_progress_bar_config(disable=True)
    own = pipeline(batch_size=2, generator=generators, num_inference_steps=2, output_type="np")
    expected = torch.from_numpy((own.images * 255).round().astype("uint8")).permute(0, 3, 1, 2)
    assert torch.equal(images(source, 0, 2), expected)


def test_classes_and_evaluations_are_those_of_the_network(saved: Path) -> None:
    dit = opened(saved / "dit", guidance=2.0)
    assert dit.card.classes == 1000
    images(dit)
    assert dit.evaluations(0, 1)[0, 0] == 4  # two steps, twice for guidance
    unguided = opened(saved / "dit", guidance=1.0)
    images(unguided)
    assert unguided.evaluations(0, 1)[0, 0] == 2
    consistency = opened(saved / "consistency", steps=0)
    assert consistency.card.classes == 5
    images(consistency)
    assert consistency.evaluations(0, 1)[0, 0] == consistency.card.nfe == 1


def test_labels_decide_what_a_class_conditional_pipeline_draws(saved: Path) -> None:
    folder = f"diffusers:{saved / 'dit'}"
    one, other = (
        open_model(folder, options={"steps": 2}, labels=labels, device="cpu", block=2)
        for labels in ("3", "4")
    )
    assert not torch.equal(images(one, 0, 2), images(other, 0, 2))


def test_another_scheduler_is_another_model(saved: Path) -> None:
    own, ddim = opened(saved / "ddpm"), opened(saved / "ddpm", scheduler="ddim")
    assert own.digest() != ddim.digest()
    assert not torch.equal(images(own), images(ddim))
    with pytest.raises(UsageError, match="did you mean DDIMScheduler"):
        opened(saved / "ddpm", scheduler="DDIMSchedule")


def test_changed_weights_are_another_model(saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved / "ddpm", tmp_path / "ddpm")
    before = opened(folder).spec.checkpoint_digest
    path = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"beta_end": 0.03}))
    assert opened(folder).spec.checkpoint_digest != before


def test_linked_folders_are_part_of_a_pipeline(saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved / "ddpm", tmp_path / "ddpm")
    before = opened(folder).spec.checkpoint_digest
    (folder / "unet").rename(tmp_path / "unet")
    (folder / "unet").symlink_to(tmp_path / "unet")
    assert opened(folder).spec.checkpoint_digest == before
    (folder / "unet" / "back").symlink_to(folder)  # never ends if followed
    path = folder / "unet" / "config.json"
    path.write_text(path.read_text() + " ")
    assert folder_digest(folder) != before
    (folder / "unet" / "back").unlink()
    assert opened(folder).spec.checkpoint_digest != before
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.rename(weights.with_suffix(".bin"))
    assert pickles_in(folder) == [folder / "unet" / weights.with_suffix(".bin").name]


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        pytest.param("model_index.json", DEEP, "is not JSON (", id="deep"),
        ("vae/config.json", '{"block_out_channels": 5}', "no list of block_out_channels"),
        ("transformer/config.json", '{"sample_size": 8, "num_embeds_ada_norm": "x"}',
         "has no number of classes: x"),
    ],
)  # fmt: skip
def test_a_damaged_configuration_is_one_line(
    saved: Path, tmp_path: Path, name: str, text: str, told: str
) -> None:
    folder = shutil.copytree(saved / "dit", tmp_path / "dit")
    (folder / name).write_text(text)
    with pytest.raises(GenbenchError, match=re.escape(told)):
        opened(folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "holds no configuration"),
        pytest.param(DEEP, "cannot be read", id="deep"),
        *[
            (f'{{"_class_name": "AutoencoderKL", "scaling_factor": {value}}}', told)
            for value, told in [
                ('"abc"', "no number"), ("[1, 2]", "no number"), ("NaN", "no number"),
                ("1e999", "no number"), ("0", "scaling_factor of 0"),
            ]
        ],
    ],
)  # fmt: skip
def test_a_damaged_autoencoder_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "config.json").write_text(text)
    (tmp_path / "w.safetensors").touch()
    with pytest.raises(GenbenchError, match=told):
        find_autoencoder(f"vae:{tmp_path}")


def test_a_record_opens_it_again_unless_the_folder_changed(saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved / "ddpm", tmp_path / "ddpm")
    source = opened(folder)
    record = replace(made(source.name, "fd", 1.0), **vars(source.subject()))
    line = command_for(record, Column(metric="recall", title=""), record)
    assert "--checkpoint" not in line  # which a model that names its own weights refuses
    again = reopened(record, torch.device("cpu"))
    assert torch.equal(images(again), images(source))
    (folder / "unet" / "more.json").write_text("{}")
    with pytest.raises(GenbenchError, match="is not the weights of the run"):
        reopened(record, torch.device("cpu"))


def test_pickled_weights_are_loaded_only_when_trusted(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    pipeline = diffusers.DDPMPipeline.from_pretrained(saved / "ddpm")
    pipeline.save_pretrained(folder, safe_serialization=False)
    with pytest.raises(GenbenchError, match=r"is pickled and has no safetensors.*--pickles true"):
        opened(folder)
    assert torch.equal(images(opened(folder, pickles=True)), images(opened(saved / "ddpm")))


def test_it_passes_the_contract(saved: Path) -> None:
    run = genbench("check", f"diffusers:{saved / 'ddpm'}", "--steps", "2")
    assert run.returncode == 0, run.stdout
    assert "✓ the same (seed, i) gives the same image" in run.stdout


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("ddpm", ("--res", "16"), "has images of 8 pixels: leave out --res"),
        ("ddpm", ("--guidance", "2"), "takes no guidance_scale: leave out --guidance"),
        ("ddpm", ("--labels", "3"), "this model is unconditional"),
        ("ddpm", ("--checkpoint", "x"), "names its own weights: leave out --checkpoint"),
        ("ddpm", ("--steps", "-1"), "--steps -1: a number of steps"),
        ("none", (), "there is no folder"),
        ("", (), "holds no model_index.json"),
    ],
)
def test_a_slip_is_one_line_with_the_remedy(
    saved: Path, tmp_path: Path, name: str, options: tuple[str, ...], told: str
) -> None:
    run = genbench("sample", "--model", f"diffusers:{saved / name}", "-n", "1",
                   "--out", tmp_path / "o.png", "--cache", tmp_path, *options)  # fmt: skip
    assert told in error_line(run)


def test_code_of_a_folder_is_not_run(saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved / "ddpm", tmp_path / "ddpm")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "MyPipeline"}))
    with pytest.raises(GenbenchError, match="code that comes with a folder is not run"):
        opened(folder)


def test_a_network_without_the_labels_it_needs_is_refused(saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved / "consistency", tmp_path / "c")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "DDPMPipeline"}))
    with pytest.raises(GenbenchError, match="gives its network no class labels"):
        opened(folder)


def test_a_damaged_file_is_one_line(saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved / "ddpm", tmp_path / "ddpm")
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(GenbenchError, match="cannot be loaded as DDPMPipeline"):
        opened(folder)


def test_a_hub_id_without_a_network_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(GenbenchError, match="nobody/nothing@v1 is no folder here and cannot be"):
        open_model("diffusers:nobody/nothing@v1", device="cpu")


def test_without_the_library_it_says_how_to_get_it(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "genbench_adapters.diffusers_pipelines.library.find_spec", lambda name: None
    )
    with pytest.raises(GenbenchError, match=r"pip install 'genbench\[diffusers\]'"):
        opened(saved / "ddpm")


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_stored_latents_are_decoded_as_the_library_does(
    saved: Path, tmp_path: Path, ending: str
) -> None:
    vae = diffusers.AutoencoderKL.from_pretrained(saved / "dit" / "vae")
    latents = torch.randn(10, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    path = tmp_path / f"latents.{ending}"
    if ending == "npz":
        np.savez(path, latents=latents.numpy(), labels=np.arange(10))
    else:
        save_file({"latents": latents}, path)
    opened = open_latents(str(path), f"vae:{saved / 'dit' / 'vae'}", torch.device("cpu"))
    with torch.no_grad():
        own = vae.decode(latents / vae.config.scaling_factor).sample
    whole = opened.read(0, 10)
    wanted = (own * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    assert int((whole.int() - wanted.int()).abs().max()) <= 1
    assert torch.equal(opened.read(5, 9), whole[5:9])


def test_latents_are_measured_from_the_command_line(saved: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "latents.npz", np.random.default_rng(0).normal(size=(6, 4, 16, 16)))
    vae = f"vae:{saved / 'dit' / 'vae'}"
    run = genbench("fid", "--samples", "latents.npz", "--decode", vae, "--ref", "bundled[:6]",
                   "--protocol", "bundled", "--metric", "fd", "-n", "6", "--cache", tmp_path,
                   cwd=tmp_path)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "latents.npz decoded by vae" in run.stdout


def test_a_function_may_return_latents(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "gen.py").write_text("def latents(z):\n    return z\n")
    vae = f"vae:{saved / 'dit' / 'vae'}"
    source = open_model(f"{tmp_path}/gen.py:latents", device="cpu", block=2,
                        options={"latent": "4,8,8", "decode": vae})  # fmt: skip
    assert images(source, 0, 2).shape == (2, 3, 16, 16)
    told = str(source.subject().options["decode"])
    assert "#sha256=" in told
    assert "scaling=0.18215" in told
    again = open_model(f"{tmp_path}/gen.py:latents", device="cpu", block=2,
                       options={"latent": "4,8,8", "decode": told})  # fmt: skip
    assert again.digest() == source.digest()  # as a record's options are given again


@pytest.mark.parametrize(
    ("decode", "told"),
    [
        ("{saved}/dit/vae", "write vae:FOLDER"),
        ("vae:{saved}/dit", "holds no config.json"),
        ("vae:{saved}/ddpm/unet", "is a UNet2DModel, not an AutoencoderKL"),
        ("vae:{saved}/dit/vae#sha256=00", "not the autoencoder on record"),
    ],
)
def test_what_decodes_nothing_is_one_line(saved: Path, decode: str, told: str) -> None:
    with pytest.raises(GenbenchError, match=told):
        find_autoencoder(decode.format(saved=saved))


def test_latents_of_other_channels_are_refused(saved: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "l.npz", np.zeros((2, 3, 8, 8), np.float32))
    with pytest.raises(GenbenchError, match=r"latents \[2, 3, 8, 8\] do not fit"):
        open_latents(str(tmp_path / "l.npz"), f"vae:{saved / 'dit' / 'vae'}", torch.device("cpu"))


def test_text_to_image_takes_one_prompt_a_sample(tmp_path: Path) -> None:
    text_to_image(tmp_path)
    (tmp_path / "prompts.txt").write_text("a cat\nzz\n\nq w e\n")
    prompts = str(tmp_path / "prompts.txt")
    with pytest.raises(UsageError, match="pass --prompts FILE, one prompt a line"):
        opened(tmp_path / "sd")
    source = opened(tmp_path / "sd", prompts=prompts)
    whole = images(source, 0, 4)
    assert whole.shape == (4, 3, 16, 16)
    assert source.evaluations(0, 1)[0, 0] == 4  # two steps, guided
    single = images(source.asked_otherwise(block=1), 0, 4)
    assert int((single.int() - whole.int()).abs().max()) <= 1
    (tmp_path / "prompts.txt").write_text("a cat\nother\nq w e\n")
    changed = opened(tmp_path / "sd", prompts=prompts)
    assert changed.digest() != source.digest()  # the file's content counts
    differs = (images(changed, 0, 4) != whole).flatten(1).any(1)
    assert differs.tolist() == [False, True, False, False]
