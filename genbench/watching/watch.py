"""A training looked at while it runs: every new checkpoint is measured and put on record."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from genbench.errors import GenbenchError, UsageError
from genbench.images.opening import open_image_set
from genbench.models.opening import ResolvedModel
from genbench.models.room import opened_with_room
from genbench.quality.evaluation import measured
from genbench.quality.request import Job, check_words, with_own_weights
from genbench.quality.source import SetSource, Source
from genbench.quality.strips import keep_beside
from genbench.quality.tools import Tools, opened_tools
from genbench.records.kinds import QualityRecord, Record
from genbench.records.store import append_records, check_appendable, read_records
from genbench.watching.arrivals import PICTURES, WEIGHTS, Arrival, Settling, Stamp, arrivals
from genbench.watching.curve import Point

# No checkpoint's, and in the way of all; damaged pictures are OSErrors too.
_DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_SOON = 1.0  # seconds until a file that is being written is looked at again


@dataclass
class Watch:
    """Checkpoints of one training, and how they are measured.

    words: files, folders and patterns. model: whose weights the checkpoints are; None: they are
    image sets themselves. job: its request names neither. records: the file to append to, whose
    figures are not computed again. until: the step with which, or a later one, it ends.
    """

    words: tuple[str, ...]
    model: ResolvedModel | None
    job: Job
    records: Path
    until: int | None = None
    settling: Settling = field(default_factory=Settling)
    waits: bool = False  # whether the last look saw files that are still being written
    there: int = 0  # checkpoints that the last look saw, in the first process
    ended: bool = False  # whether `until` is measured
    refused: int = 0  # checkpoints that could not be read or measured
    _done: dict[Path, Stamp] = field(default_factory=dict)  # measured, or refused, as they were
    _tools: tuple[tuple[int, int], Tools] | None = None

    def __post_init__(self) -> None:
        self.job = replace(self.job, request=with_own_weights(self.job.request))
        check_words(replace(self.job.request, samples="checkpoints"))
        if self.job.world.leads:
            check_appendable(self.records)

    def look(self) -> Iterator[Point]:
        """Measure what is new or has changed, and whole. A checkpoint that cannot be read or
        measured is a note, and is tried again when it changes.

        Raises GenbenchError or UsageError for what is no checkpoint's fault.
        """
        ready, self.waits = self.job.world.broadcast(self._ready())
        for arrival in ready:
            self._done[arrival.path] = arrival.stamp
            known = self._known()
            found = self._measured(arrival, known)
            if found is None:
                continue
            if self.job.world.leads:
                yield self._kept(arrival, found, known)
            if self.until is not None and arrival.step is not None and arrival.step >= self.until:
                self.ended = True
                return

    def _ready(self) -> tuple[list[Arrival], bool]:
        if not self.job.world.leads:
            return [], False
        found = arrivals(self.words, WEIGHTS if self.model else PICTURES)
        self.there = len(found)
        new = [item for item in found if self._done.get(item.path) != item.stamp]
        whole = [item for item in new if self.settling.whole(item)]
        return whole, len(whole) < len(new)

    def _known(self) -> tuple[Record, ...]:
        return tuple(read_records(self.records, told=self.job.reporter.note))

    def _measured(self, arrival: Arrival, known: tuple[Record, ...]) -> list[QualityRecord] | None:
        """Its records, in the first process; None where it could not be measured."""
        try:
            source = self._opened(arrival.path)
        except UsageError:
            if arrival.path.exists():
                raise
            return None  # removed meanwhile, as trainings do that keep the last few
        except GenbenchError as error:
            self._refused(arrival, error)
            return None
        if self._tools is None or self._tools[0] != source.size:
            self._tools = source.size, opened_tools(self.job, source.size)
        job = replace(self.job, request=replace(self.job.request, known=known))
        try:
            return measured(job, source, self._tools[1])
        except UsageError:
            raise
        except GenbenchError as error:
            # Of several processes one alone may fail.
            if self.job.world.size > 1 or _of_the_disk(error.__cause__):
                raise
            self._refused(arrival, error)
            return None

    def _opened(self, path: Path) -> Source:
        protocol = self.job.request.protocol
        if self.model is None:
            return SetSource(
                open_image_set(str(path), crop=protocol.crop, resolution=protocol.resolution)
            )
        request = replace(self.model.request, checkpoint=str(path))
        model = replace(self.model, request=request)
        return opened_with_room(model, self.job.device, self.job.reporter)

    def _refused(self, arrival: Arrival, error: GenbenchError) -> None:
        self.refused += 1
        told = " ".join(str(error).split())
        self.job.reporter.note(f"{arrival.path.name} left out until it changes: {told}")

    def _kept(
        self, arrival: Arrival, found: list[QualityRecord], known: tuple[Record, ...]
    ) -> Point:
        on_record = all(record in known for record in found)
        point = Point(arrival.path.name, arrival.path, arrival.step, tuple(found), not on_record)
        if not on_record:
            point = replace(point, records=point.stepped())
            append_records(self.records, point.records)
        digests = (record.samples_digest for record in found)
        keep_beside(self.records, self.job.pictures, digests, self.job.reporter)
        return point


def _of_the_disk(cause: BaseException | None) -> bool:
    return isinstance(cause, OSError) and cause.errno in _DISK_FAULTS


def watched(
    watch: Watch, *, every: float, once: bool = False, sleep: Callable[[float], object] = time.sleep
) -> Iterator[Point]:
    """The points of a training as they come: without end, up to the watch's `until`, or with `once`
    of the checkpoints that are there. every: seconds between two looks. In processes other than the
    first no points come. Raises as `Watch.look` does.
    """
    told = once  # which ends with an error where nothing is there
    while True:
        yield from watch.look()
        if watch.ended or (once and not watch.waits):
            return
        if not told and not watch.there:
            watch.job.reporter.note(f"no checkpoint in {' '.join(watch.words)} yet: waiting")
        told = True
        sleep(min(every, _SOON) if watch.waits else every)
