"""A model without weights: coloured clouds over a grating whose direction is the class."""

from genbench_adapters.toy.adapter import Toy

__all__ = ["Toy"]
