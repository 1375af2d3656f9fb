"""Models that are a function, class or module of the user's own: `--model FILE.py:NAME`."""

from genbench_adapters.function.family import OPENER

__all__ = ["OPENER"]
