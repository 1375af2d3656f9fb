"""ADM (Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis", arXiv:2105.05233)."""

from genbench_adapters.adm.adapter import AdmGuided

__all__ = ["AdmGuided"]
