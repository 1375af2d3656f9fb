"""Which GPU a process takes, with GPUs that are only pretended."""

from __future__ import annotations

import pytest
import torch

from genbench.errors import GenbenchError, UsageError
from genbench.runtime.devices import common_device, device_of, kind_of, missing_architecture
from genbench.runtime.distributed import World

ALONE = World()


class Machine:
    """GPUs of one kind as torch tells of them; `current` is the process's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.current: torch.device | None = None
        told = {
            "is_available": lambda: count > 0,
            "device_count": lambda: count,
            "get_device_capability": lambda device: (9, 0),
            "get_device_name": lambda device: "NVIDIA H100",
            "get_arch_list": lambda: ["sm_80", "sm_90"],
            "set_device": self._set,
        }
        for name, answer in told.items():
            monkeypatch.setattr(torch.cuda, name, answer)

    def _set(self, device: torch.device) -> None:
        assert device.index is not None, "torch.cuda.set_device wants an index"
        self.current = device


@pytest.mark.parametrize("name", ["cuda", "auto"])
@pytest.mark.parametrize(
    ("count", "local_rank", "expected"),
    [(8, 5, 5), (1, 0, 0), (1, 5, 0), (4, 5, 1)],  # one visible of many: SLURM's way
)
def test_processes_share_the_gpus_they_see(
    monkeypatch: pytest.MonkeyPatch, name: str, count: int, local_rank: int, expected: int
) -> None:
    machine = Machine(monkeypatch, count)
    world = World(rank=local_rank, size=8, local_rank=local_rank, local_size=8)
    assert device_of(name, world) == torch.device("cuda", expected)
    assert machine.current == torch.device("cuda", expected)


def test_a_gpu_by_its_number_and_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 2)
    assert device_of("cuda:1", ALONE) == machine.current == torch.device("cuda:1")
    assert device_of("cpu", ALONE) == torch.device("cpu")
    with pytest.raises(UsageError, match="no device cuda:2, 2 CUDA devices are"):
        device_of("cuda:2", ALONE)


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, 0)
    assert device_of("auto", ALONE) == torch.device("cpu")
    with pytest.raises(UsageError, match="no device cuda, 0 CUDA devices"):
        device_of("cuda", ALONE)


@pytest.mark.parametrize("gpus", [0, 1])
def test_processes_with_and_without_gpus_do_not_compute_together(
    monkeypatch: pytest.MonkeyPatch, gpus: int
) -> None:
    Machine(monkeypatch, gpus)
    others = ["cpu", "cuda"]

    def gathered(into: list[str], mine: str) -> None:
        into[:] = [mine, *others]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gathered)
    world = World(size=3)
    with pytest.raises(UsageError, match=r"some have GPUs, rank .*1 none: pass --device cpu"):
        common_device("auto", world)
    others[:] = ["cuda", "cuda"] if gpus else ["cpu", "cpu"]
    assert common_device("auto", world) == device_of("auto", world)
    assert common_device("auto", ALONE) == device_of("auto", ALONE)


@pytest.mark.parametrize("name", ["cuda", "auto", "cuda:0"])
def test_a_torch_without_code_for_the_gpu(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    machine = Machine(monkeypatch, 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    with pytest.raises(GenbenchError, match=r"no code for sm_70 .*, or pass --device cpu"):
        device_of(name, ALONE)
    assert machine.current is None


def test_v100_needs_sm70_and_the_remedy_is_named() -> None:
    modern = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
    problem = missing_architecture((7, 0), modern)
    assert "sm_70" in problem
    assert "cu126" in problem
    assert missing_architecture((7, 0), ["sm_50", "sm_70", *modern]) == ""
    assert missing_architecture((8, 9), modern) == ""  # sm_86 code runs on 8.9
    assert missing_architecture((9, 0), ["sm_90a"]) == ""
    assert missing_architecture((10, 3), ["sm_90", "compute_90"]) == ""  # compiled on the spot
    assert "sm_75" in missing_architecture((7, 5), ["sm_80", "sm_90"])


def test_gpus_of_two_names_are_two_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, 1)
    gpu = torch.device("cuda:0")
    assert (kind_of(torch.device("cpu")), kind_of(gpu)) == ("cpu", "cuda NVIDIA H100")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    assert kind_of(gpu) == "cuda Tesla V100"
