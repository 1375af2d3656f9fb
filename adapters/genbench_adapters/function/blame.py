"""What a user's code raised, in one line with the file and line number where it did."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path


def told(error: BaseException, root: Path | None) -> str:
    """ "gen.py:12: ValueError: …", the line being the last one of the user's own.

    root: the folder of the user's code; None where it is not known: whatever is no library's.
    """
    text = " ".join(str(error).split()) or "no message"
    name = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}: {name}: {error.msg}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if not path.is_file() or _is_library(path.resolve(), root):
            continue
        return f"{path.name}:{frame.lineno}: {name}: {text}"
    return f"{name}: {text}"


_OWN = Path(__file__).resolve().parents[1]


def _is_library(path: Path, root: Path | None) -> bool:
    if root is not None:
        return root not in path.parents
    ours = {_OWN, Path(sys.modules["genbench"].__file__ or "").resolve().parent}
    standard = Path(traceback.__file__).resolve().parent
    return bool({standard, *ours} & set(path.parents)) or "site-packages" in path.parts
