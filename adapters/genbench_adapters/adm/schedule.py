"""Noise schedules and timestep respacing of guided-diffusion, in float64 and to the last bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import UsageError

Floats = NDArray[np.float64]


def betas_of(schedule: str, steps: int) -> Floats:
    """Variances [steps] of the forward steps (gaussian_diffusion.py, get_named_beta_schedule).

    "linear": 1e-4 … 0.02 at 1000 steps, scaled so that other counts end alike; "cosine": of
    arXiv:2102.09672, equation 17, at most 0.999. Raises UsageError for another name.
    """
    if schedule == "linear":
        scale = 1000 / steps
        return np.linspace(scale * 0.0001, scale * 0.02, steps, dtype=np.float64)
    if schedule != "cosine":
        raise UsageError(f"there is no noise schedule {schedule!r}: use linear or cosine")

    def remaining(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    ratios = [remaining((i + 1) / steps) / remaining(i / steps) for i in range(steps)]
    return np.array([min(1 - ratio, 0.999) for ratio in ratios])


def kept_steps(spacing: str, steps: int) -> list[int]:
    """The original steps that a respacing keeps, ascending (respace.py, space_timesteps).

    spacing: "" keeps all; "250" spreads so many over all steps; "10,15,20" over so many equal
    sections; "ddim25" takes a fixed stride from step 0. Raises UsageError for what has no solution.
    """
    if spacing.startswith("ddim"):
        return _strided(spacing, steps)
    try:
        counts = [int(word) for word in spacing.split(",")] if spacing else [steps]
    except ValueError as error:
        raise UsageError(
            f"{spacing!r} is no timestep respacing: use counts such as 250 or 10,15,20, or ddim25"
        ) from error
    size, surplus = divmod(steps, len(counts))
    kept: list[int] = []
    start = 0
    for position, count in enumerate(counts):
        section = size + (position < surplus)
        if not 1 <= count <= section:
            raise UsageError(
                f"respacing {spacing!r} wants {count} of a section of {section} steps: ask for 1 "
                f"to {section}"
            )
        stride = 1.0 if count == 1 else (section - 1) / (count - 1)
        place = 0.0  # added up and rounded half to even, as officially: it decides the steps
        for _ in range(count):
            kept.append(start + round(place))
            place += stride
        start += section
    return sorted(set(kept))


def _strided(spacing: str, steps: int) -> list[int]:
    wanted = spacing.removeprefix("ddim")
    if not wanted.isdecimal() or int(wanted) < 1:
        raise UsageError(f"{spacing!r} is no DDIM respacing: use ddim and a number, such as ddim25")
    for stride in range(1, steps):
        if len(range(0, steps, stride)) == int(wanted):
            return list(range(0, steps, stride))
    near = {len(range(0, steps, stride)) for stride in range(1, steps)}
    closest = min(near, key=lambda count: (abs(count - int(wanted)), count))
    raise UsageError(
        f"no stride over {steps} steps takes {wanted}: use ddim{closest}, or a count without ddim"
    )


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The coefficients of a respaced diffusion: float64 [kept], index 0 the least noise.

    Equations of arXiv:2006.11239, with the names of gaussian_diffusion.py.
    """

    betas: Floats
    timestep_map: tuple[int, ...]  # original step of each kept one: what the networks are given

    @cached_property
    def alphas_cumprod(self) -> Floats:
        """Product of 1 - beta up to and including each step."""
        return np.cumprod(1.0 - self.betas, axis=0, dtype=np.float64)

    @cached_property
    def alphas_cumprod_prev(self) -> Floats:
        """The same of the step before; 1 before the first."""
        return np.append(1.0, self.alphas_cumprod[:-1])

    @cached_property
    def sqrt_recip_alphas_cumprod(self) -> Floats:
        """Of x_t in the prediction of x_0."""
        return np.sqrt(1.0 / self.alphas_cumprod)

    @cached_property
    def sqrt_recipm1_alphas_cumprod(self) -> Floats:
        """Of the noise in the prediction of x_0."""
        return np.sqrt(1.0 / self.alphas_cumprod - 1)

    @cached_property
    def posterior_variance(self) -> Floats:
        """Variance of q(x_{t-1} | x_t, x_0)."""
        return self.betas * (1.0 - self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance_clipped(self) -> Floats:
        """Its logarithm; step 0, whose variance is 0, takes that of step 1."""
        clipped: Floats = np.append(self.posterior_variance[1], self.posterior_variance[1:])
        return np.log(clipped)

    @cached_property
    def posterior_mean_coef1(self) -> Floats:
        """Of x_0 in the mean of q(x_{t-1} | x_t, x_0)."""
        return self.betas * np.sqrt(self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod)

    @cached_property
    def posterior_mean_coef2(self) -> Floats:
        """Of x_t in the same."""
        alphas = 1.0 - self.betas
        return (1.0 - self.alphas_cumprod_prev) * np.sqrt(alphas) / (1.0 - self.alphas_cumprod)

    def __len__(self) -> int:
        return len(self.betas)


class Coefficients:
    """The coefficients that samplers and losses share, on a device, float32 [kept] as the official
    code uses them."""

    def __init__(self, schedule: Schedule, device: torch.device) -> None:
        self.device = device
        self.recip = self.table(schedule.sqrt_recip_alphas_cumprod)
        self.recipm1 = self.table(schedule.sqrt_recipm1_alphas_cumprod)
        self.mean_start = self.table(schedule.posterior_mean_coef1)
        self.mean_noisy = self.table(schedule.posterior_mean_coef2)
        self.log_least = self.table(schedule.posterior_log_variance_clipped)
        self.log_most = self.table(np.log(schedule.betas))

    def table(self, values: Floats) -> Tensor:
        """float64 [kept] as float32 [kept] on the device."""
        return torch.from_numpy(np.ascontiguousarray(values)).float().to(self.device)


def respaced(schedule: str, steps: int, spacing: str) -> Schedule:
    """The diffusion of `steps` steps with only those that `spacing` keeps (SpacedDiffusion).

    Raises UsageError for fewer than two kept steps, where the variance has no second value.
    """
    products = np.cumprod(1.0 - betas_of(schedule, steps), axis=0)
    kept = kept_steps(spacing, steps)
    if len(kept) < 2:
        raise UsageError(f"respacing {spacing!r} keeps {len(kept)} step: at least 2 are needed")
    before = 1.0
    betas = []
    for step in kept:
        betas.append(1 - products[step] / before)
        before = products[step]
    return Schedule(betas=np.array(betas), timestep_map=tuple(kept))
