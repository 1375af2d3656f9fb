"""The parts of benchmarks/on_a_gpu.py, in their order; what each returns is one line of JSON."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_timing import Place
from torch import Tensor, nn

from genbench.detectors.registry import create_detector, detector_status
from genbench.metrics.precision_recall import neighbour_figures
from genbench.models import noise
from genbench.models.opening import ModelRequest, open_random_model, resolve
from genbench.runtime.arithmetic import ARITHMETICS, pinned
from genbench.speed.instruments import laboratory
from genbench.speed.power import gpu_facts, power_monitor
from genbench.speed.profiling import profile_sampling
from genbench.speed.sampling import ImageCost
from genbench_adapters.adm import group_norm
from genbench_adapters.adm.network import GroupNorm32
from genbench_adapters.adm.sampler import classifier_guide

ROOT = Path(__file__).parents[1]
Found = dict[str, Any]


def doctor(at: Place) -> Found:
    """What genbench says of the machine."""
    told = subprocess.run(
        [sys.executable, "-m", "genbench", "doctor"], capture_output=True, text=True, check=False
    )
    return {"exit": told.returncode, "lines": told.stdout.splitlines()}


def architectures(at: Place) -> Found:
    """What torch was built for, and the device's."""
    found: Found = {"torch": torch.__version__, "cuda": torch.version.cuda}
    if at.device.type == "cuda":
        found |= {
            "built for": torch.cuda.get_arch_list(), "cudnn": torch.backends.cudnn.version(),
            "device": torch.cuda.get_device_name(at.device),
            "capability": torch.cuda.get_device_capability(at.device),
        }  # fmt: skip
    return found


def nvml(at: Place) -> Found:
    """Facts by NVML, and whether it sees this process under its own number."""
    monitor = power_monitor(at.device)
    return {"monitor": monitor is not None, "facts": str(gpu_facts(at.device, monitor)),
            "pid": os.getpid()}  # fmt: skip


def gpu_tests(at: Place) -> Found:
    """pytest -m gpu, noise bits first."""
    rooms = ["tests/models/test_noise.py", "tests/models", "tests/adapters/adm", "tests/speed",
             "tests/quality"]  # fmt: skip
    if at.device.type != "cuda":
        rooms = ["--collect-only", rooms[0]]
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", *rooms],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {"exit": told.returncode, "lines": told.stdout.splitlines()[-20:]}


def kernels(at: Place) -> Found:
    """Whether the kernels of noise and of norms are taken, and the time of the norm's forms at the
    widest level of ADM-256."""
    count, side = at.size(16, 1), at.size(256, 8)
    x = torch.randn(count, 256, side, side, device=at.device).to(at.half)
    x = x.contiguous(memory_format=torch.channels_last)
    norm = GroupNorm32(256).to(at.device)
    condition = torch.randn(count, 512, 1, 1, device=at.device)
    found: Found = {"noise": noise._kernel_of(at.device) is not None}
    with torch.inference_mode():
        for norm.fused in (False, True):
            name = "fused" if norm.fused else "plain"
            found[f"{name} norm, ms"] = at.milliseconds(lambda: norm.activated(x, condition))
            made = norm.activated(x[:1], condition[:1])
            found[f"{name} norm, beyond bound"] = group_norm.excess(
                made, x[:1], norm, condition[:1]
            )
    found["norm"] = group_norm.kernel_for(x.device, x.dtype) is not None
    return found


def ceilings(at: Place) -> Found:
    """TFLOP/s of a product of 8192 in each arithmetic, and GB/s of a copy."""
    side, found = at.size(8192, 128), {}
    for name, arithmetic in ARITHMETICS.items():
        left = torch.randn(side, side, device=at.device).to(arithmetic.dtype)
        with pinned(arithmetic, fastest=True):
            taken = at.milliseconds(lambda: left @ left)  # noqa: B023
        found[f"{name}, TFLOP/s"] = 2 * side**3 / taken / 1e9
    whole = torch.zeros(at.size(1 << 30, 1 << 20), dtype=torch.uint8, device=at.device)
    other = torch.empty_like(whole)
    taken = at.milliseconds(lambda: other.copy_(whole))
    return found | {"copy, GB/s": 2 * whole.numel() / taken / 1e6}


def profiles(at: Place) -> Found:
    """Kernel time over wall time of one call of BigGAN-deep-128 and HiT-128."""
    found: Found = {}
    cost = ImageCost(flops=0, published=0, evaluations=1, seconds=0.0)
    lab = laboratory(at.device, 1.0)
    for name in ("biggan-deep", "hit"):
        model = resolve(ModelRequest(name=name, resolution=at.size(128, 32)))
        source = open_random_model(model, at.device)
        for batch in (at.size(64, 1), at.size(256, 2)):
            with pinned(model.arithmetic):
                made = profile_sampling(source, cost, {}, batch, lab, model.arithmetic, at.folder)
            found[f"{name} {batch}"] = {
                "wall, ms": 1e3 * made.wall, "busy, ms": 1e3 * made.busy,
                **{group.name: 1e3 * group.seconds for group in made.groups},
            }  # fmt: skip
    return found


def adm_unet(at: Place) -> Found:
    """Milliseconds of a call of ADM-256's UNet in half precision at batch 16: layouts, eager and
    compiled, norms plain and fused, in turn; compiling is not counted."""
    unet, _ = at.networks(256)
    given = at.noisy(256, at.size(16, 1))
    unet.convolutions_to(at.half)
    unet.use_fused_attention(at.device.type == "cuda")
    compiled = copy.deepcopy(unet)
    # Nothing is compiled in tiny sizes, which a machine without a C++ compiler runs.
    compiled.compile(dynamic=False, **({"backend": "eager"} if at.tiny else {}))
    last, found = (torch.channels_last, torch.contiguous_format), dict[str, list[float]]()

    def timed(name: str, network: nn.Module) -> None:
        with torch.inference_mode(), pinned(ARITHMETICS["float32"], fastest=True):
            found.setdefault(name, []).append(at.milliseconds(lambda: network(*given), 3))

    for _ in range(2):
        for layout, order in zip(("last", "first"), last, strict=True):
            unet.to(memory_format=order)
            for fused in (False, True) if layout == "last" else (False,):
                unet.use_fused_norms(fused)
                timed(f"channels {layout}, {'fused' if fused else 'plain'} norms", unet)
        timed("channels last, compiled", compiled)
    return {"ms": found}


def gradient(at: Place) -> Found:
    """The classifier's gradient at 256: twice bit for bit, half against float32, each attention."""
    _, classifier = at.networks(256)
    x, timesteps, labels = at.noisy(256, at.size(8, 1))
    exact = classifier_guide(classifier, labels, 1.0)(x, timesteps)
    found: Found = {"largest": float(exact.abs().max())}
    classifier.convolutions_to(at.half)
    guide = classifier_guide(classifier, labels, 1.0)
    for fused in (False, True):
        classifier.use_fused_attention(fused)
        first, second = guide(x, timesteps), guide(x, timesteps)
        found["fused attention" if fused else "products"] = {
            "same bits twice": torch.equal(first, second),
            "off, of its length": float((first - exact).norm() / exact.norm()),
            "ms": at.milliseconds(lambda: guide(x, timesteps), 3),
        }
    return found


def batches(at: Place) -> Found:
    """The largest difference of a pixel between batches of 16 and 64, DDIM of 5 steps at 64."""
    options = {"sampler": "ddim", "steps": str(at.size(5, 2)), "classifier_scale": "0"}
    request = ModelRequest(name="adm-guided", resolution=at.size(64, 32), options=options)
    model = resolve(request)
    source = open_random_model(model, at.device)
    small, large = at.size(16, 1), at.size(64, 2)
    with pinned(model.arithmetic):
        apart = source.draw(0, small).int() - source.draw(0, large)[:small].int()
    return {"grey levels": int(apart.abs().max()), "differ": float((apart != 0).float().mean())}


def graphs(at: Place) -> Found:
    """Guided DDIM of ADM-64 at batches of 1 and 8, step by step and as a graph: seconds, and
    whether the bits are the same."""
    if at.device.type != "cuda":
        return {"left out": "a CPU has no graphs"}
    found: Found = {}
    for batch in (1, 8):
        drawn: list[Tensor] = []
        for graph in (False, True):
            options = {"sampler": "ddim", "steps": str(at.size(25, 2)), "graph": str(graph).lower()}
            request = ModelRequest(
                name="adm-guided", resolution=64, options=options, dtype="float16"
            )
            model = resolve(request)
            source = open_random_model(model, at.device)
            with pinned(model.arithmetic):
                taken = at.milliseconds(lambda: source.draw(0, batch), 2)  # noqa: B023
                drawn.append(source.draw(0, batch))
            found[f"batch {batch}, {'graph' if graph else 'eager'}, ms"] = taken
        found[f"batch {batch}, same"] = torch.equal(*drawn)
    return found


def peak(at: Place) -> Found:
    """GB of memory at the peak of ADM-512's UNet and of its classifier's gradient at batch 8."""
    unet, classifier = at.networks(512)
    x, timesteps, labels = at.noisy(512, at.size(8, 1))
    for network in (unet, classifier):
        network.convolutions_to(at.half)
    unet.use_fused_attention(at.device.type == "cuda")
    meter, found = laboratory(at.device, 1.0).memory, dict[str, float]()
    with torch.inference_mode():
        calls: dict[str, Callable[[], Tensor]] = {
            "unet": lambda: unet(x, timesteps, labels),
            "gradient": lambda: classifier_guide(classifier, labels, 1.0)(x, timesteps),
        }
        for name, call in calls.items():
            meter.reset()
            call()
            at.wait()
            found[f"{name}, GB"] = meter.peak() / 1e9
    return found


def detector(at: Place) -> Found:
    """Images a second of Inception at 50 and 200, where its weights are here; of EfficientNet-Lite0
    elsewhere."""
    name = "inception" if detector_status("inception").usable else "efficientnet-lite0"
    module = create_detector(name, layers=("pool",), device=at.device)
    found: Found = {"detector": name}
    for batch in (at.size(50, 1), at.size(200, 2)):
        images = torch.randint(256, (batch, 3, 64, 64), dtype=torch.uint8, device=at.device)
        taken = at.milliseconds(lambda: module(images))  # noqa: B023
        found[f"{batch}, images/s"] = 1e3 * batch / taken
    return found


def neighbours(at: Place) -> Found:
    """Seconds of precision, recall, density and coverage of 50,000 against 50,000."""
    count, width = at.size(50_000, 100), at.size(2048, 16)
    sides = [torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
             for seed in (0, 1)]  # fmt: skip
    made: list[Any] = []
    with pinned(ARITHMETICS["float32"]):
        seconds = at.milliseconds(
            lambda: made.append(neighbour_figures(sides[0], sides[1], device=at.device)), 1
        )
    return {"seconds": seconds / 1e3, "figures": str(made[-1])}


def throughput(at: Place) -> Found:
    """`genbench throughput --batch auto` of BigGAN-deep, against its profile above."""
    import genbench

    records = genbench.throughput(
        "biggan-deep", resolution=at.size(128, 32), seconds=5.0 if not at.tiny else 0.1,
        batches=() if not at.tiny else (1,), device=str(at.device),
    )  # fmt: skip
    return {f"{item.metric}, batch {item.batch}": item.value for item in records}


PARTS: dict[str, Callable[[Place], Found]] = {
    "doctor": doctor,
    "architectures": architectures,
    "nvml": nvml,
    "tests": gpu_tests,
    "kernels": kernels,
    "ceilings": ceilings,
    "profiles": profiles,
    "adm-unet": adm_unet,
    "gradient": gradient,
    "batches": batches,
    "graphs": graphs,
    "peak": peak,
    "detector": detector,
    "neighbours": neighbours,
    "throughput": throughput,
}
