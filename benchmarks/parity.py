"""Compare the networks with outputs of the official implementations: python parity.py PATH...

A PATH is a file in one of the formats of tests/parity/README.md, a checkpoint folder, or a folder
of these. Family and case are found from the contents. One line a check, and a summary for golden
numbers of metrics; exit code 1 when one fails or nothing could be checked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import parity_adm
import parity_biggan
import parity_edm
import parity_hit
import parity_metrics
import parity_preprocessing
from parity_cases import Case, Check, UnknownCaseError, open_case
from parity_metric_cases import named_by_cases

FAMILIES = (
    parity_biggan.checks, parity_adm.checks, parity_hit.checks, parity_edm.checks,
    parity_preprocessing.checks,
)  # fmt: skip


def cases(paths: list[Path]) -> Iterator[Path]:
    """The files and checkpoint folders that the paths name."""
    for path in paths:
        if path.is_dir() and not ((path / "config.json").is_file() or list(path.glob("*.index"))):
            beside = named_by_cases(path)
            yield from cases(sorted(item for item in path.iterdir() if item.name not in beside))
        elif path.suffix == ".npz" or path.is_dir():
            yield path


def checked(case: Case) -> Iterator[Check]:
    """The checks of the family that knows the case."""
    for checks in FAMILIES:
        found = checks(case)
        if found is not None:
            yield from found
            return
    raise UnknownCaseError(f"{case.path.name}: no family of genbench knows this case yet")


def main() -> int:
    failed = done = 0
    paths = [Path(word) for word in sys.argv[1:]]
    for path in cases(paths):
        before = done
        try:
            for check in checked(open_case(path)):
                done += 1
                failed += not check.passed
                print(f"{path.name} {check}", flush=True)
        except UnknownCaseError as error:
            print(f"skipped: {error}", file=sys.stderr)
        else:
            if done == before:
                print(f"{path.name} holds what other files name: nothing to check")
    compared, wrong = parity_metrics.report(paths)
    done, failed = done + compared, failed + wrong
    print(f"{done - failed} of {done} checks passed")
    return 1 if failed or not done else 0


if __name__ == "__main__":
    sys.exit(main())
