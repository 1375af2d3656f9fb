"""A folder that gives figures again: script, lock file, container, and what is to be expected."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from genbench.errors import GenbenchError, UsageError
from genbench.records.kinds import Record
from genbench.records.lines import to_line
from genbench.reproducing.commands import Evaluation
from genbench.reproducing.packages import extras, lock_file
from genbench.reproducing.readme import readme
from genbench.reproducing.script import comment, script
from genbench.runtime.files import replacing
from genbench.version import __version__

_SOURCE = "genbench.tar.gz"  # beside the Dockerfile, made by whoever builds
_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._/:-]*(@sha256:[0-9a-f]{64})?")
_DEBIAN = re.compile(r"Debian GNU/Linux \d+ \(([a-z]+)\)")
_ARCHITECTURES = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}


def recipe(name: str, evaluations: Sequence[Evaluation], *, base: str = "") -> dict[str, str]:
    """The files of the folder by name. name: what is reproduced. base: the image to build on,
    "python:3.11.7-slim@sha256:…"; empty: Python's of the recorded version.

    Raises GenbenchError for records of several environments or without one, UsageError for what is
    no image.
    """
    records = [record for one in evaluations for record in one.records]
    image = base or base_image(records)
    if not _IMAGE.fullmatch(image):
        raise UsageError(
            f"--base {image} is no image: write NAME:TAG, or NAME:TAG@sha256:… to pin its bytes"
        )
    return {
        "requirements.lock": lock_file(records),
        "run.sh": script(name, evaluations),
        "Dockerfile": dockerfile(records, image),
        "README.md": readme(name, evaluations, image, genbench_source(records)),
        "expected.jsonl": "".join(f"{to_line(record)}\n" for record in records),
    }


def write_recipe(folder: Path, files: dict[str, str]) -> None:
    """Write a recipe into a folder that is new or empty. Raises UsageError for another, and
    GenbenchError where it cannot be written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--out {folder} is there and holds something: name a new folder")
    for name, text in files.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def base_image(records: Sequence[Record]) -> str:
    """Python's official image of the recorded version, on the recorded Debian where it was one.
    Raises GenbenchError for records of several versions, or of none."""
    versions = {record.environment.python for record in records}
    version = versions.pop() if len(versions) == 1 else ""
    if not re.fullmatch(r"3\.\d+\.\d+[a-z0-9]*", version):
        told = " and ".join(sorted(filter(None, [*versions, version]))) or "no version"
        raise GenbenchError(
            f"the records tell {ascii(told)[1:-1]} of Python: reproduce one run at a time, or name "
            "an image by --base"
        )
    debian = _DEBIAN.match(records[0].environment.system)
    return f"python:{version}-slim" + (f"-{debian[1]}" if debian else "")


def dockerfile(records: Sequence[Record], image: str) -> str:
    """The container: base image, packages of the lock file, genbench as it was, run.sh."""
    place = records[0].environment
    machine = next((there for name, there in _ARCHITECTURES.items() if name in place.platform), "")
    wanted = f"[{','.join(extras(records))}]" if extras(records) else ""
    pinned = "@sha256:" in image
    lines = [
        comment(f"Written by genbench {__version__}: the environment of run {records[0].run}."),
        *([] if pinned else [
            "# A tag names a version and not bytes, and no digest of this image is on record:",
            "# whoever builds pins it, as --base IMAGE@sha256:… or here.",
        ]),
        f"FROM {f'--platform={machine} ' if machine else ''}{image}",
        "WORKDIR /reproduce",
        *(comment(text) for text in genbench_source(records)),
        f"COPY requirements.lock {_SOURCE} ./",
        f'RUN pip install --no-cache-dir -r requirements.lock "./{_SOURCE}{wanted}"',
        "COPY run.sh expected.jsonl ./",
        'CMD ["sh", "run.sh"]',
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def genbench_source(records: Sequence[Record]) -> list[str]:
    """Which genbench it is, and the command by which its source comes beside the Dockerfile, line
    by line."""
    versions = {(record.environment.genbench, record.environment.git) for record in records}
    if len(versions) > 1:
        raise GenbenchError("the records are of several genbenches: reproduce one run at a time")
    version, git = versions.pop()
    commit = git.removesuffix("+changes")
    if not re.fullmatch("[0-9a-f]{40}", commit):
        return [f"genbench {version}: put its source distribution here as {_SOURCE}."]
    told = [
        f"genbench {version} at commit {commit}: in its checkout,",
        f"git archive --format=tar.gz --prefix=genbench/ --output={_SOURCE} {commit}",
    ]
    if git != commit:
        told.append("That checkout had uncommitted changes, which the commit does not hold.")
    return told
