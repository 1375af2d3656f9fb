"""Where every number of the report comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genbench.records.kinds import QualityRecord, Record
from genbench.tables.html import rows_to_html


def shown_number(value: float | None) -> str:
    """A number as the page shows it."""
    return "–" if value is None else f"{value:.6g}"


def shown_interval(record: Record) -> str:
    """A record's interval as the page shows it."""
    if record.low is None or record.high is None:
        return "–"
    return f"{record.low:.6g} … {record.high:.6g}"


def provenance_html(records: Sequence[Record]) -> str:
    """Every run, and folded below it every number on record."""
    if not records:
        return "<p>There are no records yet.</p>\n"
    runs = {record.run: record for record in records}
    described = [[run, *_origin(record)] for run, record in runs.items()]
    header = ["run", "model", "weights", "drawn with", "protocol", "detector", "machine",
              "software", "command"]  # fmt: skip
    figures = [
        [record.run, record.model, record.metric, shown_number(record.value), record.unit,
         shown_interval(record), f"{record.samples:,}", _reference(record), record.interval,
         "; ".join(record.notes)]
        for record in records
    ]  # fmt: skip
    columns = ["run", "model", "metric", "value", "unit", "95% interval", "samples", "reference",
               "how the interval was computed", "notes"]  # fmt: skip
    return (
        rows_to_html("Runs: what was measured, with what and where", header, described)
        + f"<details><summary>Every number on record ({len(figures):,})</summary>\n"
        + rows_to_html("Every number on record", columns, figures)
        + "</details>\n"
    )


def _reference(record: Record) -> str:
    return record.reference if isinstance(record, QualityRecord) else ""


def _origin(record: Record) -> Iterator[str]:
    """The texts that say where a run's figures come from."""
    environment, packages = record.environment, record.environment.packages
    quality = record if isinstance(record, QualityRecord) else None

    def told(**values: object) -> str:
        return ", ".join(f"{name} {value}" for name, value in values.items() if value)

    yield _joined(record.model, record.card if record.card != record.model else "")
    digest = f"SHA-256 {record.checkpoint_digest[:12]}" if record.checkpoint_digest else ""
    yield _joined(record.weight_kind, record.checkpoint, digest)
    options = ", ".join(f"{name} {value}" for name, value in record.options.items())
    seed = "" if record.seed is None else f"seed {record.seed}"
    samples = quality.samples_digest[:12] if quality else ""
    yield _joined(seed, told(labels=record.labels), options, record.arithmetic,
                  told(code=record.code_digest, samples=samples))  # fmt: skip
    yield f"{record.protocol} [{record.protocol_digest}]"
    yield quality.detector if quality else ""
    yield _joined(
        environment.device,
        told(platform=environment.platform, threads=environment.threads,
             processors=environment.processors, processes=environment.processes),
    )  # fmt: skip
    versions = told(genbench=environment.genbench, git=environment.git,
                    torch=packages.get("torch"), numpy=packages.get("numpy"),
                    cuda=environment.cuda)  # fmt: skip
    yield _joined(versions, record.created)
    yield " ".join(environment.command)


def _joined(*texts: str) -> str:
    return ", ".join(text for text in texts if text)
