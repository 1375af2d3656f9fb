"""Prompts in a file: what a pipeline is asked to draw, and what its images are held against."""

from __future__ import annotations

from pathlib import Path

from genbench.errors import UsageError


def read_prompts(path: Path) -> list[str]:
    """The lines of a text file that are not empty, without the blanks around them: sample i is of
    line i, counted round. Raises UsageError for a file that cannot be read or holds none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--prompts {path} cannot be read ({error}): check the path") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise UsageError(f"--prompts {path} holds no prompt: write one a line")
    return found
