"""Examples below each command's help; tests/cli/test_help.py sees that they can be given."""

from __future__ import annotations

from rich.markup import escape

EXAMPLES: dict[str, tuple[str, ...]] = {
    "genbench": (
        "genbench doctor",
        "genbench fid --model toy --res 32",
        "genbench table bundled",
        "genbench --install-completion",
    ),
    "fid": (
        "genbench fid --model toy --res 32",
        "genbench fid --model hit --res 32 -n 2000 --ci",
        "genbench fid --model gen.py:clouds --range=-1,1",
        "genbench fid samples/ bundled --protocol bundled",
        "genbench fid samples.npz VIRTUAL_imagenet128_labeled.npz --metric fid --metric recall",
        "genbench fid --model biggan-deep --truncation 0.5 --json --records runs.jsonl",
    ),
    "merge": (
        "genbench merge --model toy --res 32",
        "genbench merge --model hit --res 32 -n 2000 --ci --from /other/cache",
    ),
    "sweep": (
        "genbench sweep --model biggan-deep --res 32 --truncation 0.2,0.6,1 -n 1000",
        "genbench sweep --model adm-guided --steps 10,25 --classifier-scale 0,1 --metric fid",
    ),
    "watch": (
        "genbench watch runs/hit --model hit --res 32 -n 2000 --every 5m --plot curve.svg",
        "genbench watch 'runs/*/ema-*.safetensors' --model biggan-deep --res 32 --once",
        "genbench watch runs/samples --samples --ref bundled --protocol bundled --until 100000",
    ),
    "sample": (
        "genbench sample --model toy -n 64 --out grid.png",
        "genbench sample --model biggan-deep -n 1000 --labels balanced --out samples.npz",
    ),
    "ref": (
        "genbench ref images/ --res 128 --crop adm --out ref.npz",
        "genbench ref images/ --format edm --out fid-ref.npz",
    ),
    "ls": (
        "genbench ls",
        "genbench ls adm-guided",
        "genbench ls papers DMD2",
        "genbench ls protocols edm-imagenet64",
        "genbench ls references --json",
        "genbench ls runs --model hit --last 5",
    ),
    "check": ("genbench check toy", "genbench check hit --res 32 --device cpu"),
    "doctor": ("genbench doctor", "genbench doctor edm2-imagenet64", "genbench doctor --verbose"),
    "fetch": (
        "genbench fetch adm-128 adm-imagenet128",
        "genbench fetch --table adm-quality --list",
        "genbench fetch adm-256 --to mirror/",
    ),
    "throughput": (
        "genbench throughput --gpu v100",
        "genbench throughput --model hit --model biggan-deep --res 128 --batch 1 --batch 64",
        "genbench throughput --model hit --res 128 --profile traces",
        "genbench throughput --train --model adm-guided --res 64 --dtype float16",
    ),
    "audit": ("genbench audit", "genbench audit adm-table7"),
    "table": (
        "genbench table bundled",
        "genbench table adm-quality --out adm.md --out adm.tex",
        "genbench table --from-records --columns fid,recall",
        "genbench table bundled -n 2000 --records runs.jsonl",
    ),
    "report": ("genbench report --out report.html",),
    "plot": ("genbench plot speed --out speed.svg",),
    "site": (
        "genbench site --out site/",
        "genbench site mine.jsonl theirs.jsonl --bundles bundles/ --out site/",
    ),
    "delete": ("genbench delete my-run --yes",),
    "compare": (
        "genbench compare RUN_A RUN_B",
        "genbench compare old.jsonl new.jsonl",
        "genbench compare --group old=a1,a2,a3,a4 --group new=b1,b2,b3,b4",
    ),
    "gate": (
        "genbench fid --model hit --res 32 --ci -n 250 -n 500 -n 1000 --name main",
        "genbench gate main --model hit --res 32 --checkpoint new.safetensors --margin 2%",
    ),
    "explain": (
        "genbench explain --samples samples.npz --from clean-fid --to adm-imagenet256",
        "genbench explain --model hit --res 32 --from standard --to bundled "
        "--detector efficientnet-lite0 --ref bundled --from-n 1000 --to-n 2000",
    ),
    "bundle": (
        "genbench bundle my-run --out run.genbench",
        "genbench bundle my-run --with-features --out run.genbench",
    ),
    "verify": (
        "genbench verify run.genbench",
        "genbench verify run.genbench --fraction 0.1 --seed 1",
    ),
    "reproduce": (
        "genbench reproduce my-run",
        "genbench reproduce my-run --run",
        "genbench reproduce runs.jsonl:3 --out again/",
        "genbench reproduce expected.jsonl --measured measured.jsonl",
    ),
    "card": ("genbench card my-run", "genbench card my-run other-run --out card/README.md"),
    "train": ("genbench train hit --recipe fashion-mnist-32 --out runs/hit",),
    "distill": ("genbench distill emd --config recipe.toml --res 32 --out runs/emd",),
    "convert": (
        "genbench convert hit ckpt-1000000 --out hit.safetensors",
        "genbench convert edm edm-imagenet-64x64-cond-adm.pkl --out edm.safetensors --trust-pickle",
    ),
    "schema": ("genbench schema > record.schema.json",),
}


def epilog(command: str) -> str | None:
    """The examples of a command as its help prints them; None for one without."""
    if command not in EXAMPLES:
        return None
    return "\n".join(["[bold]Examples[/bold]", *(escape(line) for line in EXAMPLES[command])])
