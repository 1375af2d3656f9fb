"""Libraries that read others' layouts: asked for when a layout needs one."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from genbench.errors import GenbenchError


def library(module: str, what: str) -> Any:
    """An optional module. Raises GenbenchError saying how to install it for `what`."""
    try:
        return import_module(module)
    except ImportError as error:
        raise GenbenchError(
            f"{what} needs {module.split('.')[0]}: pip install 'genbench[data]'"
        ) from error
