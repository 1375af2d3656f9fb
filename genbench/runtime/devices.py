"""Which device this process computes on, and whether it and this torch fit each other."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from genbench.errors import GenbenchError, UsageError
from genbench.runtime.distributed import World


def device_of(name: str, world: World) -> torch.device:
    """The device of that name, and of a GPU the process's current one from now on.

    "auto" is a GPU when there is one, else the CPU; "auto" and "cuda" share the GPUs that a process
    can see among those of its machine, by local rank: all of them under torchrun, its only one
    under SLURM. Raises UsageError for a name torch does not know and for a GPU that is not there,
    GenbenchError for one that this build of torch has no code for.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if count else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"there is no device {name}: use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"genbench does not measure on {name}: use auto, cpu or cuda")
    if device.type == "cpu":
        return device
    if (device.index or 0) >= count:
        raise UsageError(f"there is no device {name}, {count} CUDA devices are: use auto or cpu")
    if device.index is None:
        device = torch.device("cuda", world.local_rank % count)
    problem = missing_architecture(
        torch.cuda.get_device_capability(device), torch.cuda.get_arch_list()
    )
    if problem:
        raise GenbenchError(
            f"{torch.cuda.get_device_name(device)}: {problem}, or pass --device cpu"
        )
    torch.cuda.set_device(device)  # before anything is allocated on another
    return device


def common_device(name: str, world: World) -> torch.device:
    """`device_of`, for processes that compute together: every one must call it. Raises UsageError
    where some of them have GPUs and others none, whose means and digits do not go together."""
    device = device_of(name, world)
    kinds = world.gather_on_all(device.type)
    if len(set(kinds)) > 1:
        without = [str(rank) for rank, kind in enumerate(kinds) if kind == "cpu"]
        raise UsageError(
            f"of the {world.size} processes some have GPUs, rank {', '.join(without)} none: pass "
            "--device cpu, or start them on machines with GPUs alone"
        )
    return device


def kind_of(device: torch.device) -> str:
    """What figures have their last bits from: "cpu", or "cuda" and the GPU's name. Two GPUs of one
    name round alike, of two names not, though both are GPUs."""
    if device.type != "cuda":
        return device.type
    return f"{device.type} {torch.cuda.get_device_name(device)}"


def missing_architecture(capability: tuple[int, int], built_for: Iterable[str]) -> str:
    """Why this build of torch cannot use a GPU of that compute capability, and what to do; ""
    when it can.

    built_for: `torch.cuda.get_arch_list()`. Binary code runs on its own major version from its
    minor version on; compute_NN (PTX) on anything newer.
    """
    major, minor = capability
    for entry in built_for:
        kind, _, digits = entry.partition("_")
        digits = digits.rstrip("af")  # sm_90a: features of that chip alone
        if not digits.isdigit():
            continue
        own = (int(digits[:-1]), int(digits[-1]))
        if kind == "sm" and own[0] == major and own[1] <= minor:
            return ""
        if kind == "compute" and own <= capability:
            return ""
    remedy = "install a build of torch made for it"
    if (major, minor) == (7, 0):
        remedy = (
            "install the CUDA 12.6 build of a torch below 2.15 (pip install 'torch<2.15' with the "
            "cu126 wheel index), the last that carries sm_70"
        )
    return f"this torch has no code for sm_{major}{minor} (it has {', '.join(built_for)}): {remedy}"
