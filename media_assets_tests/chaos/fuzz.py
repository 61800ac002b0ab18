"""`fuzz`: everything with an invariant, for as long as asked, by a seed (`make hostile` runs it alone)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from media_assets_tests.chaos.result import Options, Result
from media_assets_tests.hostile.fuzz import fuzz

SMALL_SECONDS = 8.0


def run(folder: Path, options: Options) -> Result:
    """Pictures in the sandbox, URLs, lists and properties; what was found outlives the drill's own folder."""
    result = Result("fuzz", options.seed)
    seconds = min(options.fuzz_seconds, SMALL_SECONDS) if options.small else options.fuzz_seconds
    kept = Path(tempfile.mkdtemp(prefix="media-assets-fuzz-"))
    found = fuzz(seconds, options.seed, kept)
    for name, target in found["targets"].items():
        case = f"{name}: {target['details']}"
        result.promise("no outcome is outside of the closed set", holds=not target["outside"], case=case)
    result.promise("every target was tried", holds=all(t["executions"] for t in found["targets"].values()))
    if not found["outside"]:
        kept.rmdir()
    result.figures = {"seconds": found["seconds"], "examples": found["executions"], "crashes": found["outside"]}
    result.detail = {
        "targets": {name: [target["executions"], target["outside"]] for name, target in found["targets"].items()}
    }
    return result
