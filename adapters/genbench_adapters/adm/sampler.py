"""Ancestral and DDIM sampling with classifier guidance, as guided-diffusion computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genbench_adapters.adm.network import Classifier
from genbench_adapters.adm.schedule import Coefficients, Schedule

# x_t [N, 3, R, R], original timesteps int64 [N] -> eps or x_0 [N, 3, R, R], or with v [N, 6, R, R].
Denoiser = Callable[[Tensor, Tensor], Tensor]
Guide = Callable[[Tensor, Tensor], Tensor]  # the same two -> gradient [N, 3, R, R], scaled
Noise = Callable[[int], Tensor]  # draw k -> standard normal [N, 3, R, R]; 0 is x_T
Draws = Callable[[Tensor], Tensor]  # the same of a number int64 [1] on the device
# x_t, the kept step -> x_{t-1}, prediction of x_0.
Step = Callable[[Tensor, int], tuple[Tensor, ...]]

# A float16 gradient loses what is below 6e-8. Multiplied by a power of two and divided by it in
# float32, every bit that it keeps is the same; at 2^10 it stays well below float16's 65504.
_GRADIENT_SCALE = 2.0**10


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a trajectory is drawn.

    kind: "ddpm" (ancestral, arXiv:2006.11239) or "ddim" (arXiv:2010.02502). eta: of DDIM, 0 draws
    no noise. clip: x_0 predictions are clipped to [-1, 1] before the guidance. predict_xstart: the
    network predicts x_0, not the noise.
    """

    schedule: Schedule
    kind: Literal["ddpm", "ddim"] = "ddpm"
    eta: float = 0.0
    clip: bool = True
    predict_xstart: bool = False


class Row(NamedTuple):
    """The coefficients of one step, float32 [] each on the device."""

    recip: Tensor  # of x_t and of the noise in the prediction of x_0
    recipm1: Tensor
    mean_start: Tensor  # of x_0 and of x_t in the mean of x_{t-1}
    mean_noisy: Tensor
    log_least: Tensor  # of the variance that a network chooses, and of one that chooses none
    log_most: Tensor
    log_fixed: Tensor
    push: Tensor  # of the guidance in DDIM's noise
    root_before: Tensor  # DDIM's, of x_0, of the noise and of the step's draw
    direction: Tensor
    sigma: Tensor


class Tables:
    """What every step of a trajectory needs, on a device since before the first: no step, and no
    trajectory, waits for it."""

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        schedule = sampling.schedule
        self.sampling, self.device = sampling, device
        c = Coefficients(schedule, torch.device("cpu"))
        large = np.append(schedule.posterior_variance[1], schedule.betas[1:])
        products, before = c.table(schedule.alphas_cumprod), c.table(schedule.alphas_cumprod_prev)
        # As the official code, which computes these in float32, too.
        sigma = (
            sampling.eta * ((1 - before) / (1 - products)).sqrt() * (1 - products / before).sqrt()
        )
        columns = Row(
            recip=c.recip, recipm1=c.recipm1, mean_start=c.mean_start, mean_noisy=c.mean_noisy,
            log_least=c.log_least, log_most=c.log_most, log_fixed=c.table(np.log(large)),
            push=(1 - products).sqrt(), root_before=before.sqrt(),
            direction=(1 - before - sigma**2).sqrt(), sigma=sigma,
        )  # fmt: skip
        self._rows = torch.stack(columns, dim=1).to(device)  # [kept, columns]
        self._timesteps = torch.tensor(schedule.timestep_map).to(device)  # [kept]
        self._numbers = torch.arange(len(schedule)).to(device)  # [kept]

    def __len__(self) -> int:
        return len(self.sampling.schedule)

    @property
    def stochastic(self) -> bool:
        """Whether steps draw noise."""
        return self.sampling.kind == "ddpm" or self.sampling.eta != 0

    def number(self, index: int) -> Tensor:
        """A kept step, a scalar int64 [1] on the device, for `row` and `timestep`."""
        return self._numbers[index : index + 1]

    def row(self, number: Tensor) -> Row:
        """The coefficients of a step, scalars float32 []. number: int64 [1]."""
        return Row(*self._rows.index_select(0, number)[0].unbind())

    def timestep(self, number: Tensor) -> Tensor:
        """The original step, a scalar int64 [1], which the networks are given. number: the same."""
        return self._timesteps.index_select(0, number)


def trajectory(
    denoise: Denoiser, sampling: Sampling, noise: Noise, *, guide: Guide | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (x, prediction of x_0) after every step, most noise first; the last x is the sample.

    Both are float32 [N, 3, R, R], images in about [-1, 1] at the end. Draw k + 1 of `noise` belongs
    to the k-th step of the loop, as the official scripts draw it.
    """
    x = noise(0)
    tables = Tables(sampling, x.device)

    def step(x: Tensor, index: int) -> tuple[Tensor, ...]:
        draw = None
        if tables.stochastic:  # the last step, to no noise, has the same form and no draw
            draw = noise(len(tables) - index) if index > 0 else torch.zeros_like(x)
        return one_step(denoise, tables, guide, x, tables.number(index), draw)

    yield from walk(step, len(tables), x)


def walk(step: Step, steps: int, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """`trajectory` from x_T, float32 [N, 3, R, R] and the same, each of the steps by `step`."""
    for index in reversed(range(steps)):
        x, start = step(x, index)
        yield x, start


def drawn(tables: Tables, draws: Draws, number: Tensor) -> Tensor | None:
    """The draw of a step of `trajectory`, [N, 3, R, R], or none, by operations on the device alone.
    number: int64 [1], the kept step."""
    if not tables.stochastic:
        return None
    return draws(len(tables) - number).masked_fill(number == 0, 0.0)


def one_step(
    denoise: Denoiser, tables: Tables, guide: Guide | None,
    x: Tensor, number: Tensor, draw: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A `Step` of x_t float32 [N, 3, R, R], number int64 [1] and draw like x_t or none: the same
    operations whatever the values, so that a graph can hold it."""
    sampling, row = tables.sampling, tables.row(number)
    # Laid out as timesteps usually are: torch.compile makes a program for each layout.
    timesteps = tables.timestep(number).expand(x.shape[0]).contiguous()  # [N]
    out = denoise(x, timesteps)  # [N, 3 or 6, R, R]
    found, spread = (out, None) if out.shape[1] == x.shape[1] else out.chunk(2, dim=1)
    start = found if sampling.predict_xstart else row.recip * x - row.recipm1 * found
    if sampling.clip:
        start = start.clamp(-1, 1)
    gradient = None if guide is None else guide(x, timesteps)
    update = _ancestral_update if sampling.kind == "ddpm" else _ddim_update
    return update(x, start, spread, gradient, draw, row)


def _ancestral_update(
    x: Tensor, start: Tensor, spread: Tensor | None, gradient: Tensor | None, draw: Tensor | None,
    row: Row,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """p_sample; guidance shifts the mean by variance times gradient (condition_mean)."""
    if spread is None:
        log_variance = row.log_fixed.expand_as(x)
    else:
        share = (spread + 1) / 2
        log_variance = share * row.log_most + (1 - share) * row.log_least
    mean = row.mean_start * start + row.mean_noisy * x
    if gradient is not None:
        mean = mean + torch.exp(log_variance) * gradient
    if draw is not None:
        mean = mean + torch.exp(0.5 * log_variance) * draw
    return mean, start


def _ddim_update(
    x: Tensor, start: Tensor, spread: Tensor | None, gradient: Tensor | None, draw: Tensor | None,
    row: Row,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """ddim_sample; guidance changes the noise (condition_score), and x_0 is not clipped again."""
    eps = (row.recip * x - start) / row.recipm1
    if gradient is not None:
        eps = eps - row.push * gradient
        start = row.recip * x - row.recipm1 * eps
        eps = (row.recip * x - start) / row.recipm1
    mean = start * row.root_before + row.direction * eps
    return (mean if draw is None else mean + row.sigma * draw), start


def classifier_guide(classifier: Classifier, labels: Tensor, scale: float) -> Guide:
    """scale * d log p(label | x_t) / d x_t float32 [N, 3, R, R] of a classifier whose parameters
    need no gradient. labels: int64 [N].

    Works under inference mode, which must be left for the gradient: inputs are copied out of it.
    """
    # bfloat16 has float32's range: measured, no bit changes.
    factor = _GRADIENT_SCALE if classifier.dtype == torch.float16 else 1.0

    def guide(x: Tensor, timesteps: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            noisy = x.clone().requires_grad_()
            chosen = labels.clone()[:, None]  # [N, 1]
            logits = classifier(noisy, timesteps.clone())  # [N, classes]
            selected = torch.log_softmax(logits, dim=-1).gather(1, chosen).sum()  # scalar
            (gradient,) = torch.autograd.grad(selected, noisy, torch.full_like(selected, factor))
        return gradient * (scale / factor)

    return guide
