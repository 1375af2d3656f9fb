"""EDM diffusions (arXiv:2206.00364) and one-step generators distilled from such (EM Distillation,
arXiv:2405.16852)."""

from genbench_adapters.emd.diffusion import EDMDiffusion
from genbench_adapters.emd.one_step import OneStep

__all__ = ["EDMDiffusion", "OneStep"]
