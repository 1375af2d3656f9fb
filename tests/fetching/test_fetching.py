"""`genbench fetch`, and measuring with what it brings: a tiny ADM published on the loopback."""

from __future__ import annotations

import io
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from adm_files import CLASSIFIER, UNET, filled
from hostile_server import Hostile, cutting, saying, serving
from safetensors.torch import save
from strangers import error_line, genbench
from weight_files import CONTENT, empty_caches

from genbench import api
from genbench.errors import GenbenchError
from genbench.fetching.carrying import fetch_all
from genbench.fetching.needs import Wanted, of_name, of_table, together
from genbench.fetching.plan import check_room, planned
from genbench.models.opening import ModelRequest, resolve
from genbench.records.kinds import QualityRecord
from genbench.records.store import read_records
from genbench.runtime.progress import Advance, SilentReporter
from genbench.tables.specs import load_spec
from genbench.weights.files import WeightFile
from genbench.weights.pins import lock_file, read_pins
from genbench_adapters.adm import adapter as adm
from genbench_adapters.adm import cards
from genbench_adapters.adm.network import Classifier, UNet
from genbench_adapters.adm.variants import VARIANTS, Variant

TINY = Variant(
    name="adm-tiny", resolution=32, parameters=1000, unet=replace(UNET, image_size=32),
    classifier=replace(CLASSIFIER, image_size=32), classifier_file="tiny_classifier.pt",
    classifier_scale=1.0, steps=2, file="tiny_diffusion.pt", data="nothing",
)  # fmt: skip
MEASURE = ("fid", "--model", "adm-guided", "--variant", "adm-tiny", "--ref", "bundled[:12]",
           "--detector", "efficientnet-lite0", "--metric", "precision", "-n", "8")  # fmt: skip


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty_caches(tmp_path, monkeypatch)
    for name in ("GENBENCH_MIRROR", "GENBENCH_LOCK", "GENBENCH_ALLOW_HTTP", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Hostile]:
    with serving() as told:
        yield told


@pytest.fixture
def tiny(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> Hostile:
    """A server that publishes a small ADM and its classifier; ten classes, as the networks have."""
    monkeypatch.setattr(adm, "PUBLISHED", f"{server.address}/")
    monkeypatch.setattr(adm, "VARIANTS", (*VARIANTS, TINY))
    monkeypatch.setattr(cards, "PUBLISHED", f"{server.address}/")
    card = replace(cards.published_card(TINY), classes=10)
    monkeypatch.setattr(adm.AdmGuided, "cards", (*adm.AdmGuided.cards, card))
    assert TINY.classifier is not None
    networks = {TINY.file: UNet(TINY.unet), TINY.classifier_file: Classifier(TINY.classifier)}
    for name, network in networks.items():
        made = io.BytesIO()
        torch.save(filled(network).state_dict(), made)
        server.files[name] = made.getvalue()
    return server


def some_files(server: Hostile, *names: str) -> list[Wanted]:
    found = []
    for number, name in enumerate(names):
        server.files.setdefault(name, CONTENT[number:])
        server.etags.setdefault(name, f'"{name}"')
        url = server.url(name)
        file = WeightFile(filename=name, url=url, sha256="", published_at=url)
        found.append(Wanted(what=name, file=file))
    return found


def test_a_model_is_measured_without_naming_a_path(tiny: Hostile, tmp_path: Path) -> None:
    records = ("--records", tmp_path / "r.jsonl")
    refused = error_line(genbench(*MEASURE, *records))
    assert f"tiny_diffusion.pt of adm-tiny, published at {tiny.url('tiny_diffusion.pt')}" in refused
    assert "and 1 more must be fetched first" in refused
    assert "pass --yes, or your own --checkpoint PATH, or run genbench fetch adm-tiny" in refused
    assert not tiny.asked
    run = genbench(*MEASURE, *records, "--yes")
    assert run.returncode == 0, run.stderr
    digests = {name: sha256(content).hexdigest() for name, content in tiny.files.items()}
    for name, digest in digests.items():
        assert f"{name}, fetched now, has SHA-256 {digest}" in run.stderr
    (record,) = read_records(tmp_path / "r.jsonl")
    assert isinstance(record, QualityRecord)
    assert (record.weight_kind, record.checkpoint) == ("official", "tiny_diffusion.pt")
    assert record.checkpoint_digest == digests["tiny_diffusion.pt"]
    assert record.options["classifier"] == f"tiny_classifier.pt {digests['tiny_classifier.pt']}"
    assert record.nfe == 2  # the variant's own steps
    asked = len(tiny.asked)
    again = genbench(*MEASURE, *records)  # neither a question nor a request any more
    assert again.returncode == 0, again.stderr
    assert len(tiny.asked) == asked


def test_sample_and_sweep_ask_as_fid_does(tiny: Hostile, tmp_path: Path) -> None:
    model = ("--model", "adm-guided", "--variant", "adm-tiny")
    sampled = ("sample", *model, "-n", "1", "--out", tmp_path / "o.png")
    swept = ("sweep", *MEASURE[1:], "--records", tmp_path / "r.jsonl")
    for words in (sampled, swept):
        assert "must be fetched first" in error_line(genbench(*words))
    assert not tiny.asked
    run = genbench(*sampled, "--yes")
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "o.png").is_file()
    assert {Path(one.path).name for one in tiny.asked} == {TINY.file, TINY.classifier_file}


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_asks(
    tiny: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    terminal = io.StringIO(f"{answer}\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    run = genbench(*MEASURE, "--records", tmp_path / "r.jsonl")
    assert "Fetch them?" in run.stderr
    assert f"tiny_classifier.pt of adm-tiny: {tiny.url('tiny_classifier.pt')}" in run.stderr
    fetched = [one for one in tiny.asked if one.method == "GET"]
    assert (run.returncode, len(fetched)) == ((0, 2) if answer == "y" else (1, 0)), run.stderr


def test_without_being_asked_nothing_is_fetched_from_python(tiny: Hostile) -> None:
    with pytest.raises(GenbenchError, match=r"published at .* genbench fetch adm-tiny brings it"):
        api.open_model("adm-guided", variant="adm-tiny", device="cpu")
    assert not tiny.asked


def test_what_an_upsampled_model_needs() -> None:
    def names(word: str, **options: str) -> list[str]:
        return [wanted.file.filename for wanted in of_name(word, options=options).files]

    assert names("adm-128") == ["128x128_diffusion.pt", "128x128_classifier.pt"]
    assert names("adm-128", **{"classifier-scale": "0"}) == ["128x128_diffusion.pt"]
    assert names("adm-128", classifier="own.pt") == ["128x128_diffusion.pt"]
    assert names("adm-256", upsample="true") == [
        "64x64_diffusion.pt", "64_256_upsampler.pt", "64x64_classifier.pt"
    ]  # fmt: skip
    assert names("adm-lsun-cat") == ["lsun_cat.pt"]
    assert names("biggan-deep-128") == ["biggan-deep-128-pytorch_model.bin"]
    assert names("adm-imagenet128") == [
        "weights-inception-2015-12-05-6726825d.pth", "VIRTUAL_imagenet128_labeled.npz"
    ]  # fmt: skip
    assert names("adm:imagenet64") == ["VIRTUAL_imagenet64_labeled.npz"]
    assert names("hf:me/model/w.safetensors@v1") == ["w.safetensors"]
    assert of_name("hit", resolution=128).notes[0].startswith("no weights of hit-128 are public")


def test_a_table_needs_each_file_once() -> None:
    needs = of_table(load_spec("adm-quality"))
    names = [wanted.file.filename for wanted in needs.files]
    assert len(set(names)) == len(names)
    assert {"128_512_upsampler.pt", "64x64_classifier.pt", "VIRTUAL_imagenet512.npz"} <= set(names)
    assert together([needs, needs]) == needs


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "name what to fetch"),
        (("adm-12",), "nothing to fetch is named adm-12; did you mean"),
        (("adm-guided",), "has several variants to fetch: name one of adm-64, adm-128"),
        (("edm:imagenet",), "no published reference is named"),
        (("adm-128", "--stepps", "3"), "has no option --stepps"),
        (("inception", "--upsample"), "--upsample is a model's option"),
        (("adm-256", "biggan-deep-128", "--upsample"), "has no option --upsample"),
        (("adm-256", "--upsample", "true", "adm-128"), "is not expected here"),
        (("--table", "adm-quallity"), "did you mean adm-quality"),
        (("hf:model",), "hf:OWNER/REPO/FILE@REVISION"),
        (("http://127.0.0.1/",), "names no file"),
    ],
)
def test_slips_are_one_line(words: tuple[str, ...], expected: str) -> None:
    run = genbench("fetch", *words)
    assert expected in error_line(run)
    assert run.returncode == 2


def test_the_list_says_what_is_here_and_how_large(server: Hostile) -> None:
    server.files = {"a.pth": CONTENT, "b.pth": CONTENT}
    first, second = server.url("a.pth"), server.url("b.pth")
    shown = genbench("fetch", first, "--json")
    assert shown.returncode == 0, shown.stderr
    (fetched,) = map(json.loads, shown.stdout.splitlines())
    assert fetched["sha256"] == sha256(CONTENT).hexdigest()
    assert Path(fetched["path"]).read_bytes() == CONTENT
    rows = [json.loads(line) for line in
            genbench("fetch", "--list", first, second, "--json").stdout.splitlines()]  # fmt: skip
    assert [(row["status"], row["bytes"], row["digest"]) for row in rows] == [
        ("here", len(CONTENT), "pinned"), ("missing", len(CONTENT), "at first use")
    ]  # fmt: skip
    told = genbench("fetch", "--list", first, second).stdout
    assert "1 to fetch, 3 MB; 1 here, 3 MB;" in told
    assert f"{sha256(CONTENT).hexdigest()[:8]}*" in told
    assert "* pinned when it was first fetched" in told
    assert [one.path for one in server.asked if one.method == "GET"] == ["/a.pth"]
    server.always = saying(404)
    lost = genbench("fetch", "--list", server.url("c.pth"))
    assert "sizes are estimates or missing: 127.0.0.1 answers 404" in lost.stdout


def test_everything_is_listed_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("no network for a list")

    monkeypatch.setattr("socket.create_connection", refuse)
    run = genbench("fetch", "--list")
    for word in ("128x128_classifier.pt of adm-128", "detector inception", "reference edm2:img64"):
        assert word in run.stdout
    assert "missing" in run.stdout


def test_one_failure_stops_nobody_else(server: Hostile) -> None:
    wanted = some_files(server, "a.pth", "b.pth", "c.pth", "d.pth", "e.pth")
    del server.files["b.pth"], server.files["d.pth"]
    run = genbench("fetch", *(item.file.url for item in wanted))
    assert run.returncode == 1
    assert "2 of 5 files could not be fetched" in error_line(run)
    failed = [line for line in run.stderr.splitlines() if line.startswith("failed: ")]
    assert [line.split()[1] for line in failed] == ["b.pth:", "d.pth:"]
    assert all("answers 404" in line for line in failed)
    assert {url.rpartition("/")[2] for url in read_pins()} == {"a.pth", "c.pth", "e.pth"}
    one = genbench("fetch", wanted[1].file.url)
    assert "b.pth answers 404" in error_line(one)


def test_without_a_network_each_host_is_a_line(server: Hostile) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        away = f"https://127.0.0.1:{unused.getsockname()[1]}"
        urls = [f"{away}/a.pth", f"{away}/b.pth"]
        run = genbench("fetch", *urls)
        (line,) = [line for line in run.stderr.splitlines() if line.startswith("failed: ")]
        assert line == f"failed: {away[8:]} cannot be reached, which has a.pth, b.pth"
        told = error_line(run)
        assert "others are kept" not in told
        command = f"genbench fetch {' '.join(urls)}"
        assert told.endswith(
            f"on a machine with a network: {command} --to DIR; here: GENBENCH_MIRROR=DIR {command}"
        )
        one = error_line(genbench("fetch", urls[0]))
    assert "127.0.0.1 cannot be reached (Connection refused): download https://" in one
    assert "; or on a machine with a network: genbench fetch" in one


def test_too_little_room_is_said_before_anything_is_fetched(
    server: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = some_files(server, "a.pth", "b.pth")
    usage = type("Usage", (), {"free": 5_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    run = genbench("fetch", *(item.file.url for item in wanted))
    assert "has 5 MB free, 1 MB too little" in run.stdout
    assert "6 MB to come, 5 MB free" in error_line(run)
    assert {one.method for one in server.asked} == {"HEAD"}
    assert check_room(planned(wanted[:1], ask=True)) == 5_000_000


def test_a_folder_for_a_machine_without_a_network(
    server: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files = {"a.safetensors": save({"a": torch.ones(3)}), "b.pth": CONTENT}
    urls = [server.url(name) for name in server.files]
    assert genbench("fetch", urls[0]).returncode == 0  # in the cache already: copied
    out = genbench("fetch", *urls, "--to", tmp_path / "stick")
    assert out.returncode == 0, out.stderr
    assert read_pins(tmp_path / "stick" / "genbench.lock").keys() == set(urls)
    assert genbench("fetch", *urls, "--to", tmp_path / "stick").returncode == 0
    gets = [one.path for one in server.asked if one.method == "GET"]
    assert gets == ["/a.safetensors", "/b.pth"]
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GENBENCH_MIRROR", str(tmp_path / "stick"))
    server.always = saying(500)
    brought = genbench("fetch", *urls)
    assert brought.returncode == 0, brought.stderr
    assert read_pins().keys() == set(urls)
    assert [one for one in server.asked if one.method == "GET"][2:] == []
    copy = next((tmp_path / "stick").rglob("b.pth"))
    copy.write_bytes(b"damaged")
    bad = genbench("fetch", urls[1], "--to", tmp_path / "stick")
    assert "delete it and run again" in error_line(bad)


class Watching(SilentReporter):
    """Tells when the first bytes are there."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.brought = 0

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        def advance(finished: int, doing: str = "") -> None:
            self.brought += finished
            self.begun.set()

        yield advance


def test_progress_counts_megabytes_and_the_order_stays(server: Hostile) -> None:
    wanted, watch = some_files(server, *"abcdef"), Watching()
    outcomes = fetch_all(planned(wanted, ask=True), reporter=watch)
    assert [outcome.planned.wanted.what for outcome in outcomes] == list("abcdef")
    assert not any(outcome.error for outcome in outcomes)
    assert watch.brought == 6 * len(CONTENT) // 10**6
    assert len(watch.notes) == 6  # each digest was pinned, and told


def test_an_interruption_keeps_what_came(server: Hostile) -> None:
    wanted, watch = some_files(server, "a.pth", "b.pth"), Watching()

    def slow(told: Hostile, request: object) -> None:
        cutting(2_000_000)(told, request)  # type: ignore[arg-type]
        time.sleep(0.3)

    server.always = slow
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        watch.begun.wait(10)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        fetch_all(planned(wanted, ask=True), reporter=watch)
    places = [item.file.place for item in wanted]
    assert not any(place.exists() for place in places)
    parts = [place.with_name(f"{place.name}.part") for place in places]
    assert any(part.exists() and part.stat().st_size > 0 for part in parts)
    assert not lock_file().exists()
    server.always = None
    plan = planned(wanted, ask=True)
    assert sum(item.to_come for item in plan) < 2 * len(CONTENT) - 1
    assert not any(outcome.error for outcome in fetch_all(plan, reporter=SilentReporter()))
    assert [place.read_bytes() for place in places] == [CONTENT, CONTENT[1:]]


def test_weights_of_the_hub_come_with_their_configuration(
    server: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import genbench_adapters.hit as hit

    bundled = Path(hit.__file__).parent / "weights"
    folder = "me/model/resolve/abc/"
    for name in ("model.safetensors", "config.json"):
        if (bundled / name).exists():
            server.files[folder + name] = (bundled / name).read_bytes()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    words = ("sample", "--model", "hit", "--res", "32", "-n", "2")
    spec = "hf:me/model/model.safetensors@abc"
    run = genbench(*words, "--checkpoint", spec, "--out", tmp_path / "a.npz")
    assert run.returncode == 0, run.stderr
    own = genbench(*words, "--out", tmp_path / "b.npz")
    assert own.returncode == 0, own.stderr
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    asked = len(server.asked)
    run = genbench(*words, "--checkpoint", spec, "--out", tmp_path / "c.npz")
    assert (run.returncode, len(server.asked)) == (0, asked)
    missing = genbench(*words, "--checkpoint", "hf:me/other/m.safetensors@abc", "--out", "d.npz")
    assert "answers 404" in error_line(missing)


def test_companions_fill_only_what_was_left_open(tiny: Hostile) -> None:
    assert genbench("fetch", "adm-tiny").returncode == 0
    from genbench.models.companions import with_companions

    request = ModelRequest(name="adm-guided", variant="adm-tiny")
    model = resolve(request)
    assert with_companions(model.adapter, model.card).classifier.name == "tiny_classifier.pt"  # type: ignore[attr-defined]
    own = resolve(replace(request, options={"classifier": "own.pt"}))
    assert with_companions(own.adapter, own.card) == own.adapter
    free = resolve(replace(request, options={"classifier-scale": "0"}))
    assert with_companions(free.adapter, free.card) == free.adapter
