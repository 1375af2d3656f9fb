"""Encoded pictures by index, whatever they lie in: read, decoded in threads, cropped, digested."""

from __future__ import annotations

import hashlib
import threading
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.decoding import decode, picture_size
from genbench.images.sets import ImageSet
from genbench.runtime.processors import usable_processors

_HEADER = 1 << 16  # bytes that hold a picture's size, but for rare JPEGs
_FEWEST_THREADS, _MOST_THREADS = 4, 16  # PIL decodes without the interpreter lock …
_SMALL = 64 * 64  # … but below this many pixels threads mostly wait for it

Fetch = Callable[[int], bytes]


class Pictures(ImageSet):
    """Encoded pictures in an order; they are decoded when they are read.

    Their size is that of the first, and every other is held against it when it is read. Reading
    may happen in several threads.
    """

    def __init__(self, crop: str, resolution: int) -> None:
        self._crop, self._resolution = crop, resolution

    @abstractmethod
    def _where(self, index: int) -> str:
        """What to call a picture in a message."""

    @abstractmethod
    def _bytes(self, index: int, limit: int = -1) -> bytes:
        """A picture's file, or its first `limit` bytes (or more)."""

    def _fetched(self, start: int, stop: int) -> Fetch:
        """What gives the bytes of pictures start … stop-1, each asked for once, in any order."""
        return self._bytes

    def _digest_name(self, index: int) -> str:
        """What the digest calls a picture: its number, where names are only the container's."""
        return str(index)

    def _take_size(self) -> None:
        """Set `size`: the crop's, else that of the first picture."""
        cropped = (self._resolution, self._resolution)
        self.size = self._size_of(0) if self._crop == "none" else cropped

    def _size_of(self, index: int) -> tuple[int, int]:
        try:
            return picture_size(self._bytes(index, _HEADER), self._where(index))
        except GenbenchError:  # some JPEGs carry more than a header's worth of thumbnails in front
            return picture_size(self._bytes(index), self._where(index))

    def _other_size(self, index: int, found: tuple[int, int]) -> GenbenchError:
        """What to say of a picture (H, W) that has another size than the set."""
        (height, width), (first_height, first_width) = found, self.size
        return GenbenchError(
            f"{self._where(index)} is {width}x{height} but the first is "
            f"{first_width}x{first_height}: bring them to one size with --res R --crop adm"
        )

    def read(self, start: int, stop: int) -> Tensor:
        """As `ImageSet.read`."""
        start, stop, _ = slice(start, stop).indices(len(self))
        batch = torch.empty(stop - start, 3, *self.size, dtype=torch.uint8)
        planes = batch.numpy()
        fetch = self._fetched(start, stop)

        def decode_one(number: int) -> None:
            index = start + number
            picture = decode(
                fetch(index), self._where(index), crop=self._crop, resolution=self._resolution
            )
            if picture.shape[:2] != self.size:
                raise self._other_size(index, (picture.shape[0], picture.shape[1]))
            planes[number] = picture.transpose(2, 0, 1)

        small = self._crop == "none" and self.size[0] * self.size[1] < _SMALL
        for_each(decode_one, stop - start, threads=1 if small else thread_count())
        return batch

    def content_digest(self) -> str:
        """Digest of the crop and of the files in order, with their names where these decide the
        order; the same files in the same order have one digest in every container without."""
        hasher = hashlib.sha256(f"{self._crop} {self._resolution}\n".encode())
        for first in range(0, len(self), _DIGESTED):
            last = min(first + _DIGESTED, len(self))
            fetch = self._fetched(first, last)
            for index in range(first, last):
                data = fetch(index)
                name = f"{self._digest_name(index)} {len(data)}\n"
                hasher.update(name.encode(errors="surrogateescape"))
                hasher.update(data)
        return hasher.hexdigest()


_DIGESTED = 64  # files fetched at once for the digest


def thread_count() -> int:
    """One for each core this process may use; four at the least, some of which wait for files."""
    return min(max(_FEWEST_THREADS, usable_processors()), _MOST_THREADS)


def for_each(work: Callable[[int], None], count: int, *, threads: int) -> None:
    """work(0) … work(count - 1) in threads, each taking the next number when it is free.

    The first failure ends all of them; of several, that of the lowest number is raised.
    """
    if threads == 1:
        for number in range(count):
            work(number)
        return
    numbers = iter(range(count))
    failures: dict[int, GenbenchError] = {}
    stopped = threading.Event()

    def take() -> None:
        for number in numbers:
            if stopped.is_set():
                return
            try:
                work(number)
            except GenbenchError as error:
                failures[number] = error
                stopped.set()

    with ThreadPoolExecutor(threads) as pool:
        try:
            for future in [pool.submit(take) for _ in range(min(threads, count))]:
                future.result()
        finally:
            stopped.set()  # on KeyboardInterrupt too
    if failures:
        raise failures[min(failures)]
