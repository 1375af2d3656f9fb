"""Images a second: genbench's detectors beside torch-fidelity's own extraction, in one run.

    python benchmarks/detectors.py [--images 64] [--rounds 3] [--batch 16] [--lite-images 1000]

Both sides see the same images, the same random Inception weights and the same batch size, in turn,
round after round; the ratio of the medians is printed. Then EfficientNet-Lite0: the detector beside
the package's own network at the same input size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.detectors import efficientnet as detectors_offline
from genbench.detectors.registry import create_detector
from genbench.weights.loading import load_tensors

CPU = torch.device("cpu")


class Images(torch.utils.data.Dataset[Tensor]):
    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def random_images(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], images: int, rounds: int
) -> tuple[float, float]:
    """Median images/s of each, the two taken in turn after one untimed call of each."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    ours(), theirs()
    for _ in range(rounds):
        for name, call in (("ours", ours), ("theirs", theirs)):
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return (
        images / statistics.median(seconds["ours"]),
        images / statistics.median(seconds["theirs"]),
    )


def random_inception(path: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Unfilled(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *arguments: Any, **options: Any) -> None:
            """Leave the initial weights."""

    torch.save({}, path)
    torch.save(Unfilled("x", ["2048"], str(path)).state_dict(), path)


def inception(count: int, batch: int, rounds: int, path: Path) -> None:
    from torch_fidelity.utils import create_feature_extractor, get_featuresdict_from_dataset

    images = random_images(count)
    random_inception(path)
    theirs = create_feature_extractor(
        "inception-v3-compat", ["2048", "logits_unbiased"], cuda=False, verbose=False,
        feature_extractor_weights_path=str(path),
    )  # fmt: skip

    def extract() -> object:
        return get_featuresdict_from_dataset(
            Images(images), theirs, batch, cuda=False, save_cpu_ram=False, verbose=False
        )

    for layers in (["pool", "logits"], ["pool", "spatial", "logits"]):
        ours = create_detector("inception", layers=layers, weights=path, device=CPU)
        fast, slow = compare(
            lambda ours=ours: [ours(part) for part in torch.split(images, batch)],  # type: ignore[misc]
            extract, count, rounds,
        )  # fmt: skip
        print(
            f"inception {'+'.join(layers)}, batch {batch}: genbench {fast:.1f} images/s, "
            f"torch-fidelity (pool+logits) {slow:.1f} images/s, ratio {fast / slow:.2f}"
        )


def lite(count: int, rounds: int) -> None:
    path = next(detectors_offline.weight(detectors_offline.NAME).search[0].glob("*.pth"))
    network = detectors_offline.load_network(load_tensors(path))
    ours = create_detector(detectors_offline.NAME, layers=["pool"], device=CPU)
    images = random_images(count)

    def package(batch: int) -> object:
        with torch.inference_mode():
            inputs = [detectors_offline.prepare(part) for part in torch.split(images, batch)]
            return [network.extract_features(part).mean(dim=(2, 3)) for part in inputs]

    for batch in (50, 100, 125, 250):
        fast, slow = compare(
            lambda batch=batch: [ours(part) for part in torch.split(images, batch)],  # type: ignore[misc]
            lambda batch=batch: package(batch),  # type: ignore[misc]
            count, rounds,
        )  # fmt: skip
        print(
            f"{detectors_offline.NAME} pool, batch {batch}: genbench {fast:.0f} images/s, "
            f"the package's network {slow:.0f} images/s, ratio {fast / slow:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=64, help="images for Inception")
    parser.add_argument("--batch", type=int, default=16, help="batch size for Inception")
    parser.add_argument("--lite-images", type=int, default=1000, help="images for the offline one")
    parser.add_argument("--rounds", type=int, default=3, help="timed calls of each side")
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        inception(options.images, options.batch, options.rounds, Path(folder) / "inception.pth")
    lite(options.lite_images, options.rounds)


if __name__ == "__main__":
    main()
