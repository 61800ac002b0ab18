"""`make mutants`: break one promise after the other in a copy of the source; a named test must go red each time.

    python -m media_assets_tests.mutants [--only NAME]... [--list] [--limit SECONDS] [--output FILE]

Progress on stderr, one JSON document on stdout; run whole, it is left in `benchmarks/results/mutants-DATE.json`. The
checkout is never written to: what git tracks is copied to a temporary folder, and broken there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from media_assets_tests.mutants.copied_tree import CopiedTree, copy_tracked
from media_assets_tests.mutants.mutation import Mutation, mutations
from media_assets_tests.mutants.trial import LIMIT_SECONDS, Trial, Verdict, run_tests, try_mutation

CHECKOUT = Path(__file__).resolve().parents[2]
RESULTS = CHECKOUT / "benchmarks" / "results"


def main() -> int:
    """Try the mutations; 0 when every one turned its test red."""
    known = {mutation.name: mutation for mutation in mutations()}
    arguments = _arguments(sorted(known))
    if arguments.list:
        for mutation in known.values():
            print(f"{mutation.name}\t{mutation.promise}\t{mutation.test}")
        return 0
    chosen = [known[name] for name in arguments.only or known]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        tree = copy_tracked(CHECKOUT, Path(folder))
        tree.require_imported()
        trials = list(try_all(tree, chosen, arguments.limit))
    document = _document(trials, time.monotonic() - started, arguments)
    text = json.dumps(document, indent=2) + "\n"
    output = arguments.output
    if output is None and not arguments.only:
        output = RESULTS / f"mutants-{datetime.now(UTC):%Y-%m-%d}.json"
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)
    sys.stdout.write(text)
    return 0 if all(trial.is_red for trial in trials) else 1


def try_all(tree: CopiedTree, chosen: Sequence[Mutation], limit_seconds: float) -> Iterator[Trial]:
    """The named tests without any mutation, then one mutation after the other. A test red before proves nothing."""
    tests = sorted({mutation.test for mutation in chosen})
    _say(f"{len(tests)} tests without a mutation")
    before = run_tests(tree, tests, limit_seconds)
    for number, mutation in enumerate(chosen, start=1):
        if (why := before.why_not_green(mutation.test)) is not None:
            trial = Trial(mutation, Verdict.BROKEN, 0.0, why)
        else:
            trial = try_mutation(tree, mutation, limit_seconds)
        told = "" if trial.verdict is Verdict.RED else f"\n    {mutation.test}\n    {trial.told}"
        _say(f"{number}/{len(chosen)} {mutation.name}: {trial.verdict}, {trial.seconds:g} s{told}")
        yield trial


def _document(trials: Sequence[Trial], seconds: float, arguments: argparse.Namespace) -> dict[str, Any]:
    counts = Counter(trial.verdict for trial in trials)
    only = [word for name in arguments.only or () for word in ("--only", name)]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m media_assets_tests.mutants", *only]),
        "machine": machine(),
        "summary": {
            "mutations": len(trials),
            **{verdict.value: counts[verdict] for verdict in Verdict},
            "seconds": round(seconds, 1),
        },
        "mutations": [_trial_document(trial) for trial in trials],
    }


def _trial_document(trial: Trial) -> dict[str, Any]:
    mutation = trial.mutation
    document: dict[str, Any] = {
        "name": mutation.name,
        "promise": mutation.promise,
        "file": mutation.file,
        "test": mutation.test,
        "verdict": trial.verdict.value,
        "seconds": trial.seconds,
    }
    return document if trial.verdict in (Verdict.RED, Verdict.SURVIVED) else document | {"told": trial.told}


def _arguments(names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m media_assets_tests.mutants", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the mutations, their promises and tests, and stop")
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help="seconds until a test counts as hanging")
    parser.add_argument("--output", type=Path, help="where the JSON is left")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
