"""genbench throughput: what is counted, what is recorded, and tiers that are never mixed."""

from __future__ import annotations

import json
import math
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from strangers import error_line, genbench

from genbench.errors import GenbenchError, UsageError
from genbench.models.contract import ModelCard
from genbench.models.noise import NoiseStream
from genbench.models.opening import ModelRequest, open_random_model, resolve
from genbench.models.source import ModelSource, SampleSpec
from genbench.records.kinds import Record, SpeedRecord, TrainingFacts
from genbench.records.lines import from_line, to_line
from genbench.reproducing.commands import evaluations
from genbench.runtime.arithmetic import ARITHMETICS
from genbench.runtime.progress import SilentReporter
from genbench.speed import sampling
from genbench.speed.backtests import backtests
from genbench.speed.datasheets import Gpu, find_gpu
from genbench.speed.flops import evaluations_of, flops_of, sampling_flops
from genbench.speed.instruments import Laboratory
from genbench.speed.memory import HostMeter, OutOfMemoryAt, noticing_memory
from genbench.speed.sampling import cost_of_an_image, measure_sampling
from genbench.speed.stopwatches import HostStopwatch
from genbench.speed.target_gpu import projected, theoretical
from genbench.speed.throughput import SpeedRequest, sampling_throughput
from genbench.speed.timings_to_measurements import sampling_records, speed_template

CPU = torch.device("cpu")
H100, V100, A100 = find_gpu("h100"), find_gpu("v100"), find_gpu("a100")


class FakeMeter:
    """A device with room for so many images at once."""

    def __init__(self) -> None:
        self.images = 0

    def reset(self) -> None:
        self.images = 0

    def peak(self) -> int:
        return self.images * 1_000_000

    def room(self) -> float:
        return float("inf")


class FakeGenerator:
    """A call takes 8/1024 s and 1/1024 s an image; more than `limit` images do not fit."""

    def __init__(self, limit: int) -> None:
        self.now, self.limit, self.meter = 0.0, limit, FakeMeter()
        self.first_rows: list[int] = []

    def sample(self, labels: torch.Tensor | None, noise: NoiseStream) -> torch.Tensor:
        if len(noise) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.meter.images = len(noise)
        self.first_rows.append(int(noise.indices[0]))
        self.now += (8 + len(noise)) / 1024
        _ = torch.ones(8, 16) @ torch.ones(16, 4)  # 2 x 8 x 16 x 4 = 1024 FLOP
        return torch.zeros(len(noise), 3, 16, 16, dtype=torch.uint8)


def fake_lab(generator: FakeGenerator, gpu: Gpu | None = None) -> Laboratory:
    clock: Callable[[], float] = lambda: generator.now  # noqa: E731
    return Laboratory(
        device=CPU, stopwatch=HostStopwatch(clock, clock), memory=generator.meter, gpu=gpu,
        seconds=1.0, matmuls={"float16": 1e12, "float32": 1e11},
    )  # fmt: skip


def fake_source(generator: FakeGenerator) -> ModelSource:
    spec = SampleSpec(model="fake", card="fake-16", resolution=16)
    card = ModelCard(name="fake-16", resolution=16)
    return ModelSource(generator, spec, card, CPU, batch_size=64)


def measured(
    limit: int, batches: tuple[int, ...] = (), gpu: Gpu | None = None
) -> list[SpeedRecord]:
    generator = FakeGenerator(limit)
    source, lab = fake_source(generator), fake_lab(generator, gpu)
    cost = cost_of_an_image(source, lab)
    (speed,) = measure_sampling(source, cost, lab, SilentReporter(), batches=batches)
    half = ARITHMETICS["float16"]
    return sampling_records(speed_template(lab, half), speed, lab, half)


def test_a_fake_device_is_measured_to_the_digit() -> None:
    rate, latency, memory = measured(limit=100, batches=(40,), gpu=H100)
    assert rate.metric == "throughput"
    assert rate.value == pytest.approx(40 * 1024 / 48)
    assert rate.trials == (48 / 1024,) * 22  # 1 s
    assert rate.samples == 880
    assert latency.value == 9 / 1024
    assert memory.value == 40_000_000
    assert rate.batch == 40
    assert rate.flops_per_image == 1024
    assert rate.work is not None
    assert rate.work.achieved_flops == pytest.approx(1024 * rate.value)
    assert rate.work.utilisation_matmul == pytest.approx(1024 * rate.value / 1e12)
    assert rate.work.utilisation_datasheet == pytest.approx(1024 * rate.value / 989.4e12)
    assert rate.tier == "measured"
    assert from_line(to_line(rate)) == rate


def test_the_sweep_finds_the_largest_that_fits() -> None:
    rate, *_ = measured(limit=100)
    assert rate.batch == 64
    assert rate.sweep is not None
    assert rate.sweep.ended == "out of memory at 128"
    assert [point.batch for point in rate.sweep.points] == [1, 2, 4, 8, 16, 32, 64]


class LongGenerator(FakeGenerator):
    """A trajectory of a thousand steps, as the whole call and by its steps."""

    def repeated(
        self, labels: torch.Tensor | None, noise: NoiseStream
    ) -> list[tuple[Callable[[], object], int]]:
        return [(lambda: FakeGenerator.sample(self, labels, noise), 1000)]

    def sample(self, labels: torch.Tensor | None, noise: NoiseStream) -> torch.Tensor:
        self.now += 999 * (8 + len(noise)) / 1024
        return super().sample(labels, noise)


def test_the_sweep_of_a_long_trajectory_looks_at_single_steps() -> None:
    generator = LongGenerator(100)
    source = fake_source(generator)
    lab = replace(fake_lab(generator), seconds=30.0)
    cost = cost_of_an_image(source, lab)
    assert cost.evaluations == 1000
    assert cost.flops == 1000 * 1024
    assert cost.seconds == pytest.approx(1000 * 9 / 1024)
    (speed,) = measure_sampling(source, cost, lab, SilentReporter())
    assert speed.sweep is not None
    assert speed.sweep.batch == 32  # the next would be a call of a minute and more
    assert speed.sweep.points[-1].rate == pytest.approx(32 / (1000 * 40 / 1024))
    assert speed.timing.rate == pytest.approx(32 / (1000 * 40 / 1024))
    assert len(speed.timing.trials) == 3  # whole calls, each of 39 s


class CompiledGenerator(FakeGenerator):
    """Its first call at each size after `compile` takes a minute, later ones half as long."""

    def __init__(self) -> None:
        super().__init__(limit=64)
        self.compiled = False
        self.built: list[int] = []

    def compile(self) -> None:
        self.compiled = True

    def sample(self, labels: torch.Tensor | None, noise: NoiseStream) -> torch.Tensor:
        before = self.now
        images = super().sample(labels, noise)
        if self.compiled:
            self.now = before + (self.now - before) / 2
            if len(noise) not in self.built:
                self.built.append(len(noise))
                self.now += 60
        return images


def test_the_sweep_runs_eagerly_and_compiling_counts_for_nothing() -> None:
    generator = CompiledGenerator()
    source, lab = fake_source(generator), fake_lab(generator)
    cost = cost_of_an_image(source, lab)
    (speed,) = measure_sampling(source, cost, lab, SilentReporter(), compiles=True)
    assert speed.sweep is not None
    assert speed.sweep.ended == "out of memory at 128"
    assert speed.timing.batch == 64
    assert generator.built == [1, 64]  # for the latency, and for the winner
    assert speed.timing.rate == pytest.approx(2 * 64 * 1024 / 72)
    assert len(speed.timing.trials) == math.ceil(1.0 / (36 / 1024))  # a full window
    assert speed.timing.warm.first == pytest.approx(60 + 36 / 1024)
    assert speed.timing.warm.steady


class TunedGenerator(FakeGenerator):
    """Whose libraries take a minute over the first call of each size."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.tuned: set[int] = set()

    def sample(self, labels: torch.Tensor | None, noise: NoiseStream) -> torch.Tensor:
        images = super().sample(labels, noise)
        self.now += 0 if len(noise) in self.tuned else 60
        self.tuned.add(len(noise))
        return images


def test_first_calls_are_no_part_of_the_sweeps_budget() -> None:
    generator = TunedGenerator(100)
    source, lab = fake_source(generator), fake_lab(generator)
    cost = replace(cost_of_an_image(source, lab), seconds=9 / 1024)
    (speed,) = measure_sampling(source, cost, lab, SilentReporter())
    assert speed.sweep is not None
    assert speed.sweep.ended == "out of memory at 128"


class ProfiledStopwatch(HostStopwatch):
    """As of a GPU that computes for half of a call."""

    def device_seconds(self, work: Any, number: int) -> float:
        return self.window(work, number, 1).wall / 2


@pytest.mark.parametrize(("make", "steps"), [(FakeGenerator, 1), (LongGenerator, 1000)])
def test_the_seconds_of_the_device_are_those_of_a_whole_call(
    make: type[FakeGenerator], steps: int
) -> None:
    generator = make(100)
    source, clock = fake_source(generator), lambda: generator.now
    lab = replace(fake_lab(generator), stopwatch=ProfiledStopwatch(clock, clock))
    (speed,) = measure_sampling(
        source, cost_of_an_image(source, lab), lab, SilentReporter(), batches=(4,)
    )
    assert speed.timing.device == pytest.approx(steps * 12 / 1024 / 2)
    assert speed.timing.busy == pytest.approx(0.5)


def test_a_call_longer_than_the_warm_up_is_warmed_by_its_steps() -> None:
    generator = LongGenerator(100)
    source, lab = fake_source(generator), fake_lab(generator)
    cost = cost_of_an_image(source, lab)
    generator.first_rows.clear()
    (speed,) = measure_sampling(source, cost, lab, SilentReporter(), batches=(4,))
    assert speed.timing.warm.calls == 0  # no whole call
    assert speed.timing.warm.steady
    assert speed.timing.warm.typical == pytest.approx(1000 * 12 / 1024)
    assert speed.timing.trials == pytest.approx([1000 * 12 / 1024] * 3)


class LongCompiled(LongGenerator):
    """Compiled once more by the first whole call, which hands its network another layout."""

    compiled = whole = False

    def compile(self) -> None:
        self.compiled = True

    def sample(self, labels: torch.Tensor | None, noise: NoiseStream) -> torch.Tensor:
        if self.compiled and len(noise) > 1 and not self.whole:
            self.whole = True
            self.now += 60
        return super().sample(labels, noise)


def test_nothing_is_compiled_within_the_window_of_a_long_trajectory() -> None:
    generator = LongCompiled(100)
    source, lab = fake_source(generator), fake_lab(generator)
    cost = cost_of_an_image(source, lab)
    (speed,) = measure_sampling(source, cost, lab, SilentReporter(), batches=(4,), compiles=True)
    assert speed.timing.trials == pytest.approx([1000 * 12 / 1024] * 3)
    assert speed.timing.warm.calls == 1
    assert speed.timing.warm.first > 60


def test_every_batch_size_is_compiled_however_many_there_are() -> None:
    """torch.compile alone would run the ninth eagerly."""
    made: list[int] = []

    def backend(graph: Any, inputs: list[torch.Tensor]) -> Any:
        made.append(len(inputs[0]))
        return graph.forward

    class Compiled(FakeGenerator):
        network: Callable[[torch.Tensor], torch.Tensor] = staticmethod(torch.neg)

        def compile(self) -> None:
            self.network = torch.compile(lambda x: -x, backend=backend, dynamic=False)

        def sample(self, labels: torch.Tensor | None, noise: NoiseStream) -> torch.Tensor:
            self.network(torch.ones(len(noise)))
            return super().sample(labels, noise)

    generator = Compiled(100)
    source, lab = fake_source(generator), replace(fake_lab(generator), seconds=0.05)
    cost = cost_of_an_image(source, lab)
    batches = tuple(range(2, 12))
    speeds = measure_sampling(source, cost, lab, SilentReporter(), batches=batches, compiles=True)
    assert [speed.timing.batch for speed in speeds] == list(batches)
    assert made == [1, *batches]


def test_graph_breaks_are_those_of_the_batch_that_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = CompiledGenerator()
    monkeypatch.setattr(sampling, "graph_breaks", lambda: Counter(map(str, generator.built)))
    source, lab = fake_source(generator), fake_lab(generator)
    cost = cost_of_an_image(source, lab)
    speeds = measure_sampling(source, cost, lab, SilentReporter(), batches=(4, 8), compiles=True)
    assert [dict(speed.breaks) for speed in speeds] == [{"4": 1}, {"8": 1}]


def test_all_records_of_a_compiled_model_say_so() -> None:
    generator = CompiledGenerator()
    source, lab = fake_source(generator), fake_lab(generator)
    cost = cost_of_an_image(source, lab)
    (speed,) = measure_sampling(source, cost, lab, SilentReporter(), batches=(4,), compiles=True)
    plain = ARITHMETICS["float32"]
    records = sampling_records(speed_template(lab, plain), speed, lab, plain)
    assert [record.compiled for record in records] == [True] * 3
    for found in evaluations(records):
        assert "--compile" in found.words


def test_every_call_draws_new_samples() -> None:
    generator = FakeGenerator(10)
    source, lab = fake_source(generator), fake_lab(generator)
    cost = cost_of_an_image(source, lab)
    generator.first_rows.clear()
    list(measure_sampling(source, cost, lab, SilentReporter(), batches=(5,)))
    last = generator.first_rows[-20:]
    assert len(set(last)) == 20
    assert all(row % 5 == 0 for row in last)


def test_memory_that_is_too_small_is_one_clear_line() -> None:
    with pytest.raises(GenbenchError, match="does not fit the memory of cpu even at batch 1"):
        measured(limit=0)
    with pytest.raises(GenbenchError, match="ran out of memory at batch 64: pass --batch 32"):
        measured(limit=40, batches=(64,))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)",
        "GET was unable to find an engine to execute this computation",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "upsample_nearest2d_channels_last only supports output tensors with less than INT_MAX",
        "Expected canUse32BitIndexMath(input) to be true",
    ],
)
def test_the_sweep_ends_whatever_words_memory_runs_out_in(text: str) -> None:
    class Short(FakeGenerator):
        def sample(self, labels: torch.Tensor | None, noise: NoiseStream) -> torch.Tensor:
            if len(noise) > 8:
                raise RuntimeError(text)
            return super().sample(labels, noise)

    generator = Short(100)
    source, lab = fake_source(generator), fake_lab(generator)
    (speed,) = measure_sampling(source, cost_of_an_image(source, lab), lab, SilentReporter())
    assert speed.sweep is not None
    assert speed.sweep.ended == "out of memory at 16"
    with pytest.raises(GenbenchError, match=r"ran out of memory at 25 samples .* pass --block 12"):
        next(source.images(0, 20))


def test_the_cpu_allocators_complaint_is_recognised() -> None:
    text = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"
    with pytest.raises(OutOfMemoryAt), noticing_memory():
        raise RuntimeError(text)
    with pytest.raises(RuntimeError, match="shape"), noticing_memory():
        raise RuntimeError("shape mismatch")


def test_the_hosts_memory_is_read_from_proc(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text("Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n")
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    10240 kB\n")
    meter = HostMeter(tmp_path)
    assert meter.peak() == 2 << 20
    assert meter.room() == (1 << 20) + 0.8 * (10 << 20)
    assert HostMeter(tmp_path / "nowhere").room() == float("inf")


# --- random weights and counted work of the real families ---


@pytest.mark.parametrize(
    ("name", "res", "options"),
    [("hit", 32, {}), ("biggan-deep", 32, {}), ("adm-guided", 32, {"steps": "3"}), ("emd", 32, {})],
)
def test_random_weights_draw_finite_images_and_touch_no_global_state(
    name: str, res: int, options: dict[str, str]
) -> None:
    state = torch.random.get_rng_state()
    request = ModelRequest(name=name, resolution=res, options=options)
    source = open_random_model(resolve(request), CPU)
    images = source.draw(0, 2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert images.dtype == torch.uint8
    assert images.shape == (2, 3, res, res)
    assert images.float().std() > 1
    assert source.spec.weight_kind == "random-init"
    again = open_random_model(resolve(request), CPU)
    assert torch.equal(again.draw(0, 2), images)


@pytest.mark.parametrize(
    ("name", "variant"), [("edm", "edm-32"), ("edm", "edm-64-uncond"), ("emd", "emd-32-uncond")]
)
def test_a_variant_that_only_its_file_describes_is_not_guessed(name: str, variant: str) -> None:
    with pytest.raises(UsageError, match="pass --checkpoint PATH"):
        open_random_model(resolve(ModelRequest(name=name, variant=variant)), CPU)


def test_no_layer_of_random_weights_is_zero() -> None:
    source = open_random_model(resolve(ModelRequest(name="adm-guided", resolution=32)), CPU)
    generator: Any = source.generator
    for network in (generator.unet, generator.guidance[0]):
        assert all(parameter.any() for parameter in network.parameters())


def test_one_step_times_the_steps_is_the_whole_trajectory() -> None:
    """Counted over a guided trajectory of 4 steps, and by its parts."""
    request = ModelRequest(name="adm-guided", resolution=32, options={"steps": "4"})
    source = open_random_model(resolve(request), CPU)
    labels, noise = source.labels(0, 2), source.noise(0, 2)
    evaluations = evaluations_of(source.generator, labels, noise)
    assert [times for _, times in evaluations] == [4, 4]
    with torch.no_grad():
        whole = flops_of(lambda: source.generator.sample(labels, noise))
    assert sampling_flops(evaluations) == whole > 0


def test_flops_are_two_a_multiply_add() -> None:
    left, right = torch.ones(3, 5), torch.ones(5, 7)
    assert flops_of(lambda: left @ right) == 2 * 3 * 5 * 7


def test_flops_of_the_official_hit() -> None:
    """28.30 GFLOP by a walk over the official TensorFlow graph; the folded form does as many."""
    source = open_random_model(resolve(ModelRequest(name="hit", resolution=128)), CPU)
    evaluations = evaluations_of(source.generator, None, source.noise(0, 1))
    assert sampling_flops(evaluations) / 1e9 == pytest.approx(28.30, abs=0.005)


# --- tiers ---


def test_theoretical_is_the_papers_arithmetic() -> None:
    rate = theoretical(3 * 613.855789056e9, V100, "float32")
    assert rate is not None
    assert rate.value == pytest.approx(65.16, abs=0.005)
    assert "120 TFLOP/s" in rate.how
    assert theoretical(0, V100, "float16") is None
    other = theoretical(1e12, A100, "float16")
    assert other is not None
    assert other.value == pytest.approx(312)


def test_projection_is_an_interval_between_the_two_ratios() -> None:
    rate = projected(1000.0, 1e9, H100, V100, "float16")
    assert rate is not None
    assert rate.low == pytest.approx(1000 / (989.4 / 125))
    assert rate.high == pytest.approx(1000 / (3350 / 900))
    assert rate.value == rate.low  # never a middle that nobody computed


def test_projection_stays_below_the_roof() -> None:
    rate = projected(1000.0, 1e12, H100, V100, "float16")  # 1 TFLOP an image: at most 125 a second
    assert rate is not None
    assert rate.low == pytest.approx(125.0)
    assert rate.high == pytest.approx(125.0)


def test_no_projection_without_two_datasheets() -> None:
    assert projected(1000.0, 1e9, None, V100, "float16") is None
    assert projected(1000.0, 1e9, find_gpu("l4"), V100, "tf32") is None
    assert projected(1000.0, 1e9, find_gpu("v100s"), V100, "float16") is None  # it is one


def speed_rows(gpu: Gpu | None, target: Gpu = V100) -> dict[str, SpeedRecord]:
    """What the job records of a fake model on a device that is said to be `gpu`."""
    from genbench.speed import throughput as job

    generator = FakeGenerator(100)
    source, lab = fake_source(generator), fake_lab(generator, gpu)
    request = SpeedRequest(
        models=(), arithmetic=ARITHMETICS["float16"], batches=(40,), target=target
    )
    template = speed_template(lab, request.arithmetic)
    cost = cost_of_an_image(source, lab)
    found = job._of_model(source, cost, template, request, lab, SilentReporter())
    return {record.metric: record for record in found}


def test_a_v100_is_measured() -> None:
    rows = speed_rows(V100)
    assert rows["throughput_v100"].value == rows["throughput"].value
    assert rows["throughput_v100"].trials == rows["throughput"].trials
    assert rows["throughput_v100"].unit == "images/V100-second"
    assert "throughput_v100_projected" not in rows
    assert rows["throughput_v100_theoretical"].tier == "theoretical"
    assert speed_rows(find_gpu("v100-pcie"))["throughput_v100"].tier == "measured"


@pytest.mark.parametrize("gpu", [H100, A100, None])
def test_other_devices_never_fill_the_measured_row(gpu: Gpu | None) -> None:
    rows = speed_rows(gpu)
    assert "throughput_v100" not in rows
    assert rows["throughput"].unit == "images/s"
    assert rows["throughput_v100_theoretical"].trials == ()
    assert ("throughput_v100_projected" in rows) == (gpu is not None)


def test_another_target_has_another_name() -> None:
    rows = speed_rows(H100, target=A100)
    assert rows["throughput_a100-sxm-80_projected"].unit == "images/A100 SXM 80 GB-second"


def training_record(
    rate: float, gpu: str = "h100-sxm5", form: str = "optimised", network: str = "adm-128",
    arithmetic: str = "float16",
) -> Record:  # fmt: skip
    base, *_ = measured(limit=1, batches=(1,))
    return replace(
        base, metric="training_throughput", value=rate, gpu=gpu, arithmetic=arithmetic,
        flops_per_image=3 * 613.855789056e9,
        training=TrainingFacts(network=network, form=form, implementation=""),
    )  # fmt: skip


def test_the_back_test_sets_projections_beside_adms_own_figures() -> None:
    (inside,) = backtests([training_record(150.0)], H100, V100)
    assert inside.low < 24.8 < inside.high
    assert inside.error == 0
    (above,) = backtests([training_record(300.0)], H100, V100)
    assert above.low == pytest.approx(300 / 7.9152)
    assert above.error == pytest.approx(24.8 / above.low - 1)
    assert above.error < 0


@pytest.mark.parametrize(
    "settings",
    [{"gpu": "a100-sxm-80"}, {"form": "naive"}, {"network": "hit-128"}, {"arithmetic": "float32"}],
)
def test_the_back_test_takes_nothing_else(settings: dict[str, str]) -> None:
    assert backtests([training_record(150.0, **settings)], H100, V100) == []


# --- the command ---


def throughput(*words: str | Path, records: Path) -> subprocess.CompletedProcess[str]:
    return genbench("throughput", *words, "--records", records, "--device", "cpu")


def speed_records(path: Path) -> list[SpeedRecord]:
    found = [from_line(line) for line in path.read_text().splitlines()]
    speeds = [record for record in found if isinstance(record, SpeedRecord)]
    assert len(speeds) == len(found)
    return speeds


def test_the_command_measures_and_records(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    run = throughput(
        "--model", "biggan-deep", "--model", "emd", "--res", "32", "--batch", "2", "--seconds",
        "0.2", "--gpu", "v100", records=path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "emd is left out: no 32 pixels" in run.stderr or "emd-32" in run.stdout
    assert "nothing was measured on a V100" in run.stdout
    assert "theoretical" in run.stdout
    records = speed_records(path)
    ours = {record.metric: record for record in records if record.model == "biggan-deep"}
    assert set(ours) == {"throughput", "latency", "peak_memory", "throughput_v100_theoretical"}
    rate = ours["throughput"]
    assert rate.unit == "images/s"
    assert rate.weight_kind == "trained-here"  # the bundled ones
    assert rate.batch == 2
    assert rate.clock == "monotonic host clock"
    assert rate.timing is not None
    assert len(rate.trials) == rate.timing.calls >= 3
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low <= rate.value <= rate.high
    assert rate.environment.device_type == "cpu"


def test_random_weights_are_said_to_be_random(tmp_path: Path) -> None:
    run = throughput(
        "--model", "adm-guided", "--res", "32", "--steps", "2", "--classifier-scale", "0",
        "--batch", "1", "--seconds", "0.1", "--json", "--checkpoint", "", records=tmp_path / "r",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    rate = json.loads(run.stdout.splitlines()[0])
    assert rate["weight_kind"] in ("random-init", "trained-here")
    assert rate["evaluations"] == 2
    assert rate["options"]["steps"] == 2


def test_strict_exits_3_without_a_v100(tmp_path: Path) -> None:
    run = throughput(
        "--model", "toy", "--batch", "2", "--seconds", "0.1", "--strict", records=tmp_path / "r"
    )
    assert run.returncode == 3
    assert "nothing was measured on a V100" in error_line(run)
    assert "toy-32" in run.stdout  # what was measured is shown all the same


def test_training_steps_are_timed(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    run = throughput(
        "--train", "--model", "biggan-deep", "--model", "hit", "--model", "adm-guided", "--res",
        "32", "--batch", "2", "--seconds", "0.1", "--gpu", "v100", records=path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    records = speed_records(path)
    rates = [record for record in records if record.metric == "training_throughput"]
    assert [rate.model for rate in rates] == ["biggan-deep", "hit", "adm-guided"]
    for rate in rates:
        assert rate.training is not None
        assert rate.training.form == "recipe"
        assert rate.flops_per_image is not None
        assert rate.flops_per_image > 1e6
        assert rate.work is not None
        assert rate.work.utilisation_matmul > 0
    tiers = {record.metric for record in records if record.metric.endswith("theoretical")}
    assert tiers == {"training_throughput_v100_theoretical"}


@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_a_v100_second_is_reckoned_by_the_published_work(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = tmp_path / "records.jsonl"
    run = throughput(
        "--model", "biggan-deep", "--res", "32", "--batch", "2", "--seconds", "0.1", "--gpu",
        "v100", *options, records=path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    rate, *_, theory = speed_records(path)
    assert rate.flops_per_image is not None
    published = rate.published_flops_per_image
    if options:
        assert published is None
        published = rate.flops_per_image
    else:
        assert published is not None
        assert published > 1.1 * rate.flops_per_image
        assert "as published (layers are folded)" in run.stdout
    assert theory.value == pytest.approx(120e12 / published)


def test_what_would_take_too_long_is_not_begun(tmp_path: Path) -> None:
    run = throughput(
        "--train", "--model", "adm-guided", "--res", "64", "--seconds", "0.1", "--gpu", "v100",
        records=tmp_path / "r",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "is not measured: a step takes at least" in run.stderr
    assert "182.352" in run.stdout  # arithmetic needs no device


def test_a_family_without_random_weights_is_told_what_to_do() -> None:
    with pytest.raises(UsageError, match="cannot be measured without its weights: pass --check"):
        open_random_model(resolve(ModelRequest(name="toy")), CPU)


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["--model", "toy", "--gpu", "v1000"], "did you mean v100", 2),
        (["--model", "toy", "--batch", "0"], "--batch 0 must be at least 1", 2),
        (["--model", "toy", "--batch", "many"], "auto or numbers, not many", 2),
        (["--model", "toy", "--batch", "auto", "--batch", "4"], "auto or numbers", 2),
        (["--model", "toi"], "did you mean toy?", 2),
        (["--model", "toy", "--res", "48"], "no variant at resolution 48; it has 32, 64, 128", 2),
        (["--model", "toy", "--dtype", "float8"], "one of float32, tf32, float16, bfloat16", 2),
        (["--model", "toy", "--dtype", "tf32"], "use float32 on a CPU", 2),
        (["--model", "toy", "--steps", "4"], "there is no option --steps", 2),
        (["--model", "toy", "--compile"], "has nothing to compile", 2),
        (["--model", "toy", "--seconds", "-1"], "is no length of a measurement", 2),
        (["--model", "toy", "--seconds", "nan"], "is no length of a measurement", 2),
        (["--model", "toy", "--train"], "none of these models brings a training step", 2),
        (["--model", "toy", "--model", "hit", "--variant", "toy-32"], "measure it alone", 2),
    ],
)
def test_bad_input_is_one_clear_line(
    tmp_path: Path, words: list[str], said: str, code: int
) -> None:
    run = throughput(*words, records=tmp_path / "r")
    assert said in error_line(run)
    assert run.returncode == code


def test_no_cuda_when_asked_for_it(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    run = genbench("throughput", "--model", "toy", "--device", "cuda", "--records", tmp_path / "r")
    assert "there is no device cuda" in error_line(run)


@pytest.mark.gpu
def test_a_real_gpu_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    run = genbench(
        "throughput", "--model", "hit", "--model", "biggan-deep", "--res", "128", "--dtype",
        "float16", "--seconds", "3", "--gpu", "v100", "--records", path, "--device", "cuda",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    records = speed_records(path)
    rates = [record for record in records if record.metric == "throughput"]
    assert len(rates) == 2
    for rate in rates:
        assert rate.clock.startswith("CUDA events")
        assert rate.timing is not None
        assert rate.timing.busy > 0.5
        assert rate.environment.gpu is not None
        assert rate.work is not None
        assert 0 < rate.work.utilisation_matmul < 1


def test_the_job_refuses_before_it_loads() -> None:
    generator = FakeGenerator(1)
    request = SpeedRequest(models=(resolve(ModelRequest(name="toy")),), batches=(0,))
    with pytest.raises(GenbenchError, match="--batch 0"):
        next(sampling_throughput(request, fake_lab(generator), SilentReporter()))
