"""Adapters from strangers: found, run, listed as broken, clashing, misspelt, checked."""

from __future__ import annotations

import importlib
import json
import tomllib
from pathlib import Path

import pytest
from safetensors.torch import save_file
from strangers import GOOD, error_line, genbench, install

from genbench.errors import GenbenchError
from genbench.models.source import blaming


def listed(path: Path) -> dict[str, str]:
    run = genbench("ls", "--json", path=path)
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    return {row["model"]: row["status"] for row in rows}


def test_a_strangers_model_is_listed_and_samples(tmp_path: Path) -> None:
    install(tmp_path / "site", "plain-images", "plain", GOOD)
    assert listed(tmp_path / "site")["plain"] == "ready"
    out = tmp_path / "grid.png"
    run = genbench(
        "sample", "--model", "plain", "-n", "4", "--brightness", "0.5", "--out", out,
        "--cache", tmp_path / "cache", path=tmp_path / "site",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert out.read_bytes().startswith(b"\x89PNG")
    check = genbench("check", "plain", path=tmp_path / "site")
    assert check.returncode == 0, check.stdout
    assert check.stdout.count("✓") == 13
    assert "offers beyond sampling: nothing further" in check.stdout


def test_a_broken_model_says_why_and_hides_nobody(tmp_path: Path) -> None:
    install(tmp_path, "broken-one", "broken", "import a_library_that_is_not_there")
    install(tmp_path, "no-cards", "cardless", GOOD.replace("cards:", "cart:"))
    install(tmp_path, "lost-class", "lost", GOOD, target="lost_class:Nothing")
    rows = listed(tmp_path)
    assert rows["toy"] == "ready"
    assert "a_library_that_is_not_there" in rows["broken"]
    assert "has no cards" in rows["cardless"]
    assert "Nothing" in rows["lost"]
    line = error_line(genbench("fid", "--model", "broken", path=tmp_path))
    assert "broken-one 1.2" in line
    assert "a_library_that_is_not_there" in line


def test_two_models_of_one_name_name_both_owners(tmp_path: Path) -> None:
    install(tmp_path, "first-plain", "plain", GOOD)
    install(tmp_path, "second-plain", "plain", GOOD)
    line = error_line(genbench("fid", "--model", "plain", path=tmp_path))
    assert "first-plain 1.2" in line
    assert "second-plain 1.2" in line
    assert "claimed twice" in listed(tmp_path)["plain"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("fid", "--model", "tyo"), "did you mean toy?"),
        (("fid", "--model", "toy", "--contrats", "0.1"), "did you mean --contrast?"),
        (("fid", "--model", "toy", "--contrast", "much"), "of type float"),
        (("fid", "--model", "toy", "--contrast", "7"), "outside [0, 1]"),
        (("fid", "--model", "toy", "--res", "48"), "it has 32, 64, 128"),
        (("fid", "--model", "toy", "--variant", "toy-46"), "did you mean toy-64?"),
        (("fid", "--sampels", "x.npz"), "did you mean --samples?"),
        (("fid", "--model", "toy", "--protocol", "bundle"), "did you mean bundled?"),
        (("fid", "--model", "toy", "--metric", "fdi"), "did you mean f"),
        (("ls", "detectros"), "did you mean detectors?"),
    ],
)
def test_a_misspelt_word_suggests_the_nearest(words: tuple[str, ...], expected: str) -> None:
    run = genbench(*words)
    assert expected in error_line(run)
    assert run.returncode == 2


def test_the_package_with_weights_of_the_docs_keeps_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "add-a-model.md").read_text()
    blocks = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    source = next(block for block in blocks if "class SmallGAN" in block)
    project = tomllib.loads(page.split("```toml\n")[1].split("```")[0])
    ((name, target),) = project["project"]["entry-points"]["genbench.adapters"].items()
    install(tmp_path, project["project"]["name"], name, source, target)
    monkeypatch.syspath_prepend(tmp_path)
    network = importlib.import_module("small_gan").Network()
    weights = tmp_path / "mine.safetensors"
    save_file(network.state_dict(), weights)
    run = genbench("check", name, "--checkpoint", weights, path=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Concurrent" in run.stdout


def test_whatever_a_stranger_raises_is_one_line_but_a_users_stop() -> None:
    class Own(BaseException):
        pass

    with (
        pytest.raises(GenbenchError, match="model m failed: Own: so it is"),
        blaming("m", "failed"),
    ):
        raise Own("so it is")
    with pytest.raises(KeyboardInterrupt), blaming("m", "failed"):
        raise KeyboardInterrupt


BAD_BEHAVIOUR = {
    "torch's global generator": "colour = torch.randn(len(noise), 3, 1, 1)",
    "depends on its batch": "colour = noise.normal((3, 1, 1)); colour = colour - colour.mean()",
    "`noise` is not used": "colour = torch.zeros(len(noise), 3, 1, 1)",
    "depends on its batch:": "colour = noise.normal((3, 1, 1)) * (1 if len(noise) < 7 else -1)",
    "drawn before it": "self.seen = getattr(self, 'seen', 0) + 1; "
    "colour = noise.normal((3, 1, 1)).clamp(-1, 1) + self.seen / 10",
    "are all the same image": "colour = noise.normal((3, 1, 1)).clamp(-1, 1) * 0.4; "
    "colour[noise.indices > 6] = 0",
    "writes into noise.indices": "colour = noise.normal((3, 1, 1)); noise.indices += 1",
    "torch's number of threads": "torch.set_num_threads(3); colour = noise.normal((3, 1, 1))",
    "SystemExit": "raise SystemExit(0)",
    "where uint8": "return noise.normal((3, 16, 16)) * float('nan')",
    "failed while sampling": "raise RuntimeError('out of paint')",
}


@pytest.mark.parametrize("complaint", BAD_BEHAVIOUR)
def test_the_contract_finds_what_is_wrong(complaint: str, tmp_path: Path) -> None:
    right = "colour = noise.normal((3, 1, 1)).clamp(-1, 1) * self.brightness"
    source = GOOD.replace(right, BAD_BEHAVIOUR[complaint])
    assert source != GOOD
    install(tmp_path, "bad-images", "bad", source)
    run = genbench("check", "bad", path=tmp_path)
    assert run.returncode == 1
    assert "✗" in run.stdout
    assert complaint in run.stdout
    assert "Traceback" not in run.stderr
