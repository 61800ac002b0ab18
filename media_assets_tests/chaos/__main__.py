"""`make chaos`: every drill, or those named; progress on stderr, one JSON document on stdout.

    python -m media_assets_tests.chaos [--drill NAME]... [--seed N] [--small] [--store] [--fuzz-seconds N]
        [--output FILE] [--directory FOLDER]

All drills at full size leave their result in `benchmarks/results/chaos-DATE.json`. Everything runs on 127.0.0.1 below
one working folder; the number of faults and the time of every process are bounded, and a seed repeats the choices.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from media_assets_tests.chaos.result import Options, Result, say

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
DRILLS = (
    "download",
    "kills",
    "storage",
    "rivals",
    "disk-full",
    "clock",
    "damaged-log",
    "hostile",
    "fuzz",
    "arrivals",
    "labels",
)


def main() -> int:
    """Run the drills; 0 when every promise held."""
    arguments = _arguments()
    names = tuple(arguments.drill or DRILLS)
    known = {name: getattr(arguments, name) for name in Options.__dataclass_fields__}
    document = _document([_run(name, Options(**known), arguments.directory) for name in names], arguments)
    text = json.dumps(document, indent=2) + "\n"
    output = arguments.output
    if output is None and names == DRILLS and not arguments.small:
        output = RESULTS / f"chaos-{datetime.now(UTC):%Y-%m-%d}.json"
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)
    sys.stdout.write(text)
    return 0 if document["summary"]["held"] else 1


def _run(name: str, options: Options, directory: Path | None) -> Result:
    """One drill in a folder of its own. One that breaks off held nothing."""
    say(f"{name}: begins")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"chaos-{name}-", dir=directory, ignore_cleanup_errors=True) as folder:
        try:
            result: Result = import_module(f"media_assets_tests.chaos.{name.replace('-', '_')}").run(
                Path(folder), options
            )
        except Exception:
            told = traceback.format_exc()
            say(f"{name}: broke off\n{told}")
            result = Result(name, options.seed, held={"the drill came to its end": False}, broken=[told[-2000:]])
    result.seconds = time.monotonic() - started
    verdict = "skipped" if result.skipped else "held" if result.is_held else "BROKEN"
    say(f"{name}: {verdict}; {result.kills} kills, {result.faults} faults, {result.lost} lost, {result.twice} twice")
    return result


def _document(results: list[Result], arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _command(arguments),
        "machine": machine(),
        "seed": arguments.seed,
        "summary": {
            "drills": len(results),
            "skipped": [result.drill for result in results if result.skipped is not None],
            "kills": sum(result.kills for result in results),
            "faults": sum(result.faults for result in results),
            "lost": sum(result.lost for result in results),
            "twice": sum(result.twice for result in results),
            "seconds": round(sum(result.seconds for result in results), 1),
            **{result.drill: result.figures for result in results if result.figures},
            "held": all(result.is_held for result in results),
        },
        "drills": {result.drill: result.document() for result in results},
    }


def _command(arguments: argparse.Namespace) -> str:
    """What says the same on any machine: where its folder lay is left out."""
    drills = [word for drill in arguments.drill or () for word in ("--drill", drill)]
    small = [f"--{flag}" for flag in ("small", "store") if getattr(arguments, flag)]
    fuzzing = (
        [] if arguments.fuzz_seconds == Options.fuzz_seconds else ["--fuzz-seconds", f"{arguments.fuzz_seconds:g}"]
    )
    words = [*drills, *small, *fuzzing, "--seed", str(arguments.seed)]
    return " ".join(["python -m media_assets_tests.chaos", *words])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m media_assets_tests.chaos", description=__doc__)
    parser.add_argument("--drill", action="append", choices=DRILLS, help="only this one; may be given again")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="sizes of seconds, to try the drills themselves")
    parser.add_argument("--store", action="store_true", help="the drill arrivals: inbox and lake on SeaweedFS")
    parser.add_argument("--output", type=Path, help="where the JSON is left")
    parser.add_argument("--directory", type=Path, help="where working folders are made; default: the system's")
    parser.add_argument("--fuzz-seconds", type=float, default=Options.fuzz_seconds, help="for the drill fuzz")
    of_download = parser.add_argument_group("download")
    of_download.add_argument("--images", type=int, default=10_000)
    of_download.add_argument("--bad", type=int, default=30)
    of_download.add_argument("--batch-size", type=int, default=5_000)
    of_download.add_argument("--kills", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
