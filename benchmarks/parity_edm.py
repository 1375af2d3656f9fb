"""Parity of the EDM networks and sampler with NVlabs/edm, and of one-step outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from parity_cases import (
    TRAJECTORY,
    Case,
    Check,
    UnknownCaseError,
    close,
    largest,
    same_pixels,
)
from torch import Tensor

from genbench.images.rounding import to_uint8
from genbench.weights.loading import load_state_strictly, load_tensors
from genbench_adapters.adm.network import UNet, UNetConfig
from genbench_adapters.emd.consistency import Consistency, in_our_layout
from genbench_adapters.emd.network import EDM, EDMConfig
from genbench_adapters.emd.pickles import read_network
from genbench_adapters.emd.sampler import EDMSampling, heun, sigma_steps

_WEIGHTS = "edm_tiny_dmd2_pytorch_model.bin"
_PICKLE = "edm_tiny_network-snapshot.pkl"
_CHURN = {"s_churn": 40.0, "s_min": 0.05, "s_max": 50.0, "s_noise": 1.003}  # of ImageNet 64


def checks(case: Case) -> Iterator[Check] | None:
    """The checks of a case, or None when it is not of this family."""
    if case.meta.get("family") == "edm":
        return _network(case)
    if "conventions" in case.meta:
        return _one_step(case)
    if "per-sample generators" in case.meta.get("note", ""):
        raise UnknownCaseError(
            f"{case.path.name}: these are the numbers of torch's generator, one a seed; genbench "
            "draws sample i from its own stream of (seed, i), alike on every device"
        )
    if case.meta.get("family") == "consistency_models":
        return _consistency(case)
    return None


def _network(case: Case) -> Iterator[Check]:
    network = EDM(EDMConfig.from_mapping(case.meta["kwargs"]))
    load_state_strictly(network, case.state(), what=case.path.name)
    network.eval()
    labels = case.tensor("in/labels") if "in/labels" in case.arrays else None
    with torch.inference_mode():
        yield from _denoised(network, case, labels)
        if "sampler/latents" in case.arrays:
            yield from _sampled(network, case)


def _denoised(network: EDM, case: Case, labels: Tensor | None) -> Iterator[Check]:
    x = case.tensor("in/x")
    for name in case.arrays:
        if not name.startswith("D/"):
            continue
        theirs, kind = case.tensor(name), name.removeprefix("D/")
        if kind == "mixed":
            ours = network(x, case.tensor("in/sigma_mixed"), labels)
        elif kind == "nolabel_sigma1":
            ours = network(x, torch.tensor([1.0]))
        else:
            sigma = float(kind)
            ours = network(x * math.sqrt(sigma**2 + 0.25), torch.tensor([sigma]), labels)
        yield close(name, ours, theirs)


def _sampled(network: EDM, case: Case) -> Iterator[Check]:
    latents = case.tensor("sampler/latents")
    labels = case.tensor("sampler/labels") if "sampler/labels" in case.arrays else None
    for name in case.arrays:
        if name.startswith("sampler/t_steps/"):
            levels = sigma_steps(EDMSampling(steps=int(name.rsplit("/", 1)[1])))
            yield Check(name, largest(levels, case.tensor(name)), 0.0)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        out: Tensor = network(x, sigma, labels)
        return out

    out = list(heun(denoise, EDMSampling(steps=8), lambda draw: latents))
    yield _reached("heun8_final", out[-1][0], case)
    yield _reached("heun8_denoised", torch.stack([step[2] for step in out]), case)
    ours = to_uint8(out[-1][0], rounding="nearest")
    yield from same_pixels("heun8_uint8", ours, case.tensor("sampler/heun8_uint8"))
    if "sampler/churn8_noise" in case.arrays:
        noise = case.tensor("sampler/churn8_noise")
        churned = list(
            heun(
                denoise,
                EDMSampling(steps=8, **_CHURN),
                lambda draw: noise[draw - 1] if draw else latents,
            )
        )
        yield _reached("churn8_final", churned[-1][0], case)


def _reached(name: str, ours: Tensor, case: Case) -> Check:
    return Check(name, largest(ours, case.tensor(f"sampler/{name}")), TRAJECTORY)


def _consistency(case: Case) -> Iterator[Check]:
    config = UNetConfig.from_mapping({**case.meta["kwargs"], "use_new_attention_order": True})
    unet = UNet(config)
    load_state_strictly(unet, in_our_layout(case.state()), what=case.path.name)
    unet.eval()
    x, labels = case.tensor("x"), case.tensor("y")
    with torch.inference_mode():
        for kind, least in (("consistency", 0.002), ("edm", 0.0)):
            network = Consistency(unet, least=least)
            for name in case.arrays:
                if name.startswith(f"{kind}/denoise/"):
                    sigma = float(name.rsplit("/", 1)[1])
                    ours = network(x * sigma, torch.tensor([sigma]), labels)
                    yield close(name, ours, case.tensor(name))
        ours = Consistency(unet)(x * 80, torch.tensor([80.0]), labels).clamp(-1, 1)
    yield close("onestep", ours, case.tensor("onestep"))
    yield from same_pixels("onestep_uint8", to_uint8(ours), case.tensor("onestep_uint8"))


def _one_step(case: Case) -> Iterator[Check]:
    network = EDM(EDMConfig.from_mapping(case.meta["kwargs"]))
    state = case.state() or load_tensors(case.path.with_name(_WEIGHTS))
    load_state_strictly(network, state, what=case.path.name)
    network.eval()
    latents, labels = case.tensor("latents"), case.tensor("labels")
    for name in case.arrays:
        if not name.startswith("onestep/"):
            continue
        sigma = float(name.removeprefix("onestep/"))
        with torch.inference_mode():
            images = network(latents * sigma, torch.tensor([sigma]), labels)
        yield close(name, images, case.tensor(name))
        for kind, ours in (
            ("dmd", to_uint8(images, rounding="truncate")),
            ("sid", to_uint8(images, rounding="nearest")),
        ):
            theirs = case.tensor(f"uint8_{kind}/{sigma}")
            yield from same_pixels(f"uint8_{kind}/{sigma}", ours, theirs)
    pickled = case.path.with_name(_PICKLE)
    if pickled.is_file():
        read, _ = read_network(pickled)
        other = sum(not torch.equal(read[key], state[key]) for key in state if key in read)
        yield Check("tensors of the pickle", other + len(set(read) ^ set(state)), 0)
