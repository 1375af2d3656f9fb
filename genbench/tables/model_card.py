"""Measured figures as a model card of the Hugging Face Hub: model-index metadata, then a table.

The metadata is what `huggingface_hub` reads as EvalResult (hub-docs, modelcard.md).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from genbench.errors import UsageError
from genbench.metrics.catalogue import metric_named
from genbench.records.kinds import QualityRecord, Record
from genbench.records.labels import Labels, labels_of, sampler_options
from genbench.tables.listings import metric_title, rounded
from genbench.tables.yaml_text import Yaml, to_yaml
from genbench.version import __version__

MARK = "<!-- written by genbench card -->"  # by which a card may be told from a page of yours
_TASK = "unconditional-image-generation"  # the Hub's name for images without a text


def model_card(records: Sequence[Record], explained: Mapping[str, Sequence[str]]) -> str:
    """The card of some runs: measured figures alone, no published ones.

    explained: of each protocol's digest what it is, a line a fact; nothing for one that is not
    known here. Raises UsageError where no record is of quality.
    """
    figures = [record for record in records if isinstance(record, QualityRecord)]
    if not figures:
        raise UsageError("the runs measured no quality: a model card tells figures of quality")
    label = labels_of(figures)
    tags = ["image-generation", "genbench"]
    head = to_yaml({"tags": tags, "model-index": _index(figures, label)})
    body = "\n\n".join(_body(figures, label, explained))
    return f"---\n{head}---\n\n{MARK}\n\n{body}\n"


def _index(figures: Sequence[QualityRecord], label: Labels) -> list[Yaml]:
    """An entry a model, in it a result a set of references and protocol."""
    models: dict[str, dict[tuple[str, ...], list[QualityRecord]]] = {}
    for figure in figures:
        key = (figure.reference, figure.reference_digest, figure.protocol_digest, figure.labels)
        models.setdefault(label(figure), {}).setdefault(key, []).append(figure)
    return [
        {"name": name, "results": [_result(group) for group in groups.values()]}
        for name, groups in models.items()
    ]


def _result(figures: Sequence[QualityRecord]) -> Mapping[str, Yaml]:
    first = figures[0]
    dataset: dict[str, Yaml] = {"name": "no reference", "type": "none"}
    if first.reference_digest:
        # The Hub's own ids are not known here: genbench's name for the reference stands.
        args: dict[str, Yaml] = {"digest": first.reference_digest}
        if first.reference_samples:
            args["images"] = first.reference_samples
        dataset = {"name": first.reference, "type": first.reference, "args": args}
    task = "Class-conditional image generation" if first.labels else "Image generation"
    return {
        "task": {"type": _TASK, "name": task},
        "dataset": dataset,
        "metrics": [_metric(figure) for figure in figures],
    }


def _metric(figure: QualityRecord) -> Mapping[str, Yaml]:
    args: dict[str, Yaml] = {
        "protocol": figure.protocol,
        "protocol_digest": figure.protocol_digest,
        "samples": figure.samples,
        "samples_digest": figure.samples_digest,
        "detector": figure.detector,
    }
    if figure.seed is not None:
        args["seed"] = figure.seed
    if figure.labels:
        args["labels"] = figure.labels
    if figure.weight_kind != "none":
        args["weights"] = figure.weight_kind
    if figure.checkpoint_digest:
        args["checkpoint_sha256"] = figure.checkpoint_digest
    options = {key: value for key, value in sampler_options(figure).items() if value is not None}
    if options:
        args["options"] = options
    if figure.low is not None and figure.high is not None:
        args |= {"interval_95": [figure.low, figure.high], "interval": figure.interval}
    args |= {"run": figure.run, "genbench": figure.environment.genbench}
    return {
        "type": figure.metric,
        "value": figure.value,
        "name": f"{_title(figure)}, {figure.samples:,} samples, protocol {figure.protocol}",
        "args": args,
        "verified": False,  # the Hub's word for figures of its own service
    }


def _title(figure: QualityRecord) -> str:
    return metric_title(metric_named(figure.metric), figure.detector)


def _body(
    figures: Sequence[QualityRecord], label: Labels, explained: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    yield "## Evaluation"
    yield (
        f"Measured with genbench {__version__}; no figure here is copied from a paper. Figures "
        "compare only under one protocol digest, reference and sample count."
    )
    for digest in dict.fromkeys(figure.protocol_digest for figure in figures):
        under = [figure for figure in figures if figure.protocol_digest == digest]
        yield f"### Protocol {_cell(under[0].protocol)} [{digest}]"
        yield _table(under, label)
        facts = explained.get(digest) or ("This genbench does not know it: its digest names it.",)
        yield "\n".join(f"- {_cell(fact)}" for fact in facts)
    yield "## Check these figures"
    commands = dict.fromkeys(
        shlex.join(figure.environment.command) for figure in figures if figure.environment.command
    )
    if commands:
        yield "Measured with:"
        yield "\n".join(f"    {command}" for command in commands)
    runs = dict.fromkeys(figure.run for figure in figures)
    yield "With the record file beside, measured again and compared digit by digit by:"
    yield "\n".join(f"    genbench reproduce {run} --run" for run in runs)


def _table(figures: Sequence[QualityRecord], label: Labels) -> str:
    rows = [
        (
            label(figure), _title(figure), rounded(figure.value), _interval(figure),
            f"{figure.samples:,}",
            f"{figure.reference} [{figure.reference_digest[:12]}]" if figure.reference else "–",
        )
        for figure in figures
    ]  # fmt: skip
    header = ("model", "metric", "value", "95% interval", "samples", "reference")
    lines = [header, ("---",) * len(header), *(map(_cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _interval(figure: QualityRecord) -> str:
    if figure.low is None or figure.high is None:
        return "–"
    return f"{rounded(figure.low)} … {rounded(figure.high)}"


def _cell(text: str) -> str:
    """Text of a record within a line of Markdown, whatever it holds."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain.replace("|", "\\|").replace("<", "&lt;")
