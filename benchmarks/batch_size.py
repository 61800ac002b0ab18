"""Peak memory, CPU and time of one batch of 2,000 and one of 10,000 images: memory must not grow with the batch.

The whole `media-assets materialize` process is measured, Dagster and decoding workers included, against a server on
loopback in another process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.process_tree import ProcessTree
from benchmarks.result_files import RESULTS, keep
from benchmarks.site import MAX_SECONDS, Site
from media_assets.demo.corpus import write_large_corpus
from media_assets.demo.server import SampleServer


def measure(sizes: list[int], directory: Path | None) -> dict[str, Any]:
    """One batch of each size, each in a fresh lake and a fresh process."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="media-assets-bench-", dir=directory) as folder:
        for n in sizes:
            corpus = write_large_corpus(Path(folder) / f"corpus-{n}", n, n_bad=0)
            site = Site(Path(folder) / f"site-{n}")
            with SampleServer(corpus.root) as server:
                site.plan(corpus, server, n)
                started = time.monotonic()
                process = site.start("materialize")
                with ProcessTree(process.pid) as tree:
                    code = process.wait(timeout=MAX_SECONDS)
                seconds = time.monotonic() - started
            if code != 0:
                raise SystemExit(f"materialize exited with {code}")
            accepted = sum(fate == "accepted" for fate in site.verdicts().values())
            rows.append(
                {
                    "job": "media-assets",
                    "n": n,
                    "accepted": accepted,
                    "images_per_s": round(n / seconds, 1),
                    "cpu_s_per_1000": round(tree.cpu_seconds / n * 1000, 2),
                    "peak_mb": round(tree.peak_bytes / 1e6),
                    "seconds": round(seconds, 1),
                }
            )
            print(rows[-1], flush=True)
    return {
        "machine": machine(),
        "command": f"python -m benchmarks.batch_size --sizes {' '.join(map(str, sizes))}",
        "images": "512x384 JPEG, about 57 KB each",
        "rows": rows,
        "peak_ratio": round(rows[-1]["peak_mb"] / rows[0]["peak_mb"], 3),
    }


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch_size", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 10_000])
    parser.add_argument("--directory", type=Path, help="where the working folder is made; default: the system's")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the result is written")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and keep the result."""
    options = arguments(words)
    keep("batch-size", measure(options.sizes, options.directory), options.results)


if __name__ == "__main__":
    main()
