"""Parity of ADM with openai/guided-diffusion: networks, schedules, whole trajectories."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from parity_cases import (
    TRAJECTORY,
    Case,
    Check,
    UnknownCaseError,
    close,
    largest,
    open_case,
    same_pixels,
)
from torch import Tensor

from genbench.images.rounding import to_uint8
from genbench.weights.loading import load_state_strictly
from genbench_adapters.adm.network import (
    Classifier,
    SuperResUNet,
    UNet,
    UNetConfig,
    timestep_embedding,
)
from genbench_adapters.adm.sampler import Sampling, classifier_guide, trajectory
from genbench_adapters.adm.schedule import betas_of, respaced

_EMBEDDING = 1e-4  # at 1000 radians one bit of the frequency is 6e-5
_HALF = 2e-2  # half precision differs from itself by this much between machines
_START = 10  # the first steps' guess of x_0 is the network's output times up to 157
_KINDS = {"UNetModel": UNet, "SuperResModel": SuperResUNet, "EncoderUNetModel": Classifier}


def checks(case: Case) -> Iterator[Check] | None:
    """The checks of a case, or None when it is not of this family."""
    if case.meta.get("family") == "adm" and case.meta.get("cls") in _KINDS:
        return _classifier(case) if case.meta["cls"] == "EncoderUNetModel" else _unet(case)
    if case.meta.get("kind") in ("ddpm", "ddim"):
        return _trajectory(case)
    if "half_keys" in case.arrays:
        return _half(case)
    if "specs" in case.meta:
        return _schedules(case)
    return iter(()) if "unet_kwargs" in case.meta else None  # weights of the trajectories


def _loaded(case: Case) -> UNet | Classifier:
    config = UNetConfig.from_mapping(case.meta["kwargs"])
    network: UNet | Classifier = _KINDS[case.meta["cls"]](config)
    load_state_strictly(network, case.state(), what=case.path.name)
    return network.eval()


def _run(network: UNet | Classifier, case: Case, timesteps: str) -> Tensor:
    names = ["in/x", timesteps, "in/y"] + ["in/low_res"] * ("in/low_res" in case.arrays)
    inputs = [case.tensor(name) if name in case.arrays else None for name in names]
    with torch.inference_mode():
        out: Tensor = network(*inputs)
    return out


def _unet(case: Case) -> Iterator[Check]:
    network = _loaded(case)
    for fused in (False, True):
        network.use_fused_attention(fused)
        attention = "fused attention" if fused else "plain attention"
        for timesteps, out in (("in/t", "out/out"), ("in/t_float", "out/out_float_t")):
            ours = _run(network, case, timesteps)
            yield close(f"{out}, {attention}", ours, case.tensor(out))
    network.phase_upsampling()
    ours = _run(network, case, "in/t")
    yield close("out/out, upsampling in phases", ours, case.tensor("out/out"))


def _classifier(case: Case) -> Iterator[Check]:
    network = _loaded(case)
    assert isinstance(network, Classifier)
    network.requires_grad_(False)
    x, timesteps, labels = (case.tensor(f"in/{name}") for name in ("x", "t", "y"))
    for fused in (False, True):
        network.use_fused_attention(fused)
        attention = "fused attention" if fused else "plain attention"
        yield close(f"logits, {attention}", network(x, timesteps), case.tensor("out/logits"))
        for name in case.arrays:
            if name.startswith("out/grad_scale"):
                scale = float(name.removeprefix("out/grad_scale"))
                ours = classifier_guide(network, labels, scale)(x, timesteps)
                yield close(f"{name}, {attention}", ours, case.tensor(name))


def _half(case: Case) -> Iterator[Check]:
    whole = open_case(case.path.with_name(case.path.name.replace("_fp16out", "")))
    network = _loaded(whole)
    network.convolutions_to(torch.float16)
    halves = {key for key, value in network.state_dict().items() if value.dtype == torch.float16}
    wrong = halves ^ set(case.arrays["half_keys"].tolist())
    yield Check("tensors that become half", len(wrong), 0)
    yield Check("out", largest(_run(network, whole, "in/t"), case.tensor("out")), _HALF)


def _schedules(case: Case) -> Iterator[Check]:
    worst = 0.0
    for name, theirs in case.arrays.items():
        what, *rest = name.split("/")
        if what == "timestep_embedding":
            continue
        spacing = rest[1]
        if what == "betas" and f"map/{rest[0]}/{spacing}" not in case.arrays:
            ours = betas_of(rest[0], int(spacing))
        else:
            schedule = respaced(rest[0], 1000, "" if spacing == "none" else spacing)
            kept = schedule.timestep_map
            ours = torch.tensor(kept).numpy() if what == "map" else getattr(schedule, what)
        same = ours.shape == theirs.shape
        worst = max(worst, float(abs(ours - theirs).max()) if same else float("inf"))
    yield Check("betas, maps and coefficients, float64", worst, 0.0)
    timesteps = case.tensor("timestep_embedding/t")
    for name in case.arrays:
        if name.startswith("timestep_embedding/") and not name.endswith("/t"):
            ours_embedded = timestep_embedding(timesteps, int(name.rsplit("/", 1)[1]))
            yield Check(name, largest(ours_embedded, case.tensor(name)), _EMBEDDING)


def _trajectory(case: Case) -> Iterator[Check]:
    meta, labels = case.meta, case.tensor("y")
    sampling = Sampling(
        schedule=respaced(meta["schedule"], 1000, meta["respacing"]),
        kind=meta["kind"],
        eta=meta.get("eta") or 0.0,
        clip=meta.get("clip_denoised", True),
    )
    guide = None
    if "weights" in meta:  # of another file, in words
        weights = case.path.with_name(meta["weights"].removeprefix("sd of "))
        upsampler = _loaded(open_case(weights))
        low_res = case.tensor("low_res")

        def denoise(x: Tensor, timesteps: Tensor) -> Tensor:
            out: Tensor = upsampler(x, timesteps, labels, low_res)
            return out
    else:
        models = open_case(case.path.with_name("adm_sampler_models.npz"))
        unet = UNet(UNetConfig.from_mapping(models.meta["unet_kwargs"]))
        load_state_strictly(unet, models.state("unet/"), what=models.path.name)
        unet.eval()
        if meta.get("classifier_scale"):
            classifier = Classifier(UNetConfig.from_mapping(models.meta["classifier_kwargs"]))
            load_state_strictly(classifier, models.state("classifier/"), what=models.path.name)
            classifier.eval().requires_grad_(False)
            guide = classifier_guide(classifier, labels, meta["classifier_scale"])

        def denoise(x: Tensor, timesteps: Tensor) -> Tensor:
            out: Tensor = unet(x, timesteps, labels)
            return out

    noise = case.tensor("noise")
    if len(noise) <= len(sampling.schedule):
        raise UnknownCaseError(f"{case.path.name} holds less noise than steps")
    with torch.inference_mode():
        steps = list(trajectory(denoise, sampling, lambda draw: noise[draw], guide=guide))
    yield from _compared(case, steps)


def _compared(case: Case, steps: list[tuple[Tensor, Tensor]]) -> Iterator[Check]:
    places = case.arrays.get("step_index", range(len(steps)))
    for name, part, more in (("samples", 0, 1), ("pred_xstart", 1, _START)):
        if name in case.arrays:
            theirs = case.tensor(name)
            pairs = zip(places, theirs, strict=True)
            worst = max(largest(steps[place][part], step) for place, step in pairs)
            yield Check(f"{name} of every stored step", worst, more * _scaled(theirs))
    final = steps[-1][0]
    yield Check("final", largest(final, case.tensor("final")), _scaled(case.tensor("final")))
    yield from same_pixels("uint8", to_uint8(final), case.tensor("uint8"))


def _scaled(theirs: Tensor) -> float:
    """The tolerance for images in [-1, 1]; unclipped trajectories run to hundreds."""
    return TRAJECTORY * max(1.0, float(theirs.abs().max()) / 10)
