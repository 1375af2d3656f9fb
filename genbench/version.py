"""The version of genbench, in one place."""

__version__ = "0.1.0"
