"""What running out of memory looks like: torch has a class for one of its many ways."""

from __future__ import annotations

import torch

_TEXTS = (
    "can't allocate memory",  # the CPU's allocator
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # its handle is allocated at the first product
    "CUDNN_STATUS_ALLOC_FAILED",
    "nable to find an engine to execute this computation",  # cuDNN without room for a workspace
    "nable to find a valid cuDNN algorithm",
    "INT_MAX",  # tensors beyond 2^31 elements, where a kernel counts in 32 bits
    "canUse32BitIndexMath",
)


def unfragmented(device: torch.device) -> str:
    """What else helps on a GPU, for the end of a refusal: memory that is free in pieces."""
    setting = "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True"
    return f"; or set {setting} (docs/many-gpus.md)" if device.type == "cuda" else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a batch is too large for its device, in whatever words."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)
