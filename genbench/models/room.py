"""Whether a block of samples fits a GPU, asked before a run and not hours into it."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable

import torch

from genbench.errors import GenbenchError
from genbench.models.opening import ResolvedModel, open_model
from genbench.models.optional import Repeating
from genbench.models.source import ModelSource
from genbench.runtime.out_of_memory import is_out_of_memory, unfragmented
from genbench.runtime.progress import Reporter

_SPARE = 0.95  # of the free memory: the detector and the allocator's own pieces take some
Peak = Callable[[Callable[[], object]], int]  # bytes at the peak of a call


def opened_with_room(model: ResolvedModel, device: torch.device, reporter: Reporter) -> ModelSource:
    """A model ready to draw: loaded (`open_model`), its block fits (`check_room`), and what it has
    to say of itself noted. Raises GenbenchError or UsageError with the remedy."""
    source = open_model(model, device)
    check_room(source)
    if source.told:
        reporter.note(source.told)
    return source


def check_room(source: ModelSource, peak: Peak | None = None, free: int | None = None) -> None:
    """Raise GenbenchError, naming the --block that would do, for a model on a GPU whose network
    calls need more memory than is free.

    The block is part of what is measured, so it is never chosen by the memory of the moment. The
    need is drawn on from calls for one sample and for two; of a long trajectory one of each of its
    calls is made. A compiled network, which would be compiled for both, is left alone. peak, free:
    for tests; None: the device's.
    """
    if peak is None:
        if source.device.type != "cuda" or source.spec.compiled:
            return
        peak = _peak_on(source.device)
    if free is None:
        free = torch.cuda.mem_get_info(source.device)[0] + torch.cuda.memory_reserved(source.device)
    block = source.spec.block
    if block < 3:
        return
    room = _SPARE * free
    one = _need(source, 1, peak)
    if one > room:
        raise _too_large(source, 0, free)
    two = _need(source, 2, peak)
    each = max(two - one, 1)
    if one + (block - 1) * each > room:
        raise _too_large(source, 1 + int((room - one) // each), free)


def _need(source: ModelSource, count: int, peak: Peak) -> float:
    """Bytes at the peak of a call for so many samples; infinite where it runs out of them."""
    try:
        return peak(lambda: _call(source, count))
    except Exception as error:
        if is_out_of_memory(error):
            return math.inf
        raise


def _too_large(source: ModelSource, fits: int, free: int) -> GenbenchError:
    if not fits:
        return GenbenchError(
            f"model {source.name} has no room for a single sample in the {free / 2**30:.1f} GiB "
            "that are free: free some, use a smaller --res or --dtype float16, or another --device"
        )
    return GenbenchError(
        f"model {source.name} has no room for {source.spec.block} samples a network call in the "
        f"{free / 2**30:.1f} GiB that are free: pass --block {fits}, whose figures may differ in "
        f"the last digits{unfragmented(source.device)}"
    )


@torch.inference_mode()
def _call(source: ModelSource, count: int) -> None:
    generator = source.generator
    if not isinstance(generator, Repeating):
        source.draw(0, count)
        return
    for call, _ in generator.repeated(source.labels(0, count), source.noise(0, count)):
        call()


def _peak_on(device: torch.device) -> Peak:
    def peak(call: Callable[[], object]) -> int:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return torch.cuda.max_memory_allocated(device)

    return peak
