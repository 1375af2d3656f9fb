"""Parity of the EDM networks and sampler with NVlabs/edm, and of one-step outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from parity_cases import Case, Check, UnknownCaseError, largest
from torch import Tensor

from genbench.images.rounding import to_uint8
from genbench.weights.loading import load_state_strictly, load_tensors
from genbench_adapters.adm.network import UNet, UNetConfig
from genbench_adapters.emd.consistency import Consistency, in_our_layout
from genbench_adapters.emd.network import EDM, EDMConfig
from genbench_adapters.emd.pickles import read_network
from genbench_adapters.emd.sampler import EDMSampling, heun, sigma_steps

_NETWORK = 1e-4
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
        yield Check(name, largest(ours, theirs), _NETWORK)


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
    final = case.tensor("sampler/heun8_final")
    yield Check("heun8_final", largest(out[-1][0], final), _NETWORK)
    denoised = torch.stack([step[2] for step in out])
    yield Check(
        "heun8_denoised", largest(denoised, case.tensor("sampler/heun8_denoised")), _NETWORK
    )
    theirs = case.tensor("sampler/heun8_uint8").permute(0, 3, 1, 2).int()
    off = (to_uint8(out[-1][0], rounding="nearest").int() - theirs).abs()
    yield Check("heun8_uint8, levels", float(off.max()), 1)
    yield Check("heun8_uint8, share of pixels off", float((off > 0).float().mean()), 1e-3)
    if "sampler/churn8_noise" in case.arrays:
        noise = case.tensor("sampler/churn8_noise")
        churned = list(
            heun(
                denoise,
                EDMSampling(steps=8, **_CHURN),
                lambda draw: noise[draw - 1] if draw else latents,
            )
        )
        final = case.tensor("sampler/churn8_final")
        yield Check("churn8_final", largest(churned[-1][0], final), _NETWORK)


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
                    yield Check(name, largest(ours, case.tensor(name)), _NETWORK)
        ours = Consistency(unet)(x * 80, torch.tensor([80.0]), labels).clamp(-1, 1)
    yield Check("onestep", largest(ours, case.tensor("onestep")), _NETWORK)
    theirs = case.tensor("onestep_uint8").permute(0, 3, 1, 2).int()
    off = (to_uint8(ours).int() - theirs).abs()
    yield Check("onestep_uint8, levels", float(off.max()), 1)
    yield Check("onestep_uint8, share of pixels off", float((off > 0).float().mean()), 1e-3)


def _one_step(case: Case) -> Iterator[Check]:
    network = EDM(EDMConfig.from_mapping(case.meta["kwargs"]))
    state = load_tensors(case.path.with_name(_WEIGHTS))
    load_state_strictly(network, state, what=_WEIGHTS)
    network.eval()
    latents, labels = case.tensor("latents"), case.tensor("labels")
    for name in case.arrays:
        if not name.startswith("onestep/"):
            continue
        sigma = float(name.removeprefix("onestep/"))
        with torch.inference_mode():
            images = network(latents * sigma, torch.tensor([sigma]), labels)
        yield Check(name, largest(images, case.tensor(name)), _NETWORK)
        for kind, rounding in (("dmd", "truncate"), ("sid", "nearest")):
            theirs = case.tensor(f"uint8_{kind}/{sigma}").permute(0, 3, 1, 2).int()
            ours = to_uint8(images, rounding="truncate" if rounding == "truncate" else "nearest")
            off = (ours.int() - theirs).abs()
            yield Check(f"uint8_{kind}/{sigma}, levels", float(off.max()), 1)
            yield Check(f"uint8_{kind}/{sigma}, share off", float((off > 0).float().mean()), 1e-3)
    pickled = case.path.with_name(_PICKLE)
    if pickled.is_file():
        read, _ = read_network(pickled)
        other = sum(not torch.equal(read[key], state[key]) for key in state if key in read)
        yield Check("tensors of the pickle", other + len(set(read) ^ set(state)), 0)
