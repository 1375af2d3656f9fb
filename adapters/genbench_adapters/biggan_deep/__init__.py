"""BigGAN-deep (Brock et al., "Large Scale GAN Training for High Fidelity Natural Image
Synthesis", arXiv:1809.11096)."""

from genbench_adapters.biggan_deep.adapter import BigGANDeepAdapter

__all__ = ["BigGANDeepAdapter"]
