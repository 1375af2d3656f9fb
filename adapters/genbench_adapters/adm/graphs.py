"""A function of tensors as one CUDA graph: recorded once for each set of shapes, then replayed.

Launching a step's 2,000 kernels one by one takes a CPU 12 ms; a replay takes one launch.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.runtime.out_of_memory import is_out_of_memory

Function = Callable[..., tuple[Tensor, ...]]
# Of a function without arguments: what it returned, and how to have the same tensors filled anew.
Recorder = Callable[
    [Callable[[], tuple[Tensor, ...]]], tuple[tuple[Tensor, ...], Callable[[], None]]
]

_WARMING = 3  # calls before the recording, in which libraries choose and allocate
_KEPT = 4  # graphs of a function: a last block and an upsampler have shapes of their own


def recorded(
    function: Callable[[], tuple[Tensor, ...]],
) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
    """A CUDA graph, on the device of now, of a function that waits for no value and changes no
    tensor it is given: its tensors, of any shape [...], and what fills them anew.

    All graphs of a device share one pool of memory: a graph's tensors hold only until the next one
    is replayed. They are warmed and recorded on one stream, for cuBLAS keeps a workspace for each.
    """
    pool, stream = _shared(torch.cuda.current_device())
    caller = torch.cuda.current_stream()
    stream.wait_stream(caller)
    with torch.cuda.stream(stream):
        for _ in range(_WARMING):
            function()
    caller.wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        # Other threads may go on: copies to the host and the power meter's do.
        recording = torch.cuda.graph(
            graph, pool=pool, stream=stream, capture_error_mode="thread_local"
        )
        with recording:
            outputs = function()
    finally:  # a recording that fails leaves torch on its stream
        torch.cuda.set_stream(caller)
    return outputs, graph.replay


@cache
def _shared(device: int) -> tuple[Any, torch.cuda.Stream]:
    return torch.cuda.graph_pool_handle(), torch.cuda.Stream(device)


class Graphed:
    """`function`, each set of shapes recorded at its first call; the last few recordings are kept.

    Inputs are tensors, None, or numbers, each of which has a recording of its own. Tensors are
    copied into buffers of the graph; outputs are copied out of it, so that no other call changes
    them. Where a recording fails, that set of shapes is computed without, after a warning; only
    running out of memory, and what the function itself refuses (GenbenchError), come through.
    """

    def __init__(self, function: Function, recorder: Recorder = recorded) -> None:
        self._function, self._recorder = function, recorder
        self._graphs: OrderedDict[tuple[object, ...], _Graph | None] = OrderedDict()

    def __call__(self, *inputs: Tensor | int | None) -> tuple[Tensor, ...]:
        """What `function` returns, tensors of any shape [...]."""
        # Buffers are inference mode's or not as the recording was: here always, as within sample.
        with torch.inference_mode(), _device_of(inputs):
            key = tuple(
                (given.shape, given.dtype, given.device) if isinstance(given, Tensor) else given
                for given in inputs
            )
            if key not in self._graphs:
                while len(self._graphs) >= _KEPT:
                    self._graphs.popitem(last=False)
                self._graphs[key] = self._record(inputs)
            self._graphs.move_to_end(key)
            graph = self._graphs[key]
            return self._function(*inputs) if graph is None else graph(inputs)

    def _record(self, inputs: Sequence[Tensor | int | None]) -> _Graph | None:
        try:
            return _Graph(self._function, inputs, self._recorder)
        except GenbenchError:
            raise
        except Exception as error:  # whatever a library does that a graph cannot hold
            if is_out_of_memory(error):
                raise
            said = str(error).strip().partition("\n")[0]
            warnings.warn(
                f"--graph: steps are computed one by one, for they could not be recorded "
                f"({type(error).__name__}: {said})",
                stacklevel=3,
            )
            return None


def _device_of(inputs: Sequence[Tensor | int | None]) -> AbstractContextManager[Any]:
    """CUDA's device of this thread: another thread's choice does not hold here."""
    for given in inputs:
        if isinstance(given, Tensor) and given.is_cuda:
            return torch.cuda.device(given.device)
    return nullcontext()


class _Graph:
    def __init__(
        self, function: Function, inputs: Sequence[Tensor | int | None], recorder: Recorder
    ) -> None:
        self._buffers = [given.clone() if isinstance(given, Tensor) else given for given in inputs]
        self._outputs, self._replay = recorder(lambda: function(*self._buffers))

    def __call__(self, inputs: Sequence[Tensor | int | None]) -> tuple[Tensor, ...]:
        for buffer, given in zip(self._buffers, inputs, strict=True):
            if isinstance(buffer, Tensor) and isinstance(given, Tensor):
                buffer.copy_(given)
        with torch.profiler.record_function("graph"):  # whose kernels belong to no operation
            self._replay()
        return tuple(made.clone() for made in self._outputs)
