"""HiT (Zhao et al., "Improved Transformer for High-Resolution GANs", arXiv:2106.07631)."""

from genbench_adapters.hit.adapter import HiTAdapter

__all__ = ["HiTAdapter"]
