"""The tests of the optional contracts: each that a family offers must hold."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from genbench.errors import GenbenchError, UsageError
from genbench.models.companions import CHECKPOINT
from genbench.models.contract import Adapter, Generator, ModelCard
from genbench.models.opening import ResolvedModel, open_random_model
from genbench.models.optional import (
    BringsCode,
    BringsRecipes,
    BringsWeights,
    Compilable,
    Concurrent,
    Convertible,
    ConvertRun,
    CountableNetworks,
    CountsEvaluations,
    CountsGuidance,
    Distillable,
    DistillRun,
    Folding,
    HasCompanions,
    InOrder,
    MakesCard,
    RandomInit,
    Repeating,
    StepSetting,
    TimedTraining,
    Trainable,
    TrainingForm,
    TrainRun,
    UsesKernels,
)
from genbench.models.source import ModelSource
from genbench.runtime.distributed import World
from genbench.runtime.progress import SilentReporter

Rule = tuple[str, Callable[[], str]]
_ADAPTERS = (Trainable, Distillable, BringsRecipes, Convertible, RandomInit, Folding,
             CountableNetworks, TimedTraining, MakesCard, BringsWeights, BringsCode,
             HasCompanions)  # fmt: skip
_GENERATORS = (CountsEvaluations, CountsGuidance, Repeating, Concurrent, UsesKernels, InOrder,
               Compilable)  # fmt: skip
_STEP = 2  # images of the optimiser step that is tried
_BESIDE = 8  # images drawn in blocks beside each other


def offered(adapter: Adapter, generator: Generator) -> list[str]:
    """The optional contracts that a family and its generator offer, by name."""
    found = [contract.__name__ for contract in _ADAPTERS if isinstance(adapter, contract)]
    return found + [kind.__name__ for kind in _GENERATORS if isinstance(generator, kind)]


def optional_rules(model: ResolvedModel, source: ModelSource) -> Iterator[Rule]:
    """One rule for each contract offered; a rule returns what is wrong, or nothing."""
    adapter, generator = model.adapter, source.generator
    if isinstance(adapter, Trainable):
        yield (
            "Trainable: a missing recipe is one line",
            lambda: _refuses(lambda folder: adapter.train(_train_run(folder, source.device))),
        )
    if isinstance(adapter, Distillable):
        yield (
            "Distillable: a missing recipe is one line",
            lambda: _refuses(lambda folder: adapter.distill(_distil_run(folder, source.device))),
        )
    if isinstance(adapter, BringsRecipes):
        yield "BringsRecipes: the files are there", lambda: _files(adapter.recipes)
    if isinstance(adapter, Convertible):
        yield (
            "Convertible: a missing file is one line",
            lambda: _refuses(
                lambda folder: adapter.convert(
                    ConvertRun(source=folder / "none", out=folder / "out.safetensors", options={})
                )
            ),
        )
    if isinstance(adapter, RandomInit):
        yield "RandomInit: draws images that are not flat", lambda: _random(model, source.device)
    if isinstance(adapter, Folding):
        yield "Folding: as published it stays so", lambda: _published(adapter)
    if isinstance(adapter, HasCompanions):
        yield (
            "HasCompanions: each fills an option and has an address",
            lambda: _companions(adapter, model.adapter.cards),
        )
    if isinstance(adapter, CountableNetworks):
        yield (
            "CountableNetworks: refuses unknown names",
            lambda: _refuses(lambda _: adapter.network_forward("no network has this name")),
        )
    if isinstance(adapter, TimedTraining):
        yield "TimedTraining: forms are of their resolution", lambda: _forms(adapter, source)
        yield "TimedTraining: a step runs", lambda: _step(adapter, source)
    if isinstance(adapter, BringsWeights):
        yield (
            "BringsWeights: the same digest again",
            lambda: _same(lambda: adapter.weights().digest),
        )
    if isinstance(adapter, BringsCode):
        yield "BringsCode: the same digest again", lambda: _same(adapter.code)
    if isinstance(generator, CountsEvaluations):
        yield "CountsEvaluations: at least one a sample", lambda: _counted(source, made=True)
    if isinstance(generator, CountsGuidance):
        yield "CountsGuidance: none or more a sample", lambda: _counted(source, made=False)
    if isinstance(generator, Repeating):
        yield "Repeating: as many calls as are counted", lambda: _repeated(source)
    if isinstance(generator, Concurrent) and generator.concurrent:
        yield "Concurrent: beside each other as one by one", lambda: _beside(source)
    if isinstance(generator, Compilable):  # the last: what it leaves behind would compile
        yield "Compilable: hands over its networks", lambda: _compiles(generator)


def _same(digest: Callable[[], str]) -> str:
    return "" if digest() == digest() != "" else "two digests of what nobody changed differ"


def _files(recipes: Mapping[str, Path]) -> str:
    missing = [str(path) for path in recipes.values() if not path.is_file()]
    return f"{', '.join(missing)} missing: put them into the package" if missing else ""


def _companions(adapter: HasCompanions, cards: Sequence[ModelCard]) -> str:
    for card in cards:
        for option, source in adapter.companions(card).items():
            if option != CHECKPOINT and not hasattr(adapter, option):
                return f"{card.name} names a file for {option}, which is no option"
            if not source.url:
                return f"{card.name} names {source.filename} without an address"
    return ""


def _published(adapter: Folding) -> str:
    published = adapter.as_published()
    if not isinstance(published, Folding) or published.as_published() != published:
        return "as_published() of what it gives is something else: it must be the same"
    return ""


def _refuses(call: Callable[[Path], object]) -> str:
    """What a call does that should raise GenbenchError and leave nothing behind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            call(folder)
        except GenbenchError:
            left = [path.name for path in folder.rglob("*") if path.is_file()]
            return f"leaves {', '.join(left)} behind a refusal" if left else ""
        except (
            Exception,
            SystemExit,
        ) as error:  # what a stranger's code raises is what is being tested
            return f"raises {type(error).__name__}: {error}; raise GenbenchError with the remedy"
    return "goes on as if nothing were wrong: raise GenbenchError with the remedy"


def _train_run(folder: Path, device: torch.device) -> TrainRun:
    return TrainRun(
        config=folder / "none.toml", out=folder / "run", data="bundled[:1]", world=World(),
        device=device, reporter=SilentReporter(),
    )  # fmt: skip


def _distil_run(folder: Path, device: torch.device) -> DistillRun:
    return DistillRun(
        config=folder / "none.toml", out=folder / "run", teacher=folder / "none", world=World(),
        device=device, reporter=SilentReporter(),
    )  # fmt: skip


def _random(model: ResolvedModel, device: torch.device) -> str:
    try:
        drawn = next(open_random_model(model, device).images(0, 2)).float()
    except UsageError:  # a variant that only its file describes
        return ""
    return "" if float(drawn.std()) > 0 else "random weights give images of one colour"


def _forms(adapter: TimedTraining, source: ModelSource) -> str:
    for size in (source.card.resolution, 7):
        for form in adapter.training_forms(size):
            if not isinstance(form, TrainingForm) or form.resolution != size:
                return f"training_forms({size}) gives {form}"
    return ""


def _step(adapter: TimedTraining, source: ModelSource) -> str:
    """One step of the first form that is not of a network too large to be tried."""
    small = [
        form for form in adapter.training_forms(source.card.resolution) if not form.published_batch
    ]
    for form in small[:1]:
        with tempfile.TemporaryDirectory() as name:
            run = _train_run(Path(name), source.device)
            setting = StepSetting(run=run, batch=_STEP, dtype=torch.float32, compile=False)
            adapter.training_step(form, setting)(0)
    return ""


def _counted(source: ModelSource, *, made: bool) -> str:
    """Drawing refuses counts that are no whole numbers of 0 or more."""
    next(source.images(0, 1))
    evaluations, _ = source.evaluations(0, 1)[0]
    if made and evaluations < 1:
        return "counts no evaluation for a sample that it drew"
    return ""


def _repeated(source: ModelSource) -> str:
    generator = source.generator
    assert isinstance(generator, Repeating)
    listed = generator.repeated(source.labels(0, 1), source.noise(0, 1))
    if not listed or any(times < 1 for _, times in listed):
        return "repeated() lists no calls, or calls that are made less than once"
    for call, _ in listed:
        with torch.inference_mode():
            call()
    if not isinstance(generator, CountsEvaluations):
        return ""
    next(source.images(0, 1))
    counted = int(source.evaluations(0, 1)[0].sum())
    made = sum(times for _, times in listed)
    return (
        "" if made == counted else f"repeated() lists {made} calls where sample() makes {counted}"
    )


def _beside(source: ModelSource) -> str:
    """Small blocks drawn in two threads and in one."""
    blocks, threads = source.asked_otherwise(block=2), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = torch.cat(list(blocks.images(0, _BESIDE)))
        torch.set_num_threads(2)
        beside = torch.cat(list(blocks.images(0, _BESIDE)))
    finally:
        torch.set_num_threads(threads)
    if torch.equal(alone, beside):
        return ""
    return "calls of `sample` at the same time change each other: set `concurrent` to False"


def _compiles(generator: Compilable) -> str:
    generator.compile()
    return ""
