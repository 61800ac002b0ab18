"""`make chaos`: plan and materialize served images, `kill -9` on the way, resume, compare, mend, replay.

Prints one JSON document and leaves it in `benchmarks/results/chaos-DATE.json`. Everything runs on 127.0.0.1 below one
working folder; the number of kills and the time of every process are bounded.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.site import Site
from media_assets.demo.corpus import write_large_corpus
from media_assets.demo.server import SampleServer
from media_assets.lake.blobs import BlobStore
from media_assets_tests.equality import missing_blobs, tables_of

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def main() -> int:
    """Run the drill; 0 when every promise held."""
    options = _options()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory(prefix="media-assets-chaos-", dir=options.directory) as folder:
        result = drill(Path(folder), options)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"chaos-{datetime.now(UTC):%Y-%m-%d}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0 if all(result["held"].values()) else 1


def drill(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One unharmed run, one that is killed and resumed, their comparison, and a replay after mending."""
    corpus = write_large_corpus(folder / "corpus", options.images, options.bad, options.seed)
    clean, harmed = Site(folder / "clean"), Site(folder / "harmed")
    with SampleServer(corpus.root) as server:
        clean.plan(corpus, server, options.batch_size)
        clean_seconds = clean.run("materialize")
        server.counts.hits.clear()
        server.counts.served.clear()

        harmed.plan(corpus, server, options.batch_size)
        kills = []
        for _ in range(options.kills):
            seconds = random.uniform(0.25, 0.75) * clean_seconds / (options.kills + 1) + 5
            kills.append({"after_s": round(seconds, 1), "hit": harmed.run_and_kill(seconds, "materialize")})
        harmed_seconds = harmed.run("materialize")
        want, got = tables_of(clean.lake), tables_of(harmed.lake)
        downloads = Counter(server.n_downloads(image_id) for image_id in corpus.image_ids)
        verdicts = harmed.verdicts()
        held = {
            "every item has one status": len(verdicts)
            == corpus.n_images
            == len(got["ingest.item_status"]) - _later(got),
            "tables equal those of the unharmed run": got == want,
            "every odd image met its fate": all(verdicts[i] == fate for i, fate in corpus.expected.items()),
            "all others were accepted": sum(v == "accepted" for v in verdicts.values())
            == corpus.n_images - sum(fate != "accepted" for fate in corpus.expected.values()),
            "every blob is whole": not missing_blobs(harmed.lake, BlobStore.at(harmed.lake.location)),
            # What was in flight at a kill may be asked for again, and nothing else.
            "stored bytes were not downloaded again": sum(n * c for n, c in downloads.items() if n > 1) - downloads[2]
            <= options.kills * 64,
        }
        server.mend()
        for site in (clean, harmed):
            site.run("dead-letters", "replay")
        verdicts = harmed.verdicts()
        held["a replay after mending touches what failed"] = all(
            verdicts[i] == fate for i, fate in corpus.expected_after_mending.items()
        )
        held["after the replay both are equal"] = tables_of(clean.lake) == tables_of(harmed.lake)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "make chaos",
        "machine": machine(),
        "seed": options.seed,
        "images": corpus.n_images,
        "bad": len(corpus.expected),
        "batch_size": options.batch_size,
        "kills": kills,
        "clean_seconds": round(clean_seconds, 1),
        "resumed_seconds": round(harmed_seconds, 1),
        "downloads": {str(n): count for n, count in sorted(downloads.items())},
        "dead_letters_left": sum(v.startswith("failed") for v in verdicts.values()),
        "held": held,
    }


def _later(tables: dict[str, list[tuple[Any, ...]]]) -> int:
    """Status rows of the stages after raw/media."""
    return sum(row[0] != "raw.media" for row in tables["ingest.item_status"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m media_assets_tests.chaos", description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--bad", type=int, default=30)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="where the working folder is made; default: the system's")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
