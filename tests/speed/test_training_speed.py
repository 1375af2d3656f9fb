"""Training steps that are timed: the forms do the same mathematics, at the paper's batch sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genbench.errors import UsageError
from genbench.models.optional import StepSetting, TrainingForm, TrainRun
from genbench.models.registry import with_defaults
from genbench.runtime.distributed import World
from genbench.runtime.progress import SilentReporter
from genbench.speed.training import training_forms
from genbench_adapters.adm import train_step
from genbench_adapters.adm.network import UNetConfig
from genbench_adapters.adm.train_step import DenoiserStep
from genbench_adapters.adm.variants import Upsampler, Variant
from genbench_adapters.biggan_deep import train_step as biggan_step
from genbench_adapters.hit import train_step as hit_step

CPU = torch.device("cpu")
SMALL = UNetConfig(
    image_size=16, model_channels=32, out_channels=6, num_res_blocks=1, num_classes=10,
    attention_resolutions=(2,), channel_mult=(1, 2), num_heads=4, use_scale_shift_norm=True,
    resblock_updown=True,
)  # fmt: skip
VARIANT = Variant(name="adm-16", resolution=16, unet=SMALL, parameters=0, file="")


def setting(dtype: torch.dtype = torch.float32, *, compiles: bool = False) -> StepSetting:
    run = TrainRun(
        config=Path(), data="synthetic", out=Path(), world=World(), device=CPU,
        reporter=SilentReporter(),
    )  # fmt: skip
    return StepSetting(run=run, batch=2, dtype=dtype, compile=compiles)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Published ADMs of 16 pixels, so that a step takes no time."""
    upsampler = Upsampler(small=8, unet=SMALL, file="")
    monkeypatch.setattr(train_step, "VARIANTS", (VARIANT,))
    monkeypatch.setattr(train_step, "UPSAMPLERS", {16: upsampler})
    monkeypatch.setattr(train_step, "UPSAMPLER_NAMES", {"adm-8-16": 16})


def stepped(network: str, form: str, given: StepSetting) -> tuple[DenoiserStep, list[Tensor]]:
    """The training after one step, and the weights it began with."""
    named = TrainingForm(network=network, resolution=16, name=form, note="")
    step = DenoiserStep(named, given)
    step.ema.decay = 0.5  # so that one step shows
    starts = [parameter.detach().clone() for parameter in step.network.parameters()]
    step(0)
    return step, starts


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("network", ["adm-16", "adm-8-16"])
def test_naive_and_optimised_are_the_same_mathematics(network: str) -> None:
    naive, starts = stepped(network, "naive", setting())
    fast, others = stepped(network, "optimised", setting())
    pairs = zip(naive.network.parameters(), fast.network.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(starts, others, strict=True))
    met = 0
    for ours, theirs in pairs:
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)
        met += bool(ours.grad.abs().max() > 1e-4)
    assert met >= 2  # most layers begin behind zeros, the last ones do not


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("form", ["naive", "optimised"])
def test_a_step_moves_weights_and_their_average(form: str) -> None:
    step, starts = stepped("adm-16", form, setting())
    average = step.ema.averaged.parameters()
    moved = 0
    for start, now, mean in zip(starts, step.network.parameters(), average, strict=True):
        assert torch.allclose(mean, (start + now) / 2, rtol=0, atol=2e-7)
        moved += bool((now - start).abs().max() > 0.9e-4)  # AdamW's first step is its rate
    assert moved >= 2


@pytest.mark.usefixtures("small")
def test_half_precision_trains_float32_weights() -> None:
    step, starts = stepped("adm-16", "optimised", setting(torch.bfloat16))
    weights = list(step.network.parameters())
    assert all(weight.dtype == torch.float32 and weight.isfinite().all() for weight in weights)
    assert any(not torch.equal(a, b) for a, b in zip(weights, starts, strict=True))


def test_the_forms_are_those_of_table_7_at_its_batch_sizes() -> None:
    found = {
        (form.network, form.name): form.published_batch
        for size in (64, 128, 256, 512)
        for form in training_forms(with_defaults("adm-guided"), size)
    }
    assert found == {
        ("adm-64", "naive"): 32, ("adm-64", "optimised"): 96,
        ("adm-128", "naive"): 4, ("adm-128", "optimised"): 32,
        ("adm-256", "naive"): 4, ("adm-256", "optimised"): 8,
        ("adm-64-256", "naive"): 4, ("adm-64-256", "optimised"): 12,
        ("adm-128-512", "naive"): 2, ("adm-128-512", "optimised"): 2,
    }  # fmt: skip


def test_families_say_where_they_have_no_recipe() -> None:
    assert training_forms(with_defaults("toy"), 32) == []
    assert training_forms(with_defaults("biggan-deep"), 512) == []
    (form,) = training_forms(with_defaults("biggan-deep"), 128)
    assert (form.published_batch, form.passes) == (0, 0)
    assert [form.network for form in training_forms(with_defaults("hit"), 128)] == ["hit-128"]


@pytest.mark.parametrize(
    ("module", "form"),
    [(biggan_step, "biggan-deep-32"), (hit_step, "hit-32"), (train_step, "adm-guided-32")],
)
def test_recipes_refuse_what_they_do_not_train_in(module: object, form: str) -> None:
    step: Callable[[TrainingForm, StepSetting], object] = getattr(module, "training_step")  # noqa: B009
    named = TrainingForm(network=form, resolution=32, name="recipe", note="")
    with pytest.raises(UsageError, match="float32 or bfloat16"):
        step(named, setting(torch.float16))


def test_hits_second_derivatives_cannot_be_compiled() -> None:
    (form,) = training_forms(with_defaults("hit"), 32)
    with pytest.raises(UsageError, match="no second derivatives"):
        hit_step.training_step(form, setting(compiles=True))
