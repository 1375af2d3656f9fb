"""Reference statistics in the formats that projects publish, of the keys and types they write."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


def moments(width: int, seed: int = 0) -> tuple[Array, Array]:
    """Mean and covariance of 50 random rows of a width."""
    rows = np.random.default_rng(seed).normal(size=(50, width))
    return rows.mean(0), np.cov(rows, rowvar=False)


def write_edm(path: Path, mu: Array, sigma: Array) -> None:
    """edm fid.py:155; StudioGAN's moments and what LTH14's fork reads are the same."""
    np.savez(path, mu=mu, sigma=sigma)


def write_clean_fid(path: Path, mu: Array, sigma: Array) -> None:
    """clean-fid fid.py:717: a mean of float32."""
    np.savez_compressed(path, mu=mu.astype(np.float32), sigma=sigma)


def write_pytorch_fid(path: Path, mu: Array, sigma: Array) -> None:
    """pytorch-fid fid_score.py:320."""
    np.savez_compressed(path, mu=mu, sigma=sigma)


def write_adm(path: Path, mu: Array, sigma: Array) -> None:
    """ADM's, less its images."""
    spatial = moments(4, 1)
    np.savez(path, mu=mu.astype(np.float32), sigma=sigma, mu_s=spatial[0], sigma_s=spatial[1])


def write_torch_fidelity(path: Path, mu: Array, sigma: Array) -> None:
    """torch-fidelity metric_fid.py:21, utils.py:358."""
    torch.save({"mu": mu.astype(np.float32), "sigma": sigma}, path)


def write_edm2(path: Path, mu: Array, sigma: Array, *, images: int = 90, width: int = 3) -> None:
    """edm2 calculate_metrics.py:196-202: `mu` and `sigma` of Inception, others of DINOv2."""
    other = moments(width, 2)
    held = {
        "num_images": images,
        "fid": {"mu": mu, "sigma": sigma},
        "fd_dinov2": {"mu": other[0], "sigma": other[1]},
    }
    path.write_bytes(pickle.dumps(held))


WRITERS: dict[str, Callable[[Path, Array, Array], None]] = {
    "edm.npz": write_edm,
    "clean-fid.npz": write_clean_fid,
    "pytorch-fid.npz": write_pytorch_fid,
    "adm.npz": write_adm,
    "torch-fidelity.pt": write_torch_fidelity,
    "edm2.pkl": write_edm2,
}


def write_feats(path: Path, rows: NDArray[Any]) -> None:
    """Features [N, D] as the file's name says: clean-fid's _kid.npz, StudioGAN's _feats.npz,
    dgm-eval's .npz, torch-fidelity's .pt."""
    if path.suffix == ".pt":
        torch.save(torch.from_numpy(rows.astype(np.float32)), path)
    elif path.stem.endswith("_kid"):
        np.savez_compressed(path, feats=rows.astype(np.float32))
    elif path.stem.endswith("_feats"):
        labels = np.zeros(len(rows), int)
        np.savez(path, real_feats=rows, real_probs=rows, real_labels=labels)
    else:
        settings = np.array({"seed": 1}, object)  # pickled, and never read
        np.savez(path, model="dinov2", reps=rows.astype(np.float64), hparams=settings)
