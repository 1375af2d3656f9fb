"""Figures of a model that is being trained: images go in by batches, measurements come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor

from genbench import given
from genbench.errors import GenbenchError, UsageError
from genbench.images.arrays import Batch
from genbench.images.rounding import FLOATS, check_dense, check_range, to_uint8
from genbench.images.sets import ImageSet
from genbench.quality.evaluation import measured_by_features
from genbench.quality.request import Job, QualityRequest, check_words, with_own_weights
from genbench.quality.seen import Seen, State, joined, restored
from genbench.quality.tools import Tools, built_for, opened_tools
from genbench.records.kinds import QualityRecord
from genbench.records.protocols import EvalProtocol, choose_protocol
from genbench.records.store import append_records, check_appendable
from genbench.runtime.devices import device_of
from genbench.runtime.distributed import World, world_of_environment
from genbench.runtime.progress import Reporter, SilentReporter
from genbench.runtime.progress_bars import ProgressBars
from genbench.tables.views import Results

_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)  # taken as labels


class Evaluator:
    """Measures images that come in batches, as `genbench.evaluate` measures them all at once: the
    same records, to the last bit, whatever the batches.

    reference, protocol, metrics, counts, ci, training, detector, preprocessing, detector_weights,
    cache: as for `genbench.evaluate`. device: of the detector; "auto": the current GPU where there
    is one. value_range: least and greatest value of images that are floating-point, such as (-1, 1)
    or (0, 1); they are rounded as `genbench.to_uint8` rounds. name: of the samples.

    Features are kept (4 bytes for each of a few thousand numbers an image), pictures are not, save
    for the fewer than 50 that do not fill a batch of the detector yet. The detector is loaded here,
    once; the reference is opened with the first batch and its features are kept from one `compute`
    to the next. Random states, gradient modes and the current GPU stay as they are.

    Raises GenbenchError or UsageError with the remedy, as `genbench.evaluate` does.
    """

    def __init__(
        self,
        *,
        reference: str | Path | ImageSet | Batch = "",
        protocol: str | EvalProtocol = "",
        metrics: str | Sequence[str] = (),
        counts: int | Sequence[int] = (),
        ci: bool = False,
        training: str | Path | ImageSet = "",
        detector: str = "",
        preprocessing: str = "",
        detector_weights: str | Path | None = None,
        device: str = "auto",
        value_range: tuple[float, float] | None = None,
        cache: str | Path | None = None,
        name: str = "samples",
        reporter: Reporter | None = None,
    ) -> None:
        if not isinstance(protocol, EvalProtocol):
            protocol = choose_protocol(
                protocol, referenced=not given.is_empty(reference), detector=detector,
                preprocessing=preprocessing,
            )  # fmt: skip
        self._range = _checked_range(value_range)
        self._name = name
        request = QualityRequest(
            protocol=protocol, samples=name, reference=given.reference_set(reference),
            training=training, counts=given.wholes(counts, "counts", least=1),
            metrics=given.metric_keys(metrics), interval=ci,
            detector_weights=given.path_of(detector_weights, "detector_weights"),
            cache=given.path_of(cache, "cache"),
        )  # fmt: skip
        check_words(request)
        with _undisturbed():
            place = _device(device)
            self._job = Job(with_own_weights(request), World(), place, reporter or _NotesOnce())
            self._detector = built_for(self._job)
        self._tools: Tools | None = None
        self._seen = Seen(self._detector)

    @property
    def count(self) -> int:
        """Images that came since the beginning or the last `reset`, in this process."""
        return self._seen.count

    def __repr__(self) -> str:
        return f"<Evaluator of {self._name}: {self.count:,} images, {self._detector.name}>"

    def __getstate__(self) -> NoReturn:
        raise GenbenchError(
            "an Evaluator holds a detector and is not pickled: save its state_dict(), and load it "
            "into an Evaluator that is built alike"
        )

    def update(self, images: Tensor, labels: Tensor | None = None) -> None:
        """Take a batch: images uint8 [N, 3, H, W], 0 … 255, or floating-point in `value_range`, on
        any device; labels: integers [N], with every batch or with none.

        Raises GenbenchError for any other images, for NaN, for floats far beyond `value_range`, and
        for another size than before; what came before is kept as it is.
        """
        with _undisturbed(self._job.device):
            pixels = self._pixels(images)
            self._check(pixels, labels)
            if self._tools is None:
                height, width = pixels.shape[2:]
                self._tools = opened_tools(self._job, (height, width), self._detector)
            self._seen.add(pixels, labels)

    def compute(
        self, *, records: str | Path | None = None, run_name: str = ""
    ) -> Results[QualityRecord]:
        """The figures of all images that came, which stay: more may come.

        Within a torch.distributed group every process must call it: the first gives the figures of
        the images of all, the others nothing. Their order is then that of `merged`. records: a file
        to append to. run_name: kept on the records. Raises GenbenchError or UsageError for too few
        images, and as `genbench.evaluate` does.
        """
        kept = given.path_of(records, "records")
        with _undisturbed(self._job.device):
            seen = self._of_all()
            if seen is None:
                return Results([])
            if kept:
                check_appendable(kept)
            images, features = seen.described(self._name)
            if self._tools is None:
                self._tools = opened_tools(self._job, images.size, self._detector)
            job = self._job.named(run_name)
            found = measured_by_features(job, images, lambda *_: features, self._tools)
            if kept:
                append_records(kept, found)
        return Results(found)

    def reset(self) -> None:
        """Forget the images; detector and reference stay loaded."""
        self._seen = Seen(self._detector)

    def state_dict(self) -> State:
        """What came so far, as tensors, numbers, texts and dictionaries alone: `torch.save` it and
        `torch.load(…, weights_only=True)`."""
        return self._seen.state()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` or `merged` gave, in place of what came so far: figures are
        the same to the last bit. Raises GenbenchError for anything else, and for the state of
        another detector."""
        with _undisturbed():
            self._seen = restored(state, self._detector)

    @staticmethod
    def merged(states: Sequence[Mapping[str, Any]]) -> State:
        """The states of several processes as one, every image once: first each one's whole batches
        of 50, then what each had beyond. Raises GenbenchError for states that do not go together.
        """
        if not states:
            raise UsageError("there are no states to merge: pass those of all processes")
        return joined(states)

    def _of_all(self) -> Seen | None:
        """What came in all processes of the training, in the first; None in the others."""
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
            return self._seen
        leads = dist.get_rank() == 0
        box: list[Any] | None = [None] * dist.get_world_size() if leads else None
        dist.gather_object(self.state_dict(), box, dst=0)
        return restored(joined(box), self._detector) if box else None

    def _pixels(self, images: object) -> Tensor:
        """Images as uint8; of other types than floating-point and uint8 none."""
        if not isinstance(images, Tensor):
            raise GenbenchError(f"update takes a tensor of images, not a {type(images).__name__}")
        if images.is_meta:
            raise GenbenchError("a meta tensor has no values: pass images on the CPU or a GPU")
        check_dense(images)
        if images.ndim != 4 or images.shape[1] != 3 or not len(images) or not images.numel():
            raise GenbenchError(
                f"update takes images [N, 3, H, W], not {list(images.shape)}: permute or repeat "
                "them first"
            )
        if images.dtype == torch.uint8:
            return images
        if images.dtype not in FLOATS:
            raise GenbenchError(f"update takes uint8 images, not {images.dtype}: convert them")
        if self._range is None:
            raise GenbenchError(
                f"images are {images.dtype}: say of what range, Evaluator(value_range=(-1, 1)), or "
                "make them uint8 with genbench.to_uint8"
            )
        low, high = self._range
        check_range(images.detach(), low, high, "value_range")
        if self._range == (-1.0, 1.0):
            return to_uint8(images.detach())
        return to_uint8((images.detach().float() - low) * (2 / (high - low)) - 1)

    def _check(self, images: Tensor, labels: object) -> None:
        height, width = images.shape[2:]
        own = self._job.request.protocol.resolution
        size = self._seen.size or ((own, own) if own else (height, width))
        if (height, width) != size:
            before = "images before them" if self._seen.size else "protocol's"
            raise GenbenchError(
                f"update takes images of {size[1]}x{size[0]} as the {before}, not {width}x{height}"
            )
        if labels is not None and (
            not isinstance(labels, Tensor)
            or labels.dtype not in _WHOLE
            or labels.layout != torch.strided
            or labels.is_meta
            or labels.shape != (len(images),)
        ):
            raise GenbenchError(f"labels are integers [{len(images)}], one an image")
        if self.count and (labels is None) != (self._seen.labels is None):
            raise GenbenchError(
                "some batches came with labels and others without: give all or none"
            )


class _NotesOnce(SilentReporter):
    """No bars, which a training has of its own; each note once, however often it is computed."""

    def note(self, text: str) -> None:
        """One line on stderr, from the first process."""
        if text not in self.notes:
            self.notes.append(text)
            ProgressBars(leads=world_of_environment().leads).note(text)


def _checked_range(given: tuple[float, float] | None) -> tuple[float, float] | None:
    if given is None:
        return None
    try:
        low, high = map(float, given)
    except (TypeError, ValueError) as error:
        raise UsageError(f"value_range takes two numbers, (-1, 1), not {given!r}") from error
    if not float("-inf") < low < high < float("inf"):
        raise UsageError(f"value_range takes the least value and a greater one, not {given!r}")
    return low, high


def _device(name: str) -> torch.device:
    """The device of that name; "auto": the process's own GPU, which the training has chosen."""
    if name == "auto" and torch.cuda.is_available():
        name = f"cuda:{torch.cuda.current_device()}"
    return device_of(name, world_of_environment())


@contextmanager
def _undisturbed(place: torch.device | None = None) -> Iterator[None]:
    """Leaves the random states and the current GPU of the training as they were. place: of the
    detector; the current GPU meanwhile where it is one."""
    if not torch.cuda.is_available():
        with torch.random.fork_rng(devices=[]):
            yield
        return
    current = torch.cuda.current_device()
    used = current if place is None or place.index is None else place.index
    with torch.cuda.device(current), torch.random.fork_rng(devices=sorted({current, used})):
        torch.cuda.set_device(used)
        yield
