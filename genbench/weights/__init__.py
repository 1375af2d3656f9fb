"""Weight files: found, downloaded, verified, loaded as tensors."""
