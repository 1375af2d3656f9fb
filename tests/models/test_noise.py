"""Random streams: Philox's published vectors, the normal quantile, independence of batches."""

from __future__ import annotations

import pytest
import torch
from operations import operations
from scipy import special, stats

from genbench.errors import UsageError
from genbench.models import noise
from genbench.models.noise import NoiseStream, scheduled_labels
from genbench.models.philox import inverse_normal, philox


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # kat_vectors of Random123 1.14
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_vectors(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    words = philox([torch.tensor([word]) for word in counter], key)
    assert tuple(int(word) for word in words) == expected


def test_normals_are_the_quantile_function_to_float64_accuracy() -> None:
    words = torch.cat(
        [
            torch.arange(0, 2**32, 999_983),
            torch.tensor([0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]),
        ]
    )
    ours = inverse_normal(words)
    exact = torch.from_numpy(special.ndtri(((words.double() + 0.5) * 2.0**-32).numpy()))
    # ndtri near u = 1 loses digits of 1 - u; the lower half has none to lose.
    half = words < 2**31
    assert torch.allclose(ours[half], exact[half], rtol=1e-14, atol=1e-16)
    assert torch.equal(inverse_normal(2**32 - 1 - words), -ours)


def test_normals_and_uniforms_have_their_distribution() -> None:
    stream = NoiseStream(7, torch.arange(500))
    normal = stream.normal((400,)).flatten()
    assert stats.kstest(normal.numpy(), "norm").pvalue > 1e-3
    assert abs(float(torch.corrcoef(torch.stack([normal[:-1], normal[1:]]))[0, 1])) < 0.01
    uniform = stream.uniform((400,)).flatten()
    assert stats.kstest(uniform.numpy(), "uniform").pvalue > 1e-3
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1
    counts = torch.bincount(NoiseStream(3, torch.arange(20_000)).labels(10), minlength=10)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_a_sample_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = NoiseStream(5, torch.arange(64)).normal((3, 5, 7), step=2)
    for size in (1, 7, 64):
        parts = [
            NoiseStream(5, torch.arange(i, min(i + size, 64))).normal((3, 5, 7), step=2)
            for i in range(0, 64, size)
        ]
        assert torch.equal(torch.cat(parts), whole)
    shuffled = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(NoiseStream(5, shuffled).normal((3, 5, 7), step=2), whole[shuffled])
    monkeypatch.setattr(noise, "_MAX_ELEMENTS", 300)
    assert torch.equal(NoiseStream(5, torch.arange(64)).normal((3, 5, 7), step=2), whole)


def test_several_steps_in_one_set_of_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = NoiseStream(2**40 + 3, torch.tensor([3, 2**33, 7]))
    together = stream.normal_steps((2, 5), 8)
    alone = torch.stack([stream.normal((2, 5), step=step) for step in range(8)], dim=1)
    assert torch.equal(together, alone)
    with operations() as eight:
        stream.normal_steps((2, 5), 8)
    with operations() as one:
        stream.normal((2, 5))
    assert len(eight) <= len(one) < 260
    monkeypatch.setattr(noise, "_MAX_ELEMENTS", 85)  # of 80 in a sample
    assert torch.equal(stream.normal_steps((2, 5), 8), alone)
    assert stream.normal_steps((2,), 0).shape == (3, 0, 2)
    assert NoiseStream(0, torch.arange(0)).normal_steps((2,), 4).shape == (0, 4, 2)


@pytest.mark.parametrize("step", [0, 7, 100_003, 2**32 - 1])
def test_a_step_that_the_device_holds(step: int) -> None:
    stream, held = NoiseStream(3, torch.tensor([2, 2**33])), torch.tensor([step])
    for numbers in (stream.normal, stream.uniform):
        assert torch.equal(numbers((3, 5), step=held), numbers((3, 5), step=step))


def test_a_prefix_of_the_elements_is_a_prefix_of_the_numbers() -> None:
    stream = NoiseStream(1, torch.arange(4))
    assert torch.equal(stream.normal((100,))[:, :37], stream.normal((37,)))


def test_seed_sample_step_and_purpose_all_matter() -> None:
    def first(seed: int = 0, index: int = 0, step: int = 0) -> tuple[float, ...]:
        return tuple(NoiseStream(seed, torch.tensor([index])).normal((4,), step=step)[0].tolist())

    draws = [first(), first(seed=1), first(seed=2**32), first(index=1), first(index=2**32)]
    draws += [first(step=1), first(seed=2**63 + 1)]
    assert len(set(draws)) == len(draws)
    stream = NoiseStream(0, torch.tensor([0]))
    assert not torch.equal(stream.integers(2**31, (4,)), (stream.uniform((4,)) * 2**31).long())


def test_global_random_state_is_neither_read_nor_written() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one = NoiseStream(9, torch.arange(3)).normal((2,))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(NoiseStream(9, torch.arange(3)).normal((2,)), one)


def test_label_schedules() -> None:
    stream = NoiseStream(0, torch.arange(25, 60))
    balanced = scheduled_labels("balanced", 10, stream)
    assert balanced is not None
    assert balanced.tolist() == [i % 10 for i in range(25, 60)]
    uniform = scheduled_labels("uniform", 10, stream)
    everything = scheduled_labels("uniform", 10, NoiseStream(0, torch.arange(100)))
    assert uniform is not None
    assert everything is not None
    assert torch.equal(uniform, everything[25:60])
    assert scheduled_labels("uniform", 0, stream) is None


def test_a_seed_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="seed -1"):
        NoiseStream(-1, torch.arange(3))


def test_numbers_that_samples_have_had_since_the_first_version() -> None:
    stream = NoiseStream(11, torch.tensor([0, 2**32 + 1]))
    assert stream.normal((3,), step=5).tolist() == [
        [-0.5625206232070923, 0.02240769751369953, -0.36242032051086426],
        [-0.8350481390953064, 0.6753940582275391, -1.0767642259597778],
    ]
    assert stream.uniform((1,)).tolist() == [[0.30783724784851074], [0.8690207600593567]]
    assert stream.labels(1000).tolist() == [752, 779]


@pytest.mark.gpu
def test_a_gpu_gives_the_bits_of_a_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.fail("the gpu mark was asked for but there is no CUDA device")
    cpu, gpu = (NoiseStream(11, torch.arange(2000), torch.device(on)) for on in ("cpu", "cuda"))
    numbers = cpu.normal((1024,), step=3)
    assert torch.equal(gpu._plain_normals((1024,), range(3, 4)).squeeze(1).cpu(), numbers)
    assert torch.equal(gpu.normal((1024,), step=3).cpu(), numbers)  # with Triton: by its kernel
    held = torch.tensor([3], device="cuda")
    assert torch.equal(gpu.normal((1024,), step=held).cpu(), numbers)
    assert torch.equal(gpu.uniform((1001,), step=3).cpu(), cpu.uniform((1001,), step=3))
    assert torch.equal(gpu.normal_steps((5, 3), 8).cpu(), cpu.normal_steps((5, 3), 8))
