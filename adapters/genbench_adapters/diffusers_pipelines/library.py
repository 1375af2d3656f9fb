"""The diffusers library, imported when it is needed, quiet."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from genbench.errors import GenbenchError, UsageError, suggestion


def lacking() -> str:
    """How to get the library where it is missing; empty where it is there."""
    return "" if find_spec("diffusers") else "needs diffusers: pip install 'genbench[diffusers]'"


def library() -> Any:
    """The library. Raises GenbenchError where it is missing or broken."""
    if told := lacking():
        raise GenbenchError(told)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import diffusers
    except Exception as error:  # of any of the libraries that it imports
        raise GenbenchError(
            f"diffusers cannot be imported ({type(error).__name__}: {error}): pip install -U "
            "diffusers transformers"
        ) from error
    return diffusers


@contextmanager
def quiet() -> Iterator[None]:
    """Without the bars and the advice of the library, and of the one that brings text encoders."""
    kept = [(log, log.get_verbosity(), log.is_progress_bar_enabled()) for log in _logs()]
    for log, _, _ in kept:
        log.set_verbosity_error()
        log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level, bars in kept:
            log.set_verbosity(level)
            if bars:
                log.enable_progress_bar()


def _logs() -> list[Any]:
    found = [library().utils.logging]
    if find_spec("transformers"):
        from transformers.utils import logging

        found.append(logging)
    return found


def pipeline_class(name: str) -> Any:
    """The library's class of that name. Raises GenbenchError for one that it does not have, which
    would be code of the folder's own."""
    found = getattr(library(), name, None)
    if not isinstance(found, type):
        raise GenbenchError(
            f"diffusers {library().__version__} has no pipeline {name}: code that comes with a "
            "folder is not run; update diffusers, or write it as a function (--model FILE.py:NAME)"
        )
    return found


def parameters_of(pipeline: Any) -> set[str]:
    """Names of what a pipeline's call takes."""
    return set(inspect.signature(pipeline.__call__).parameters)


def load_pipeline(
    folder: Path, name: str, device: torch.device, dtype: torch.dtype, *, pickles: bool
) -> Any:
    """A pipeline with its weights on the device; safetensors alone unless `pickles`. Raises
    GenbenchError for files that do not fit."""
    kind = pipeline_class(name)
    options: dict[str, Any] = {} if pickles else {"use_safetensors": True}
    if "safety_checker" in inspect.signature(kind.__init__).parameters:
        # It would replace images by black ones, which is no part of the generator.
        options |= {"safety_checker": None, "requires_safety_checker": False}
    with quiet():
        try:
            pipeline = kind.from_pretrained(folder, torch_dtype=dtype, local_files_only=True,
                                            **options)  # fmt: skip
        except Exception as error:  # the library raises all kinds
            told = " ".join(str(error).split())[:300]
            raise GenbenchError(
                f"{folder} cannot be loaded as {name}: {type(error).__name__}: {told}"
            ) from error
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(device)


def other_scheduler(own: Any, name: str) -> Any:
    """The scheduler of that name (`ddim` is DDIMScheduler), configured as the pipeline's own.

    Raises UsageError for one that does not go with it.
    """
    fitting = {kind.__name__: kind for kind in (type(own), *own.compatibles)}
    by_name = {known.lower(): kind for known, kind in fitting.items()}
    found = by_name.get(name.lower()) or by_name.get(f"{name.lower()}scheduler")
    if found is None:
        raise UsageError(f"--scheduler {name} does not go with {type(own).__name__}; "
                         f"{suggestion(name, fitting)}")  # fmt: skip
    return found.from_config(own.config)
