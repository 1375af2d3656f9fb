"""Videos where images are wanted: refused, with the way to make pictures of them."""

from __future__ import annotations

import os

from genbench.errors import UsageError

_SUFFIXES = (
    ".mp4", ".m4v", ".avi", ".mov", ".webm", ".mkv", ".mpg", ".mpeg", ".wmv", ".flv", ".gif",
)  # fmt: skip


def refuse_video(name: str) -> None:
    """Raises UsageError for the name of a video, or of a GIF, which may be one."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in _SUFFIXES:
        kind = "may be animated" if suffix == ".gif" else "is a video"
        raise UsageError(
            f"{name} {kind}: genbench measures pictures; make some of it (ffmpeg -i FILE "
            "frames/%05d.png) and name their folder"
        )
