"""Denoisers of every family under one signature: what is distilled, and what it becomes.

D(x; sigma) is the mean of the images that noise of deviation sigma made x. `resolution` is in
pixels, `classes` is 0 for an unconditional model.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.weights.loading import load_tensors
from genbench.weights.unfilled import unfilled
from genbench_adapters.adm.bundle import read_bundle
from genbench_adapters.adm.checkpoint import load_network as load_adm
from genbench_adapters.adm.network import UNet, UNetConfig
from genbench_adapters.adm.schedule import respaced
from genbench_adapters.adm.variants import VARIANTS
from genbench_adapters.emd.network import EDM, EDMConfig
from genbench_adapters.model_files import filled, read_config

_RHO = 7.0  # of EDM's noise levels


def halve(unet: UNet, dtype: torch.dtype) -> None:
    """Bring the convolutions of a UNet to a dtype, with fused attention in a half precision."""
    unet.convolutions_to(dtype)
    unet.use_fused_attention(dtype.itemsize < 4)


class AdmDenoiser(nn.Module):
    """An ADM UNet: x / sqrt(1 + sigma^2) is its x_t, the nearest step of its diffusion its time.

    schedule, steps: of its diffusion. predict_xstart: it predicts x_0 and not the noise.
    """

    kind = "adm"

    def __init__(
        self, unet: UNet, schedule: str, steps: int, *, predict_xstart: bool = False
    ) -> None:
        super().__init__()
        self.unet, self.schedule, self.steps = unet, schedule, steps
        self.predict_xstart = predict_xstart
        self.resolution = unet.config.image_size
        self.classes = unet.config.num_classes or 0
        kept = respaced(schedule, steps, "").alphas_cumprod
        # No buffers: networks are built on the meta device, where these must have their numbers.
        self.table = torch.from_numpy(((1 - kept) / kept) ** 0.5).float()  # [steps], ascending
        self._edges = dict[torch.device, Tensor]()  # by device: a copy to a GPU makes the host wait

    def convolutions_to(self, dtype: torch.dtype) -> None:
        """Bring the UNet's convolutions to a dtype, as `UNet.convolutions_to`."""
        halve(self.unet, dtype)

    def config(self) -> dict[str, Any]:
        """What `student_network` needs to build it again."""
        return {
            "kind": self.kind,
            "noise_schedule": self.schedule,
            "diffusion_steps": self.steps,
            "predict_xstart": self.predict_xstart,
            "unet": dataclasses.asdict(self.unet.config),
        }

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        """Noisy images float [N, 3, R, R], levels [N], labels int64 [N] -> images float32
        [N, 3, R, R] in about [-1, 1]. Where the network predicts the noise, it is taken off."""
        index = torch.bucketize(sigma.log(), self._edges_on(sigma.device))  # [N], the nearest step
        wide = sigma[:, None, None, None]  # [N, 1, 1, 1]
        chosen = labels if self.classes else None
        # [N, 3 or 6, R, R] -> [N, 3, R, R]: without the variance.
        found: Tensor = self.unet(x / (1 + wide**2).sqrt(), index, chosen)[:, :3].float()
        return found if self.predict_xstart else x - wide * found

    def _edges_on(self, device: torch.device) -> Tensor:
        """Logarithms halfway between the table's, float32 [steps - 1]."""
        if device not in self._edges:
            logs = self.table.to(device).log()
            self._edges[device] = (logs[1:] + logs[:-1]) / 2
        return self._edges[device]

    def levels(self, uniform: Tensor, least: float, most: float) -> Tensor:
        """Noise levels [N] at places `uniform` [N] in [0, 1), spread evenly over the diffusion's
        own steps, as the denoiser was trained. Raises UsageError where none is in range."""
        fitting = self.table[(self.table >= least) & (self.table <= most)].to(uniform.device)
        if not len(fitting):
            raise UsageError(f"no step of the teacher has a noise level in [{least}, {most}]")
        return fitting[(uniform * len(fitting)).long()]

    def weight(self, sigma: Tensor) -> Tensor:
        """Of levels [N]: 1 / sigma^2, the squared error of the noise; 1 where the network predicts
        x_0."""
        return torch.ones_like(sigma) if self.predict_xstart else sigma**-2


class EdmDenoiser(nn.Module):
    """An EDM network."""

    kind = "edm"

    def __init__(self, network: EDM) -> None:
        super().__init__()
        self.network = network
        self.resolution = network.config.img_resolution
        self.classes = network.config.label_dim

    def convolutions_to(self, dtype: torch.dtype) -> None:
        """As `EDM.convolutions_to`."""
        self.network.convolutions_to(dtype)

    def config(self) -> dict[str, Any]:
        """What `student_network` needs to build it again."""
        return {"kind": self.kind, "network": dataclasses.asdict(self.network.config)}

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        """As `AdmDenoiser.forward`."""
        chosen = None
        if labels is not None and self.classes:
            chosen = functional.one_hot(labels, self.classes).float()  # [N, classes]
        denoised: Tensor = self.network(x, sigma, chosen)
        return denoised

    def levels(self, uniform: Tensor, least: float, most: float) -> Tensor:
        """EDM's noise levels [N] (arXiv:2206.00364, equation 5), from `least` to `most`, at places
        `uniform` [N] in [0, 1)."""
        low, high = least ** (1 / _RHO), most ** (1 / _RHO)
        return (low + uniform * (high - low)) ** _RHO

    def weight(self, sigma: Tensor) -> Tensor:
        """EDM's lambda(sigma) of levels [N]."""
        data = self.network.config.sigma_data
        return (sigma**2 + data**2) / (sigma * data) ** 2


def read_teacher(checkpoint: Path, resolution: int) -> AdmDenoiser | EdmDenoiser:
    """The denoiser of a diffusion: a guided ADM that genbench trained, an official ADM checkpoint
    of `resolution` pixels, or a converted EDM. Its parameters want no gradient.

    Raises GenbenchError for another kind of file and another resolution.
    """
    denoiser = _read_adm(checkpoint, resolution) or _read_edm(checkpoint)
    if resolution and denoiser.resolution != resolution:
        raise GenbenchError(
            f"the teacher {checkpoint} has {denoiser.resolution} pixels, not {resolution}: pass "
            "--res, or another teacher"
        )
    return denoiser.eval().requires_grad_(False)


def _read_adm(checkpoint: Path, resolution: int) -> AdmDenoiser | None:
    model = read_bundle(checkpoint)
    if model is not None:
        unet = load_adm(UNet, model.unet, checkpoint, "the teacher", prefix="unet/")
        return AdmDenoiser(
            unet,
            model.noise_schedule,
            model.diffusion_steps,
            predict_xstart=model.predict_xstart,
        )
    if read_config(checkpoint) is not None:
        return None
    variants = [variant for variant in VARIANTS if variant.resolution == resolution]
    if not variants:
        raise GenbenchError(
            f"{checkpoint} carries no configuration, and no published ADM has {resolution} pixels: "
            "pass --res, or convert an EDM pickle first (genbench convert edm)"
        )
    variant = variants[0]
    unet = load_adm(UNet, variant.unet, checkpoint, f"the teacher {variant.name}")
    return AdmDenoiser(unet, variant.schedule, variant.diffusion_steps)


def _read_edm(checkpoint: Path) -> EdmDenoiser:
    values = read_config(checkpoint)
    assert values is not None
    if "kind" in values:
        raise GenbenchError(
            f"{checkpoint} is a one-step generator, not a diffusion: pass the teacher it came from"
        )
    with unfilled():
        network = EDM(EDMConfig.from_mapping(values))
    return EdmDenoiser(filled(network, load_tensors(checkpoint), what=f"EDM ({checkpoint})"))


def student_network(values: Mapping[str, Any], where: Path) -> AdmDenoiser | EdmDenoiser:
    """The network of a distilled generator, on the meta device, of the configuration in its file.

    Raises GenbenchError for a configuration that is none.
    """
    kinds = (AdmDenoiser.kind, EdmDenoiser.kind)
    kind = values.get("kind")
    try:
        with unfilled():
            if kind == EdmDenoiser.kind:
                return EdmDenoiser(EDM(EDMConfig.from_mapping(values["network"])))
            if kind == AdmDenoiser.kind:
                unet = UNet(UNetConfig.from_mapping(values["unet"]))
                return AdmDenoiser(
                    unet,
                    values["noise_schedule"],
                    int(values["diffusion_steps"]),
                    predict_xstart=bool(values.get("predict_xstart", False)),
                )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GenbenchError(
            f"{where} has no complete configuration ({type(error).__name__}: {error}): distil it "
            "again"
        ) from error
    raise GenbenchError(
        f"{where}: unknown parameterisation {kind!r}; {suggestion(str(kind), kinds)}"
    )


def copied(denoiser: AdmDenoiser | EdmDenoiser) -> AdmDenoiser | EdmDenoiser:
    """A copy that can be trained."""
    return copy.deepcopy(denoiser).train().requires_grad_(True)


def one_step(
    network: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    sigma: float,
    latents: Tensor,
    labels: Tensor | None,
) -> Tensor:
    """g(z) = D(sigma z; sigma), one evaluation: standard normal latents float [N, 3, R, R], labels
    int64 [N] or none -> images of that shape in about [-1, 1]."""
    level = torch.full((len(latents),), sigma, device=latents.device)
    return network(latents * sigma, level, labels)
