"""A user's code found and imported: a file's or a module's attribute."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.models.code_digest import file_digest, source_digest
from genbench_adapters.function.blame import told
from genbench_adapters.function.surroundings import kept_apart

_brought: set[str] = set()  # modules beside users' files, to be imported anew with these


@dataclass(frozen=True)
class Place:
    """Where a user's code is. file: its path; None for a module that Python finds by its name."""

    file: Path | None
    module: str
    attribute: str

    @property
    def shown(self) -> str:
        """As messages name it: "gen.py:draw"."""
        return f"{self.file.name if self.file else self.module}:{self.attribute}"


def place_of(argument: str) -> Place:
    """FILE.py:NAME or package.module:NAME. Raises UsageError for anything else."""
    where, colon, attribute = argument.rpartition(":")
    if not colon and argument.endswith(".py"):
        where, attribute = argument, ""
    if where.endswith(".py") or "/" in where:
        path = Path(where).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no file {path}: check the path before the colon")
        if not attribute:
            raise UsageError(f"name the function too: --model {where}:{_some_name(path)}")
        return Place(path, "", attribute)
    if not where or not attribute:
        raise UsageError(f"{argument} names no function: write FILE.py:NAME or package.module:NAME")
    return Place(None, where, attribute)


def _some_name(path: Path) -> str:
    """The first function or class of a file, as an example."""
    import ast

    try:
        nodes = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):
        return "NAME"
    kinds = (ast.FunctionDef, ast.ClassDef)
    return next((node.name for node in nodes if isinstance(node, kinds)), "NAME")


def found_in(place: Place) -> object:
    """What a place names, its module run. Raises GenbenchError with the line that failed,
    UsageError for a name that is not there."""
    with kept_apart(place, anew=place.file is not None):
        module = _run_file(place.file) if place.file else _imported(place.module)
    found: object = module
    for name in place.attribute.split("."):
        if not hasattr(found, name):
            known = suggestion(name, (key for key, value in vars(module).items()
                                      if callable(value) and not key.startswith("_")))  # fmt: skip
            raise UsageError(f"{place.shown}: there is no {name}; {known}")
        found = getattr(found, name)
    return found


def digest_of(place: Place) -> str:
    """Digest of the code of a place: its file and the modules beside it that it imports, or of an
    importable module what it shares a package with. Raises GenbenchError."""
    try:
        if place.file:
            return file_digest(place.file.resolve())  # beside the file itself, as it is run
        with importing_from(Path.cwd()), kept_apart(place):
            return source_digest(place.module, around=True)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # a stranger's module can raise anything
        raise GenbenchError(f"{place.shown}: {told(error, root_of(place))}") from error


def root_of(place: Place) -> Path | None:
    """The folder in which the user's code lies, for telling its lines from a library's."""
    if place.file:
        return place.file.resolve().parent
    module = sys.modules.get(place.module.split(".")[0])
    source = getattr(module, "__file__", None)
    return Path(source).resolve().parent if source else None


def _run_file(path: Path) -> ModuleType:
    path = path.resolve()
    for name in _brought:
        sys.modules.pop(name, None)
    _brought.clear()
    name = f"genbench_function_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None  # it ends in .py
    module = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    with importing_from(path.parent):
        sys.modules[name] = module  # dataclasses look their module up
        try:
            spec.loader.exec_module(module)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            raise GenbenchError(f"{path.name} {told(error, path.parent)}") from error
        finally:
            _brought.update(_lying_in(path.parent, set(sys.modules) - before))
    return module


def _lying_in(folder: Path, names: set[str]) -> Iterator[str]:
    """Those of the modules that were found in the folder as its own, not in a library below it."""
    for name in names:
        top = name.split(".")[0]
        own = (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file()
        if own and not top.startswith("genbench"):
            yield name


def _imported(name: str) -> ModuleType:
    with importing_from(Path.cwd()):
        importlib.invalidate_caches()
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and f"{name}.".startswith(f"{error.name}."):
                raise UsageError(
                    f"there is no module {error.name}: of a file write FILE.py:NAME; what opens "
                    "other models stands in genbench ls"
                ) from error
            raise GenbenchError(f"{name}: {told(error, None)}") from error
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            raise GenbenchError(f"{name}: {told(error, None)}") from error


@contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """The folder comes first where modules are looked for, as when its file is run."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def line_of(function: object, place: Place) -> str:
    """Where a function is written: "gen.py:12 draw"."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    if code is None:
        return place.shown
    return f"{Path(code.co_filename).name}:{code.co_firstlineno} {place.attribute}"
