"""Compare the metrics' arithmetic with golden numbers: python parity_metrics.py FOLDER_OR_JSON...

Prints a line a case, then for each key its largest error as a share of what is allowed, and names
the keys that no module here computes. Exit code 1 when one is off.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import parity_distances
import parity_memorisation
from parity_cases import Check, UnknownCaseError
from parity_metric_cases import MetricCase, open_metric_case

# Each has computed(case): our values of the keys it knows. "KEY (array)" is the largest difference
# from an official array, judged by the tolerance of KEY.
MODULES = (parity_distances, parity_memorisation)


class Compared(NamedTuple):
    """A case: checks of what we compute, errors that are not judged, and keys we do not compute."""

    checks: list[Check]
    unjudged: list[Check]
    missing: list[str]


def compared(case: MetricCase) -> Compared:
    """Every key of a case."""
    ours: dict[str, float] = {}
    for module in MODULES:
        ours |= module.computed(case)
    checks = list(parity_memorisation.array_checks(case))
    unjudged: list[Check] = []
    for key, value in ours.items():
        named = key.removesuffix(" (array)")
        target = 0.0 if named != key else case.values[key]
        allowed = case.tolerances.get(named)
        check = Check(key, abs(value - target), math.inf if allowed is None else allowed)
        judged = allowed is not None and named not in case.unstable
        (checks if judged else unjudged).append(check)
    return Compared(checks, unjudged, [key for key in case.values if key not in ours])


def metric_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The JSON files that the paths name, folders searched."""
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob("*.json"))
        elif path.suffix == ".json":
            yield path


def report(paths: Sequence[Path]) -> tuple[int, int]:
    """Print every case of the files; (checks done, checks failed)."""
    worst: dict[str, float] = {}
    missing: dict[str, None] = {}
    done = failed = 0
    for path in metric_files(paths):
        try:
            case = open_metric_case(path)
        except UnknownCaseError as error:
            print(f"skipped: {error}", file=sys.stderr)
            continue
        found = compared(case)
        missing |= dict.fromkeys(found.missing)
        wrong = [check for check in found.checks if not check.passed]
        done, failed = done + len(found.checks), failed + len(wrong)
        for check in found.checks:
            share = check.error / check.tolerance if check.tolerance else check.error
            worst[check.name] = max(worst.get(check.name, 0.0), share)
        for check in (*wrong, *found.unjudged):
            print(f"{path.name} {check}" + (" (not judged)" if check in found.unjudged else ""))
        for key, why in case.fails.items():
            print(f"{path.name} {key}: the official code fails: {why}")
        named, passed = " and ".join(case.files), len(found.checks) - len(wrong)
        print(
            f"{path.name} with {named}: {passed} of {len(found.checks)} checks passed, "
            f"{len(found.missing)} keys not computed",
            flush=True,
        )
    for key, share in sorted(worst.items(), key=lambda item: -item[1]):
        print(f"{share:9.2g} of the tolerance at most: {key}")
    for key in missing:
        print(f"not computed: {key}")
    return done, failed


def main() -> int:
    done, failed = report([Path(word) for word in sys.argv[1:]])
    print(f"{done - failed} of {done} checks passed")
    return 1 if failed or not done else 0


if __name__ == "__main__":
    sys.exit(main())
