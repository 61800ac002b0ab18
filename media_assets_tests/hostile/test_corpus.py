"""The corpus: the same bytes every time, no large files, and a sample of it through the real path.

The run is one test, since the workers of pytest-xdist would each make their own.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from media_assets.errors import ErrorCode
from media_assets_tests.hostile import bmps, gifs, jpegs, markers, strangers, tiffs
from media_assets_tests.hostile.corpus import corpus, write
from media_assets_tests.hostile.folder_run import MAX_PEAK_BYTES, FolderRun, run_folder
from media_assets_tests.hostile.mutations import mended, mutated
from media_assets_tests.hostile.traces import traces_of
from media_assets_tests.media.pictures import make_png

LOST_WORKER = {"failed/decoder_crashed", "failed/decoder_timeout", "failed/decoder_memory"}


@pytest.mark.slow
@pytest.mark.timeout(400)  # of processes that are bounded themselves; some ten seconds where nobody else is at work
def test_hostile_files_meet_their_fates_and_leave_no_trace(tmp_path: Path) -> None:
    """Every fifth file and all with markers; `python -m media_assets_tests.hostile` takes all."""
    chosen = {name: s for n, (name, s) in enumerate(corpus().items()) if n % 5 == 1 or s.markers}
    ran = run_folder(chosen, tmp_path, max_seconds=180)
    assert len(chosen) > 190
    assert ran.wrong == {}
    assert ran.silent == []
    assert not LOST_WORKER & set(ran.fates.values())
    assert sum(bool(s.markers) for s in chosen.values()) >= 20
    assert ran.traces == []
    assert 2**27 < ran.site.peak_bytes < MAX_PEAK_BYTES
    _notices_what_is_wrong(ran)
    _notices_traces(ran)


def _notices_what_is_wrong(ran: FolderRun) -> None:
    fates = dict(ran.fates)
    good = next(name for name, fate in fates.items() if fate == "accepted")
    lost = next(name for name, fate in fates.items() if fate != "accepted")
    del fates[lost]
    fates[good] = "failed/empty"
    harmed = FolderRun(ran.site, ran.specimens, fates, [])
    assert set(harmed.wrong) == {good, lost}
    assert {lost, f"{good}: no frame"} <= set(harmed.silent)


def _notices_traces(ran: FolderRun) -> None:
    raw_ids = {hashlib.sha256(s.data).hexdigest() for s in ran.specimens.values()}
    batch = traces_of([b"folder.hostile-files.0001"], ran.site, raw_ids)
    assert any(place.startswith("ingest.manifest.batch_id") for place in batch)
    assert any(".db event_logs" in place for place in batch)
    assert any(place.startswith("log.txt") for place in batch)
    assert traces_of([markers.AUTHOR.encode()], ran.site, set()), "raw files hold markers, where they are looked at"
    pictures = traces_of([b"\xff\xd8\xff"], ran.site, raw_ids)
    assert any("a picture in" in place for place in pictures), "the contact sheets are looked at"


def test_the_same_seed_gives_the_same_files() -> None:
    for family in (jpegs, gifs, tiffs, bmps, strangers):
        first, second = (hashlib.sha256() for _ in range(2))
        for digest in (first, second):
            for specimen in family.specimens():
                digest.update(specimen.name.encode() + specimen.data)
                assert specimen.fates
                assert len(specimen.fates) <= 4, "that is any outcome at all"
        assert first.digest() == second.digest()


def test_every_fate_is_one_that_a_status_may_have() -> None:
    codes = {code.value for code in ErrorCode}
    for family in (jpegs, gifs, tiffs, bmps, strangers):
        for specimen in family.specimens():
            assert all(f == "accepted" or f.removeprefix("failed/") in codes for f in specimen.fates)


def test_mutants_are_repeatable_and_sums_are_mended() -> None:
    png = make_png(0, (32, 24))
    first, second = (mutated(png, [b"other"], random.Random(7)) for _ in range(2))
    assert first == second != png
    assert mended(png) == png
    harmed = bytearray(png)
    harmed[20] ^= 1
    assert mended(bytes(harmed)) != bytes(harmed)


def test_specimens_are_written_below_their_folder(tmp_path: Path) -> None:
    some = {s.name: s for s in bmps.specimens()}
    write(some, tmp_path)
    assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()} == set(some)
