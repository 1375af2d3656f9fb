"""genbench: draw samples from image generators, measure them, compare them with the papers."""

__version__ = "0.1.0"
