"""EM Distillation where the answer is known: Gaussians, mixtures by quadrature, finite differences.

One-dimensional cases write x_t = g(z) + sigma eps with scores in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genbench_adapters.emd.method import Langevin, Normals, e_step, m_step_loss

DOUBLE = torch.float64


def drawn(shape: tuple[int, ...], seed: int, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def normals_of(shape: tuple[int, ...], seed: int) -> Normals:
    return lambda step: (
        drawn(shape, seed + 2 * step + 1),
        drawn(shape, seed + 2 * step + 2),
    )


def still(shape: tuple[int, ...]) -> Normals:
    return lambda _: (torch.zeros(shape, dtype=DOUBLE), torch.zeros(shape, dtype=DOUBLE))


def gaussian_score(x: Tensor, mean: float | Tensor, variance: float | Tensor) -> Tensor:
    return (mean - x) / variance


@pytest.mark.parametrize("halved", [False, True])
def test_one_noiseless_step_follows_the_gradient_of_the_joint(halved: bool) -> None:
    """score_eps and score_z equal finite differences of log rho for a curved generator."""
    sigma = torch.tensor(0.7, dtype=DOUBLE)
    weights = drawn((3, 3), 1)

    def generate(z: Tensor) -> Tensor:
        return torch.tanh(z @ weights) * 2

    def log_ratio(x: Tensor) -> Tensor:  # log q - log p of any two smooth densities
        return (torch.cos(x) - 0.1 * x**2).sum(dim=1)

    def gap(x: Tensor) -> Tensor:
        return -torch.sin(x) - 0.2 * x

    def log_rho(eps: Tensor, z: Tensor) -> Tensor:
        x = generate(z) + sigma * eps
        return log_ratio(x) - (eps**2 + z**2).sum(dim=1) / 2

    z, eps = drawn((4, 3), 2), drawn((4, 3), 3)
    langevin = Langevin(steps=1, noise_rate=0.02, latent_rate=0.04, halved=halved)
    after = e_step(generate, gap, sigma, z, eps, langevin, still((4, 3)))
    factor = 0.5 if halved else 1.0
    for moved, start, rate, which in (
        (after.noise, eps, 0.02, 0),
        (after.latents, z, 0.04, 1),
    ):
        found = (moved - start) / (rate * factor)
        small = 1e-5
        for column in range(3):
            shift = torch.zeros_like(start)
            shift[:, column] = small
            up = log_rho(eps + shift, z) if which == 0 else log_rho(eps, z + shift)
            down = log_rho(eps - shift, z) if which == 0 else log_rho(eps, z - shift)
            assert torch.allclose(found[:, column], (up - down) / (2 * small), atol=1e-7)


def test_the_drift_is_what_the_chain_adds_without_its_noise() -> None:
    """eps_drift = gamma sigma sum (1 - gamma)^(K - 1 - i) Delta_i, EMD.md."""
    seen: list[Tensor] = []

    def gap(x: Tensor) -> Tensor:
        seen.append(torch.sin(3 * x))
        return seen[-1]

    sigma = torch.tensor(0.8, dtype=DOUBLE)
    shape, rate = (5, 2), 0.16
    z, eps = drawn(shape, 1), drawn(shape, 2)
    noises = normals_of(shape, 10)
    langevin = Langevin(steps=8, noise_rate=rate, latent_rate=0.01)
    after = e_step(lambda z: z * 2 + 1, gap, sigma, z, eps, langevin, noises)
    wanted = sum(rate * sigma * (1 - rate) ** (7 - i) * delta for i, delta in enumerate(seen))
    assert torch.allclose(after.drift, torch.as_tensor(wanted), atol=1e-13)
    kept = (1 - rate) ** 8 * eps
    for step in range(8):
        kept = kept + math.sqrt(2 * rate) * (1 - rate) ** (7 - step) * noises(step)[0]
    assert torch.allclose(after.noise, kept + after.drift, atol=1e-13)


def test_one_step_with_frozen_latents_is_diff_instruct() -> None:
    """The gradient is that of reverse KL (arXiv:2305.18455): -w gamma Delta dg / dtheta."""
    slope = torch.tensor(0.6, dtype=DOUBLE, requires_grad=True)
    offset = torch.tensor(-0.4, dtype=DOUBLE, requires_grad=True)
    z, eps = drawn((64, 1), 1), drawn((64, 1), 2)
    sigma = drawn((64, 1), 3).abs() + 0.1

    def generate(latents: Tensor) -> Tensor:
        return slope * latents + offset

    def gap(x: Tensor) -> Tensor:
        variance = slope.detach() ** 2 + sigma**2
        return gaussian_score(x, 1.0, 4 + sigma**2) - gaussian_score(x, offset.detach(), variance)

    langevin = Langevin(steps=1, noise_rate=0.16, latent_rate=0.0)
    after = e_step(generate, gap, sigma, z, eps, langevin, normals_of((64, 1), 5))
    assert torch.equal(after.latents, z)
    loss = m_step_loss(generate(after.latents), sigma, after.drift, sigma**2)
    found = torch.autograd.grad(loss, (slope, offset))
    images = generate(z)
    delta = gap((images + sigma * eps).detach())
    instructed = (-0.16 * sigma**2 * delta * images).mean()
    for ours, theirs in zip(found, torch.autograd.grad(instructed, (slope, offset)), strict=True):
        assert abs(float(ours - theirs)) < 1e-13


def test_the_chain_keeps_its_stationary_distribution_where_student_and_teacher_agree() -> None:
    """Without a gap both coordinates are an AR(1) chain: variance 1 / (1 - gamma / 2), mean 0."""
    count, langevin = 200_000, Langevin(steps=8, noise_rate=0.16, latent_rate=0.05)
    spread = [1 / (1 - rate / 2) for rate in (0.16, 0.05)]
    eps = drawn((count, 1), 1) * math.sqrt(spread[0])
    z = drawn((count, 1), 2) * math.sqrt(spread[1])
    sigma = torch.tensor(1.0, dtype=DOUBLE)
    noises = normals_of((count, 1), 3)
    after = e_step(lambda z: 2 * z, torch.zeros_like, sigma, z, eps, langevin, noises)
    for values, variance in ((after.noise, spread[0]), (after.latents, spread[1])):
        error = variance * math.sqrt(2 / count)
        assert abs(float(values.var()) - variance) < 4 * error
        assert abs(float(values.mean())) < 4 * math.sqrt(variance / count)
    together = torch.cat([after.noise, after.latents], dim=1).T
    assert abs(float(torch.corrcoef(together)[0, 1])) < 4 / math.sqrt(count)


def mixture_score(x: Tensor, sigma: float) -> Tensor:
    """Of 0.3 N(-2, 0.25) + 0.7 N(1, 0.25) after noise of deviation sigma."""
    variance = 0.25 + sigma**2
    logs = [math.log(w) - (x - m) ** 2 / (2 * variance) for w, m in ((0.3, -2.0), (0.7, 1.0))]
    weights = torch.stack(logs).softmax(dim=0)
    return weights[0] * gaussian_score(x, -2.0, variance) + weights[1] * gaussian_score(
        x, 1.0, variance
    )


def mixture_log(x: Tensor, sigma: float) -> Tensor:
    variance = 0.25 + sigma**2
    logs = [math.log(w) - (x - m) ** 2 / (2 * variance) for w, m in ((0.3, -2.0), (0.7, 1.0))]
    return torch.stack(logs).logsumexp(dim=0)


def test_a_long_chain_reaches_the_joint_of_a_mixture() -> None:
    """Moments of (eps, z) against quadrature of q(x) / p(x) N(eps) N(z), small steps."""
    sigma, slope, offset = 0.8, 1.2, 0.3
    variance = slope**2 + sigma**2

    def gap(x: Tensor) -> Tensor:
        return mixture_score(x, sigma) - gaussian_score(x, offset, variance)

    axis = torch.linspace(-6, 6, 601, dtype=DOUBLE)
    eps, z = torch.meshgrid(axis, axis, indexing="ij")
    x = slope * z + offset + sigma * eps
    logs = mixture_log(x, sigma) + (x - offset) ** 2 / (2 * variance) - (eps**2 + z**2) / 2
    density = (logs - logs.max()).exp()
    density = density / density.sum()

    def expected(values: Tensor) -> float:
        return float((density * values).sum())

    count = 20_000
    langevin = Langevin(steps=400, noise_rate=0.02, latent_rate=0.02)
    start = (drawn((count, 1), 1), drawn((count, 1), 2))
    noises = normals_of((count, 1), 3)
    level = torch.tensor(sigma, dtype=DOUBLE)
    after = e_step(lambda z: slope * z + offset, gap, level, *start, langevin, noises)
    for powers in ((1, 0), (0, 1), (1, 1), (2, 0), (0, 2)):
        found = after.noise ** powers[0] * after.latents ** powers[1]
        error = float(found.std()) / math.sqrt(count)
        moment = expected(eps ** powers[0] * z ** powers[1])
        assert abs(float(found.mean()) - moment) < 4 * error + 0.02


def gradients(cancelled: bool, count: int) -> Tensor:
    """Gradients for the slope of g(z) = z / 2 against N(0, 4) at sigma 1, K = 8, one a sample."""
    level = torch.tensor(1.0, dtype=DOUBLE)

    def gap(x: Tensor) -> Tensor:
        return gaussian_score(x, 0.0, 5.0) - gaussian_score(x, 0.0, 1.25)

    langevin = Langevin(steps=8, noise_rate=0.16, latent_rate=0.0)
    z, eps = drawn((count, 1), 1), drawn((count, 1), 2)
    after = e_step(lambda z: z / 2, gap, level, z, eps, langevin, normals_of((count, 1), 3))
    return -(after.drift if cancelled else after.noise) * after.latents


def exact_gradients(cancelled: bool) -> tuple[float, float]:
    """Mean and variance of `gradients`: eps is linear in z, the start and eight noises."""
    rate, pull = 0.16, 1 / 1.25 - 1 / 5.0  # Delta = pull x
    eps = torch.zeros(10, dtype=DOUBLE)
    eps[1] = 1.0
    noise = eps.clone()
    z = torch.zeros(10, dtype=DOUBLE)
    z[0] = 1.0
    for step in range(8):
        fresh = torch.zeros(10, dtype=DOUBLE)
        fresh[2 + step] = math.sqrt(2 * rate)
        eps, noise = (
            (1 - rate) * eps + rate * pull * (z / 2 + eps) + fresh,
            (1 - rate) * noise + fresh,
        )
    used = eps - noise if cancelled else eps
    along, across = float(used[0]), float(used[1:].square().sum())
    return -along, 2 * along**2 + across  # moments of a product of Gaussians


def test_cancelling_the_noise_lowers_the_variance_and_keeps_the_mean() -> None:
    count = 200_000
    for cancelled in (True, False):
        mean, variance = exact_gradients(cancelled)
        found = gradients(cancelled, count)
        assert abs(float(found.mean()) - mean) < 4 * math.sqrt(variance / count)
        assert abs(float(found.var()) / variance - 1) < 0.05
    (mean, variance), (loud_mean, loud_variance) = map(exact_gradients, (True, False))
    assert mean == pytest.approx(loud_mean)
    assert loud_variance / variance == pytest.approx(4.875, abs=1e-3)


TARGET_MEAN = torch.tensor([1.0, -2.0], dtype=DOUBLE)
TARGET_COVARIANCE = torch.tensor([[2.0, 0.8], [0.8, 0.6]], dtype=DOUBLE)


def distilled_gaussian(steps: int) -> tuple[Tensor, Tensor]:
    """Mean and covariance of g(z) = A z + b, distilled with exact scores of both sides."""
    matrix = torch.eye(2, dtype=DOUBLE).requires_grad_()
    offset = torch.zeros(2, dtype=DOUBLE, requires_grad=True)
    adam = torch.optim.Adam([matrix, offset], lr=0.03, betas=(0.0, 0.99))
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    eye = torch.eye(2, dtype=DOUBLE)
    langevin = Langevin(steps=8, noise_rate=0.16, latent_rate=0.01)

    def generate(z: Tensor) -> Tensor:
        return z @ matrix.T + offset

    for number in range(steps):
        sigma = float(torch.rand((), generator=torch.Generator().manual_seed(number))) + 0.2
        learnt = (matrix @ matrix.T).detach() + sigma**2 * eye
        taught = TARGET_COVARIANCE + sigma**2 * eye

        def gap(x: Tensor, taught: Tensor = taught, learnt: Tensor = learnt) -> Tensor:
            ours: Tensor = torch.linalg.solve(learnt, (offset.detach() - x).T).T
            theirs: Tensor = torch.linalg.solve(taught, (TARGET_MEAN - x).T).T
            return theirs - ours

        shape = (256, 2)
        seed = 1000 * number
        level = torch.tensor(sigma, dtype=DOUBLE)
        start = (drawn(shape, seed + 100), drawn(shape, seed + 101))
        after = e_step(generate, gap, level, *start, langevin, normals_of(shape, seed))
        loss = m_step_loss(generate(after.latents), level, after.drift, level**2)
        adam.zero_grad()
        loss.backward()
        adam.step()
        decay.step()
    return offset.detach(), (matrix @ matrix.T).detach()


def test_a_gaussian_teacher_is_reached() -> None:
    mean, covariance = distilled_gaussian(400)
    assert (mean - TARGET_MEAN).abs().max() < 0.05
    assert (covariance - TARGET_COVARIANCE).abs().max() < 0.1


@pytest.mark.parametrize(
    "settings",
    [{"steps": 0}, {"noise_rate": 0.0}, {"noise_rate": 1.0}, {"latent_rate": -0.1}],
)
def test_chains_that_cannot_run_are_refused(settings: dict[str, float]) -> None:
    make: Callable[..., Langevin] = Langevin
    with pytest.raises(ValueError, match="Langevin"):
        make(**settings)
