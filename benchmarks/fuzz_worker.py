"""One process that reads damaged files and tells what came of each; it may die of one.

What it tells goes to the standard output, a line of JSON a group of files or a finding; the file in
hand stands in a small shared file, for whoever finds the process dead.
"""

from __future__ import annotations

import encodings.cp437  # noqa: F401 - of zips' oldest names: loaded before any file is read
import faulthandler
import gc
import json
import mmap
import os
import re
import resource
import shutil
import struct
import sys
import time
import traceback
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

from fuzz_files import CANARY, ROOT
from fuzz_readers import READERS, Reader

from genbench.errors import GenbenchError

SECONDS = 10  # a read may take
MEMORY = 1 << 30  # bytes that a read may take beside what the process holds already
CHUNK = 200  # files of a reader before the next one's turn
_STARVED = re.compile(r"(?i)MemoryError|out of memory|allocate memory|enough memory|bad_alloc")
# What only code does. `compile` is what ast.literal_eval does to the headers of arrays: it makes a
# tree there, and running it would be an `exec`.
_FORBIDDEN = ("exec", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen",
              "pickle.find_class", "marshal.loads", "code.__new__", "socket.connect",
              "ctypes.dlopen", "ctypes.dlsym", "import")  # fmt: skip


class Watch:
    """The audit hook: notes and stops what a file must not bring about while it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.on = str(folder), False
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "exec" and sys._getframe(1).f_code.co_filename == typing.__file__:
            return  # of the annotations of genbench's own classes, which are kept as text
        if event in _FORBIDDEN or (event == "open" and self._writes_elsewhere(arguments)):
            self.seen.append(f"{event} {re.sub('0x[0-9a-f]+', '', ascii(arguments))[:200]}")
            raise PermissionError(f"a file being read brought about {event}")

    def _writes_elsewhere(self, arguments: tuple[Any, ...]) -> bool:
        path, mode, flags = arguments
        writes = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR)) or set(mode or "") & set("wax+")
        return bool(writes) and not os.fsdecode(path).startswith(self.folder)


def damaged_file(reader: Reader, valid: list[bytes], seed: int, number: int) -> bytes:
    """File `number` of a reader: a function of it, the reader and the seed."""
    rng = Random(f"{seed} {reader.name} {number}")
    return reader.mutate(rng, rng.choice(valid), valid)


def _place(trace: TracebackType | None) -> str:
    """The innermost line of genbench in a traceback."""
    frames = traceback.extract_tb(trace)
    own = [f for f in frames if f.filename.startswith((f"{ROOT}/genbench", f"{ROOT}/adapters"))]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno} ({last.name})"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class Worker:
    """Reads files in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.canary = folder, folder / CANARY
        os.chdir(folder)  # where the canary would appear
        self.state = mmap.mmap(os.open(folder / "state", os.O_RDWR), 16)
        self.watch = Watch(folder)
        self.valid: dict[str, list[bytes]] = {}
        self.beside: dict[str, dict[str, bytes]] = {}
        self.armed = 0.0

    def prepare(self, name: str) -> None:
        """Make a reader's valid files, and read each: what a reader imports, it imports here."""
        for codec in ("utf_8_sig", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le",
                      "utf_32_be", "raw_unicode_escape"):  # fmt: skip
            "".encode(codec)  # of JSON and pickles, which Python imports when they are wanted
        reader = READERS[name]
        self.valid[name], self.beside[name] = list(reader.valid()), dict(reader.beside())
        for content in self.valid[name]:
            self.read(reader, content, watched=False)

    def read(self, reader: Reader, content: bytes, *, watched: bool = True) -> tuple[str, str, str]:
        """What became of a file: ("accepted" | "refused" | "finding", its kind, its details)."""
        place = self.folder / "case"
        path = place / reader.file
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        for name, whole in self.beside[reader.name].items():
            if name != reader.file:
                (place / name).write_bytes(whole)
        self.watch.seen.clear()
        start = time.perf_counter()
        if start - self.armed > 1:  # a thread of its own, which is costly to start
            faulthandler.dump_traceback_later(SECONDS + 2, exit=True)
            self.armed = start
        caught: Exception | None = None
        self.watch.on = watched
        try:
            reader.read(path)
        except Exception as error:
            caught = error
        finally:
            self.watch.on = False
        seconds = time.perf_counter() - start
        shutil.rmtree(place)
        found = self._verdict(caught, seconds)
        caught = None
        return found

    def _verdict(self, error: Exception | None, seconds: float) -> tuple[str, str, str]:
        if self.canary.exists() or self.watch.seen:
            shutil.rmtree(self.canary, ignore_errors=True)
            return "finding", f"ran something: {''.join(self.watch.seen)[:60]}", str(error)
        if seconds > SECONDS:
            return "finding", f"took over {SECONDS} s", f"{seconds:.1f} s"
        if error is None:
            return "accepted", "", ""
        text = str(error)
        for cause in _causes(error):
            if isinstance(cause, MemoryError) or _STARVED.search(str(cause)):
                kind = f"over {MEMORY >> 20} MiB at {_place(cause.__traceback__)}"
                return "finding", kind, f"{type(cause).__name__}: {cause}; told as: {text}"
        if not isinstance(error, GenbenchError):
            trace = "".join(traceback.format_exception(error))
            return "finding", f"{type(error).__name__} at {_place(error.__traceback__)}", trace
        if len(text.splitlines()) != 1 or re.search("[\0-\x1f\x7f-\x9f]", text):
            kind = f"an error of no plain line at {_place(error.__traceback__)}"
            return "finding", kind, ascii(text)
        return "refused", "", text

    def run(self, name: str, seed: int, start: int, stop: int) -> None:
        """Read files start … stop-1 of a reader, and tell."""
        reader = READERS[name]
        counts = {"accepted": 0, "refused": 0, "finding": 0}
        begun = time.perf_counter()
        for number in range(start, stop):
            struct.pack_into("<qq", self.state, 0, list(READERS).index(name), number)
            content = damaged_file(reader, self.valid[name], seed, number)
            outcome, kind, details = self.read(reader, content)
            counts[outcome] += 1
            if outcome == "finding":
                _tell(reader=name, number=number, kind=kind, details=details[-4000:])
        _tell(reader=name, stop=stop, seconds=time.perf_counter() - begun, **counts)


def _tell(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def _limit_memory() -> None:
    """What a read allocates beyond the limit fails, whether it is touched or not."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    slack = 256 << 20  # of the allocators and of threads' stacks
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY + slack,) * 2)


def main() -> None:
    """FOLDER SEED NAME START STOP [NAME START STOP …]: in turns of `CHUNK` files."""
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    words = sys.argv[3:]
    triples = zip(words[::3], words[1::3], words[2::3], strict=True)
    spans = {name: [int(start), int(stop)] for name, start, stop in triples}
    faulthandler.enable()
    warnings.simplefilter("ignore")
    worker = Worker(folder)
    for name in spans:
        worker.prepare(name)
    gc.collect()
    gc.freeze()
    _limit_memory()
    while spans:
        for name, (start, stop) in list(spans.items()):
            worker.run(name, seed, start, min(start + CHUNK, stop))
            spans[name][0] += CHUNK
            if spans[name][0] >= stop:
                del spans[name]


if __name__ == "__main__":
    main()
