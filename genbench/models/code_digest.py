"""The Python sources that an adapter's samples depend on: its own, and what they import of its
package."""

from __future__ import annotations

import ast
import hashlib
import importlib
from collections.abc import Iterator
from pathlib import Path


def source_digest(module_name: str) -> str:
    """Digest (16 hex) of the sources beside a module and of the modules of its distribution's
    top-level package that they import, directly or not. Changed code, changed samples."""
    module = importlib.import_module(module_name)
    here = Path(module.__file__ or "")
    package = module_name.split(".")[0]
    if not (here.parent / "__init__.py").exists():
        found = {here}
        root = here.parent
    else:
        found = set(here.parent.rglob("*.py"))
        depth = module_name.count(".") + (here.name == "__init__.py")
        root = here.parents[depth]
    return _digest_with_imports(found, root, package)


def file_digest(path: Path) -> str:
    """Digest (16 hex) of a Python file and of the modules beside it that it imports, directly or
    not, wherever they lie. Raises SyntaxError for a file that Python cannot read."""
    return _digest_with_imports({path}, path.parent, None)


def _digest_with_imports(found: set[Path], root: Path, package: str | None) -> str:
    waiting = list(found)
    while waiting:
        for path in _imported(waiting.pop(), package, root):
            if path not in found:
                found.add(path)
                waiting.append(path)
    hasher = hashlib.sha256()
    for path in sorted(found):
        name = path.relative_to(root).as_posix()
        hasher.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return hasher.hexdigest()[:16]


def _imported(path: Path, package: str | None, root: Path) -> Iterator[Path]:
    """The files under `root` of the modules of `package` (None: of any) that a file imports
    anywhere in it."""
    own = path.relative_to(root).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = [*own[: len(own) - node.level]] if node.level else []
            stem = ".".join([*above, *([node.module] if node.module else [])])
            names = [stem, *(f"{stem}.{alias.name}" for alias in node.names)]
        for name in names:
            if package in (None, name.split(".")[0]):
                place = root.joinpath(*name.split("."))
                for file in (place.with_suffix(".py"), place / "__init__.py"):
                    if file.is_file():
                        yield file
