"""What a model's name stands for: an announced family, or one that an opener makes of an argument.

`hit` is announced. `diffusers:FOLDER` is the opener `diffusers` with an argument. `FILE.onnx`,
`FILE.pt2`, `FILE.py:NAME` and `package.module:NAME` need no opener's name before them.
"""

from __future__ import annotations

from functools import cache

from genbench.errors import UsageError, suggestion
from genbench.models.contract import Adapter
from genbench.models.optional import Opener
from genbench.models.registry import adapter_entries, find_adapter, load_adapter_class
from genbench.runtime.entry_points import (
    Announced,
    announced,
    broken,
    find_announced,
    load_announced,
)

GROUP = "genbench.openers"
_KIND = "opener of models"
_BY_SUFFIX = {".onnx": "onnx", ".pt2": "pt2", ".py": "function"}
_CODE = "function"  # opens what stands after a file or module and a colon


def opener_entries() -> list[Announced]:
    """Every announced opener, by name, not imported yet."""
    return announced(GROUP)


def load_opener(entry: Announced) -> Opener:
    """Import an opener and check its shape. Raises GenbenchError saying why it is broken."""
    found = load_announced(entry, _KIND)
    if not isinstance(found, Opener):
        raise broken(entry, _KIND, f"{entry.target} is not a genbench.models.optional.Opener")
    return found


def opened_by(name: str) -> tuple[str, str]:
    """The opener and the argument in a model's name; ("", name) for a family's own name.

    Of a name with a colon, what stands before it is an opener's name if one is announced.
    """
    before, colon, after = name.partition(":")
    if colon and before in _opener_names():
        return before, after
    for suffix, opener in _BY_SUFFIX.items():
        if name.lower().endswith(suffix):
            return opener, name
    return (_CODE, name) if colon else ("", name)


def family_named(name: str) -> type[Adapter]:
    """The family that a model's name stands for, imported.

    Raises UsageError for an unknown name (with the nearest) and an argument that cannot be,
    GenbenchError for a broken package or file.
    """
    opener, argument = opened_by(name)
    if not opener:
        if name in _opener_names():
            takes = load_opener(find_announced(GROUP, name, _KIND)).takes
            raise UsageError(f"{name} opens a model that you name: --model {name}:{takes}")
        return load_adapter_class(find_adapter(name))
    if opener not in _opener_names():
        known = suggestion(name, [entry.name for entry in adapter_entries()])
        raise UsageError(f"nothing here opens a model such as {name}: reinstall genbench; {known}")
    if not argument:
        takes = load_opener(find_announced(GROUP, opener, _KIND)).takes
        raise UsageError(f"{name} names no model: --model {opener}:{takes}")
    return load_opener(find_announced(GROUP, opener, _KIND)).family(argument)


def refuse_opened(name: str, remedy: str) -> None:
    """Raises UsageError, with the remedy, for a model that an opener makes: it is drawn and
    measured, and brings no recipe and no converter."""
    opener, _ = opened_by(name)
    if opener in _opener_names():
        raise UsageError(f"{name} is a model to draw from and to measure: {remedy}")


@cache
def _opener_names() -> frozenset[str]:
    return frozenset(entry.name for entry in opener_entries())
