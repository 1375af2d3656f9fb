"""Pipelines of the diffusers library: `--model diffusers:FOLDER` or a Hub id."""

from genbench_adapters.diffusers_pipelines.family import OPENER

__all__ = ["OPENER"]
