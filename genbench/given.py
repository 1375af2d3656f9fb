"""What callers of the public door give, as the jobs take it: every slip one line."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from genbench.errors import UsageError
from genbench.images.arrays import Batch, images_of
from genbench.images.datasets import NAMED
from genbench.images.opening import brought_to, open_image_set
from genbench.images.sets import ImageSet
from genbench.models.opening import ModelRequest, ResolvedModel, resolve
from genbench.models.source import ModelSource
from genbench.quality.source import SetSource, Source
from genbench.records.measurement import Scalar
from genbench.records.protocols import EvalProtocol, choose_protocol
from genbench.runtime.folders import expanded

Images = str | Path | ImageSet | Batch | Iterable[Batch]
Samples = Images | ModelSource


def whole(value: Any, name: str, *, least: int | None = None) -> int:
    """A whole number, numpy's too. Raises UsageError for anything else, true and false among it,
    and for less than `least`."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise UsageError(f"{name} takes a whole number, not {value!r}")
    if least is not None and number < least:
        raise UsageError(f"{name} {number} cannot be: pass {least} or more")
    return number


def wholes(value: Any, name: str, *, least: int | None = None) -> tuple[int, ...]:
    """One whole number or several. Raises UsageError for anything else."""
    if isinstance(value, Sequence | np.ndarray | Tensor) and not isinstance(value, str):
        return tuple(whole(one, name, least=least) for one in value)
    return (whole(value, name, least=least),)


def words(value: Any, name: str) -> tuple[str, ...]:
    """One text or several, each once. Raises UsageError for anything else."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, Iterable) or not all(isinstance(one, str) for one in listed):
        raise UsageError(f"{name} takes a text or several, not {value!r}")
    return tuple(dict.fromkeys(listed))


def metric_keys(value: Any) -> tuple[str, ...]:
    """Keys of metrics, "fd" or ("fd", "recall"), also several in one text: "fd,recall". Raises
    UsageError for anything else."""
    listed = (part.strip() for one in words(value, "metrics") for part in one.split(","))
    return tuple(dict.fromkeys(filter(None, listed)))


def is_empty(given: object) -> bool:
    """Whether nothing was named; an empty set or array is something, and refused where it goes."""
    return isinstance(given, str) and given == ""


def opened_images(
    images: Images, *, crop: str, resolution: int, labels: Any = None, name: str = "images"
) -> ImageSet:
    """Whatever holds images as one set. Raises GenbenchError or UsageError with the remedy."""
    resolution = whole(resolution, "resolution", least=0)
    if isinstance(images, str | Path):
        if labels is not None:
            raise UsageError("labels go with arrays: files and folders bring their own")
        return open_image_set(spec_of(images), crop=crop, resolution=resolution)
    opened = images if isinstance(images, ImageSet) else images_of(images, name=name, labels=labels)
    return brought_to(opened, crop, resolution)


def samples_source(samples: Samples, protocol: EvalProtocol, name: str) -> str | Source:
    """Samples as the quality job takes them: a spec to open, or a source."""
    if isinstance(samples, str | Path | ModelSource):
        return samples if isinstance(samples, ModelSource) else spec_of(samples)
    images = opened_images(
        samples, crop=protocol.crop, resolution=protocol.resolution, name=str(name or "samples")
    )
    return SetSource(images)


def protocol_of(
    protocol: str | EvalProtocol, model: ResolvedModel | None, reference: object, **changes: Any
) -> EvalProtocol:
    """A protocol by its name, or the usual one for what is measured, with the changes that
    `choose_protocol` takes."""
    if isinstance(protocol, EvalProtocol):
        return protocol
    return choose_protocol(
        protocol, model_resolution=model.card.resolution if model else 0,
        referenced=not is_empty(reference), **changes,
    )  # fmt: skip


def prompts_of(given: str | Path | None, model: ResolvedModel | None, clip: str) -> Path | None:
    """The prompts that a CLIP compares images with: as given, else those that the model draws.
    Raises UsageError where these are two files, and for prompts that no CLIP is named for."""
    found = path_of(given, "prompts")
    if not clip:
        if found:
            raise UsageError("images are compared with prompts by a CLIP: name it, --clip FOLDER")
        return None
    own = path_of(model.request.options.get("prompts", ""), "prompts") if model else None
    found = found or own
    if own and found != own:
        raise UsageError(f"the model draws {own} and is compared with {found}: name one of them")
    return found


def reference_set(given: str | Path | ImageSet | Batch) -> str | ImageSet:
    """A reference as the quality job takes it: a spec to open, or a set of the given images, uint8
    [N, 3, H, W] or [N, H, W, 3]."""
    if isinstance(given, str | Path):
        return spec_of(given)
    return given if isinstance(given, ImageSet) else images_of(given, name="reference")


def resolved(
    model: str | ResolvedModel, resolution: int, variant: str, checkpoint: str | Path,
    options: Mapping[str, Scalar] | None, seed: int, labels: str, dtype: str,
    batch_size: int | None, block: int | None, compiles: bool,
) -> ResolvedModel:  # fmt: skip
    """A model by name or resolved before. Raises UsageError for anything else."""
    if isinstance(model, ResolvedModel):
        return model
    if not isinstance(model, str) or not isinstance(labels, str):
        wrong = labels if isinstance(model, str) else model
        raise UsageError(f"a model and its labels are named by texts, not {wrong!r}")
    return resolve(
        ModelRequest(
            name=model, resolution=whole(resolution, "resolution"), variant=variant,
            checkpoint=str(checkpoint), options=texts(options), seed=whole(seed, "seed"),
            labels=labels, dtype=dtype,
            batch_size=None if batch_size is None else whole(batch_size, "batch_size", least=1),
            block=None if block is None else whole(block, "block", least=1),
            compiles=compiles,
        )
    )  # fmt: skip


def spec_of(images: str | Path) -> str:
    """An image-set spec, with ~ as the home folder."""
    return str(expanded(images)) if str(images).startswith("~/") else str(images)


def shadowing(spec: object) -> str:
    """What to tell who names a built-in image set where a file has that name; else empty."""
    if isinstance(spec, str) and spec in NAMED and Path(spec).exists():
        return f"{spec} is genbench's own image set; for what lies here write ./{spec}"
    return ""


def path_of(given: str | Path | None, name: str) -> Path | None:
    """A path, or None where none was given. Raises UsageError for anything else."""
    if given is None or isinstance(given, str | Path):
        return expanded(given) if given else None
    raise UsageError(f"{name} takes the path of a file, not a {type(given).__name__}")


def texts(options: Mapping[str, Scalar] | None) -> dict[str, str]:
    """Options as the command line has them."""
    return {key: str(value) for key, value in (options or {}).items()}
