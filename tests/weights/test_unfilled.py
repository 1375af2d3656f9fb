"""Networks built without numbers: nothing is drawn, and nothing is imported for it."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from genbench.weights.unfilled import unfilled, with_room

LOADING = """
import sys
import torch
from genbench.models.opening import ModelRequest, open_model, resolve
for name in ("hit", "biggan-deep", "adm-guided", "emd"):
    open_model(resolve(ModelRequest(name=name)), torch.device("cpu"))
    loaded = {"torch._dynamo", "sympy", "scipy.stats"} & set(sys.modules)
    assert not loaded, (name, loaded)
"""


def test_no_family_waits_for_a_compiler_it_does_not_use() -> None:
    run = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_names_and_shapes_alone_then_room() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with unfilled():
        network = nn.Sequential(nn.Linear(3, 5).half(), nn.Embedding(7, 2), nn.BatchNorm1d(5))
        nn.init.orthogonal_(tensor=network[0].get_parameter("weight"))
    assert torch.equal(torch.rand(1), expected)  # nothing was drawn
    assert all(value.is_meta for value in network.state_dict().values())
    whole = with_room(network)
    made = {key: (value.shape, value.dtype) for key, value in whole.state_dict().items()}
    assert made["0.weight"] == ((5, 3), torch.float16)
    assert made["2.num_batches_tracked"] == ((), torch.int64)
    assert {value.device.type for value in whole.state_dict().values()} == {"cpu"}
    values = {key: torch.ones(made[key][0]) for key in made}
    whole.load_state_dict(values)
    assert all(bool((value == 1).all()) for value in whole.state_dict().values())


def test_tensors_with_numbers_are_filled_and_copied_as_ever() -> None:
    with unfilled():
        real = nn.Linear(4, 4, device="cpu")
        nn.init.constant_(real.weight, 3.0)
        meta = torch.empty(2, 3)
        assert torch.empty_like(meta, dtype=torch.float64).dtype == torch.float64
        assert torch.empty_like(input=meta, device="cpu").device.type == "cpu"
    assert bool((real.weight == 3.0).all())
