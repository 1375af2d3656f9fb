"""--compile: part of what is measured, refused where it cannot be, opened again as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

import pytest
import torch

from genbench.errors import GenbenchError, UsageError
from genbench.models.compiling import graph_breaks
from genbench.models.opening import ModelRequest, open_model, resolve
from genbench.models.reopening import reopened
from genbench.models.source import ModelSource
from genbench.records.kinds import QualityRecord
from genbench.records.labels import labels_of
from genbench.records.measurement import Environment
from genbench.reproducing.commands import evaluations
from genbench.runtime.digests import canonical_digest
from genbench.tables.several_seeds import of_several_seeds
from genbench_adapters.adm.network import GroupNorm32

CPU = torch.device("cpu")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[torch.nn.Module]:
    """The networks handed to torch.compile, which is not run: a minute of a C++ compiler each."""
    handed: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: handed.append(self))
    return handed


def biggan(*, compiles: bool) -> ModelSource:
    return open_model(resolve(ModelRequest(name="biggan-deep", compiles=compiles)), CPU)


def record_of(source: ModelSource, **changed: object) -> QualityRecord:
    told = asdict(source.subject()) | changed
    return QualityRecord(
        **told, metric="fd", value=1.0, unit="", samples=50, protocol="bundled",
        protocol_digest="", run="", environment=Environment(), detector="efficientnet-lite0",
    )  # fmt: skip


def test_compiling_is_part_of_the_identity_and_its_absence_is_not(
    compiled: list[torch.nn.Module],
) -> None:
    eager, made = biggan(compiles=False), biggan(compiles=True)
    assert len(compiled) == 1
    assert "compiled" not in eager.identity()
    assert made.identity() == {**eager.identity(), "compiled": True, "threads": 0}
    assert made.digest() != eager.digest() == canonical_digest(eager.identity())
    assert (eager.subject().compiled, made.subject().compiled) == (None, True)
    assert made.asked_otherwise(block=5).spec.compiled


def test_what_is_compiled_takes_no_kernel_of_ours(compiled: list[torch.nn.Module]) -> None:
    """Not even where torch.compile gives a call up and it runs as it stands."""
    request = ModelRequest(name="adm-guided", compiles=True)
    source = open_model(resolve(request), CPU)
    assert "kernels" not in source.identity()
    norms = [module for network in compiled for module in network.modules()
             if isinstance(module, GroupNorm32)]  # fmt: skip
    assert norms
    assert not any(norm.fused for norm in norms)


def test_names_and_means_keep_records_of_a_kernel_apart() -> None:
    plain = record_of(biggan(compiles=False))
    fused = replace(plain, kernels="group norms", seed=1)
    labels = labels_of([plain, replace(fused, seed=plain.seed)])
    assert labels(fused) == "biggan-deep (kernels group norms)"
    assert labels(plain) == "biggan-deep (kernels none)"
    made = replace(plain, compiled=True)
    assert labels_of([plain, made])(made) == "biggan-deep (compiled yes)"
    assert of_several_seeds([plain, fused], 2) == [plain]


@pytest.mark.parametrize(
    ("changed", "calls"),
    [({}, 0), ({"compiled": True}, 1), ({"options": {"compile": True}}, 1),
     ({"options": {"compile": False}}, 0)],
)  # fmt: skip
def test_a_record_is_opened_again_as_it_was_drawn(
    compiled: list[torch.nn.Module], changed: Mapping[str, object], calls: int
) -> None:
    again = reopened(record_of(biggan(compiles=False), **changed), CPU)
    assert len(compiled) == calls
    assert again.spec.compiled == bool(calls)


def test_the_command_of_a_record_compiles(compiled: list[torch.nn.Module]) -> None:
    (eager,) = evaluations([record_of(biggan(compiles=False))])
    (made,) = evaluations([record_of(biggan(compiles=True))])
    assert "--compile" in made.words
    assert "--compile" not in eager.words
    assert len(compiled) == 1


def test_what_cannot_be_compiled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="toy has nothing to compile: leave out --compile"):
        open_model(resolve(ModelRequest(name="toy", compiles=True)), CPU)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(GenbenchError, match=r"--compile needs a C\+\+ compiler \(no-such-comp"):
        biggan(compiles=True)


def test_graph_breaks_are_counted_with_their_reason() -> None:
    def left_once(x: torch.Tensor) -> torch.Tensor:
        y = x + 1
        torch._dynamo.graph_break()
        return y * 2

    before = graph_breaks()
    torch.compile(left_once, backend="eager")(torch.ones(2))
    (reason,) = (graph_breaks() - before).elements()
    assert "graph_break" in reason


@pytest.mark.parametrize("name", ["biggan-deep", "hit"])
def test_the_gans_are_compiled_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def traced(self: torch.nn.Module, **given: object) -> None:
        self._compiled_call_impl = torch.compile(self._call_impl, backend="eager", dynamic=False)

    monkeypatch.setattr(torch.nn.Module, "compile", traced)  # traced alone: no code is made
    before = graph_breaks()
    eager = open_model(resolve(ModelRequest(name=name, resolution=32, block=2)), CPU)
    whole = open_model(resolve(ModelRequest(name=name, resolution=32, block=2, compiles=True)), CPU)
    (drawn,) = whole.images(0, 2)
    assert torch.equal(drawn, next(iter(eager.images(0, 2))))
    assert not graph_breaks() - before
