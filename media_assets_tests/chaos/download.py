"""`download`: thousands of served images, a run killed on the way, resumed, compared, mended and replayed."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.site import Site
from media_assets.demo.corpus import Corpus, write_large_corpus
from media_assets.demo.server import SampleServer
from media_assets.lake.blobs import BlobStore
from media_assets_tests.chaos.result import Options, Result, say
from media_assets_tests.equality import missing_blobs, tables_of


def run(folder: Path, options: Options) -> Result:
    """One unharmed run, one that is killed and resumed, their comparison, and a replay after mending."""
    result = Result("download", options.seed)
    draw = random.Random(options.seed)
    n_images, n_bad = (300, 20) if options.small else (options.images, options.bad)
    corpus = write_large_corpus(folder / "corpus", n_images, n_bad, options.seed)
    clean, harmed = Site(folder / "clean"), Site(folder / "harmed")
    with SampleServer(corpus.root) as server:
        clean.plan(corpus, server, options.batch_size)
        clean_seconds = clean.run("materialize")
        say(f"download: {corpus.n_images} images unharmed in {clean_seconds:.0f} s")
        server.counts.hits.clear()
        server.counts.served.clear()

        harmed.plan(corpus, server, options.batch_size)
        kills = []
        for _ in range(options.kills):
            seconds = draw.uniform(0.25, 0.75) * clean_seconds / (options.kills + 1) + 5
            kills.append({"after_s": round(seconds, 1), "hit": harmed.run_and_kill(seconds, "materialize")})
        result.kills = result.faults = sum(kill["hit"] for kill in kills)
        harmed_seconds = harmed.run("materialize")
        say(f"download: resumed after {result.kills} kills in {harmed_seconds:.0f} s")
        downloads = Counter(server.n_downloads(image_id) for image_id in corpus.image_ids)
        _compare(corpus, clean, harmed, downloads, options.kills, result)
        server.mend()
        for site in (clean, harmed):
            site.run("dead-letters", "replay")
        verdicts = harmed.verdicts()
        result.held["a replay after mending touches what failed"] = all(
            verdicts[i] == fate for i, fate in corpus.expected_after_mending.items()
        )
        result.held["after the replay both are equal"] = tables_of(clean.lake) == tables_of(harmed.lake)
    result.detail = {
        "images": corpus.n_images,
        "bad": len(corpus.expected),
        "batch_size": options.batch_size,
        "killed": kills,
        "clean_seconds": round(clean_seconds, 1),
        "resumed_seconds": round(harmed_seconds, 1),
        "downloads": {str(n): count for n, count in sorted(downloads.items())},
        "dead_letters_left": sum(v.startswith("failed") for v in verdicts.values()),
    }
    return result


def _compare(corpus: Corpus, clean: Site, harmed: Site, downloads: Counter[int], n_kills: int, result: Result) -> None:
    want, got = tables_of(clean.lake), tables_of(harmed.lake)
    for name, rows in want.items():
        result.lost += (Counter(map(repr, rows)) - Counter(map(repr, got[name]))).total()
        result.twice += sum(n - 1 for n in Counter(map(repr, got[name])).values())
    verdicts = harmed.verdicts()
    n_odd = sum(fate != "accepted" for fate in corpus.expected.values())
    n_statuses = len(got["ingest.item_status"]) - _later(got)
    result.held |= {
        "every item has one status": len(verdicts) == corpus.n_images == n_statuses,
        "tables equal those of the unharmed run": got == want,
        "every odd image met its fate": all(verdicts[i] == fate for i, fate in corpus.expected.items()),
        "all others were accepted": sum(v == "accepted" for v in verdicts.values()) == corpus.n_images - n_odd,
        "every blob is whole": not missing_blobs(harmed.lake, BlobStore.at(harmed.lake.location)),
        # What was in flight at a kill may be asked for again, and nothing else.
        "stored bytes were not downloaded again": sum(n * c for n, c in downloads.items() if n > 1) - downloads[2]
        <= n_kills * 64,
    }


def _later(tables: dict[str, list[tuple[Any, ...]]]) -> int:
    """Status rows of the stages after raw/media."""
    return sum(row[0] != "raw.media" for row in tables["ingest.item_status"])
