"""The Python sources that an adapter's samples depend on: its own, and what they import of its
package."""

from __future__ import annotations

import ast
import hashlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

_SOURCES = ("*.py", "*.cpp")
_INSTALLED = {"site-packages", "dist-packages"}


def source_digest(module_name: str, *, around: bool = False) -> str:
    """Digest (16 hex) of the sources beside a module and of the modules of its distribution's
    top-level package that they import, directly or not; of a module outside any package that was
    not installed, of the modules beside it that it imports. Changed code, changed samples.

    around: also of the packages around all these, which run first. Not of adapters, whose packages
    mostly import what they hold: what was drawn under today's digests stays."""
    module = importlib.import_module(module_name)
    here = Path(module.__file__ or "")
    package: str | None = module_name.split(".")[0]
    if not (here.parent / "__init__.py").exists():
        found = {here}
        root = here.parent
        if not _INSTALLED & set(root.parts):  # where beside means somebody else's
            package = None
    else:
        found = {path for kind in _SOURCES for path in here.parent.rglob(kind)}
        depth = module_name.count(".") + (here.name == "__init__.py")
        root = here.parents[depth]
    return _digest_with_imports(found, root, package, around)


def file_digest(path: Path) -> str:
    """Digest (16 hex) of a Python file and of the modules beside it that it imports, directly or
    not, wherever they lie. Raises SyntaxError for a file that Python cannot read."""
    return _digest_with_imports({path}, path.parent, None, around=True)


def _digest_with_imports(found: set[Path], root: Path, package: str | None, around: bool) -> str:
    waiting = [path for path in found if path.suffix == ".py"]
    while waiting:
        for path in _imported(waiting.pop(), package, root, around):
            if path not in found:
                found.add(path)
                waiting.append(path)
    hasher = hashlib.sha256()
    for path in sorted(found):
        name = path.relative_to(root).as_posix()
        hasher.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return hasher.hexdigest()[:16]


def _imported(path: Path, package: str | None, root: Path, around: bool) -> Iterator[Path]:
    """The files under `root` of the modules of `package` (None: of any) that a file imports
    anywhere in it. around: and of the packages around it and them."""
    own = path.relative_to(root).with_suffix("").parts
    if around:
        yield from _files_of(own, root, around)
    for node in ast.walk(ast.parse(path.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = [*own[: len(own) - node.level]] if node.level else []
            stem = ".".join([*above, *([node.module] if node.module else [])])
            names = [stem, *(f"{stem}.{alias.name}" for alias in node.names)]
        for name in names:
            if package in (None, name.split(".")[0]):
                yield from _files_of(name.split("."), root, around)


def _files_of(parts: Sequence[str], root: Path, around: bool) -> Iterator[Path]:
    """The files of a module by the parts of its name. around: of its packages too."""
    for depth in range(1 if around else len(parts), len(parts) + 1):
        place = root.joinpath(*parts[:depth])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                yield file
