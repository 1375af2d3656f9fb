"""No sampler makes the host wait for a GPU before its images are asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from edm_files import ADM_LIKE, NCSNPP, small_network
from emd_files import unet_config
from synchronisations import GPU, synchronisations
from torch import Tensor

from genbench.images.rounding import finiteness_left
from genbench.models.noise import NoiseStream
from genbench.models.opening import ModelRequest, open_model, resolve
from genbench_adapters.adm.network import UNet
from genbench_adapters.emd.consistency import Consistency
from genbench_adapters.emd.denoisers import AdmDenoiser, EdmDenoiser
from genbench_adapters.emd.diffusion import EDMGenerator
from genbench_adapters.emd.network import EDMConfig
from genbench_adapters.emd.one_step import OneStepGenerator
from genbench_adapters.emd.sampler import EDMSampling

INDICES = torch.arange(2, device=GPU)


@pytest.mark.parametrize(
    ("name", "labels", "dtype"),
    [("hit", "uniform", "bfloat16"), ("biggan-deep", "3,1,4", "bfloat16"),
     ("biggan-deep", "balanced", "float32"), ("emd", "uniform", "float32"),
     ("toy", "uniform", "float32")],
)  # fmt: skip
def test_from_sample_numbers_to_images(name: str, labels: str, dtype: str) -> None:
    request = ModelRequest(name=name, resolution=32, labels=labels, dtype=dtype)
    source = open_model(resolve(request), GPU)
    source.draw(0, 3)  # what is copied once a process: given classes
    with synchronisations() as waits:
        images = source.draw(25, 28)
    assert waits == []
    assert (images.device, images.shape) == (GPU, (3, 3, 32, 32))


def test_adm() -> None:
    """Of two steps, guided: every further step does the same."""
    options = {"steps": "2"}
    request = ModelRequest(name="adm-guided", resolution=32, dtype="float16", options=options)
    source = open_model(resolve(request), GPU)
    with synchronisations() as waits:
        images = source.draw(25, 28)
    assert waits == []
    assert (images.device, images.shape) == (GPU, (3, 3, 32, 32))


@pytest.mark.parametrize("config", [ADM_LIKE, NCSNPP], ids=["adm", "ncsn++"])
def test_a_trajectory(config: EDMConfig) -> None:
    """Of two noise levels, with churn: every further step does the same."""
    sampling = EDMSampling(steps=2, s_churn=1.0)
    made = EDMGenerator(small_network(config).to(GPU), sampling, torch.bfloat16)
    assert waits_of(made.sample) == []
    labels, noise = torch.zeros(2, dtype=torch.int64, device=GPU), NoiseStream(0, INDICES, GPU)
    with synchronisations() as waits:
        [(call, _)] = made.repeated(labels, noise)
        call()
    assert waits == []


def adm_denoiser() -> AdmDenoiser:
    return AdmDenoiser(UNet(unet_config()), "cosine", 100).eval()


def consistency() -> Consistency:
    return Consistency(UNet(unet_config(out_channels=3))).eval()


@pytest.mark.parametrize(
    "build", [adm_denoiser, consistency, lambda: EdmDenoiser(small_network())],
    ids=["adm", "consistency", "edm"],
)  # fmt: skip
def test_one_step(build: Callable[[], AdmDenoiser | Consistency | EdmDenoiser]) -> None:
    network = build().to(GPU)
    made = OneStepGenerator(network, 32, 2.5, "nearest", torch.bfloat16)
    waits_of(made.sample)  # a denoiser's table is copied once
    assert waits_of(made.sample) == []


def waits_of(sample: Callable[[Tensor | None, NoiseStream], Tensor]) -> list[str]:
    labels = torch.zeros(2, dtype=torch.int64, device=GPU)
    with synchronisations() as waits, torch.inference_mode(), finiteness_left():
        sample(labels, NoiseStream(0, INDICES, GPU))
    return waits
