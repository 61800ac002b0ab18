"""Two real processes on one lake at the same time: nothing is lost, nothing is there twice."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from media_assets.tables import MANIFEST, TENSORS_IMAGES
from media_assets_tests.lake import rivals
from media_assets_tests.lake.lakes import lake_at, planned

Run = Callable[..., list[int]]
Job = tuple[Callable[..., int], tuple[Any, ...]]


@pytest.fixture(scope="module")
def both() -> Iterator[Callable[[Job, Job], list[int]]]:
    """Runs two jobs in two processes."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    with ProcessPoolExecutor(2, context, initializer=rivals.join, initargs=(barrier,)) as pool:

        def run(*jobs: Job) -> list[int]:
            started = [pool.submit(call, *arguments) for call, arguments in jobs]
            return [future.result(timeout=100) for future in started]

        yield run


def commits(root: Path) -> int:
    """Overwrites in a manifest's log, without the creation of the table."""
    table = lake_at(root).table(MANIFEST)
    assert table is not None
    return sum(1 for entry in table.history() if "media_assets/commit_id" in entry)


def test_no_batch_is_lost_when_two_processes_create_the_table(tmp_path: Path, both: Run) -> None:
    n_lakes = 8
    done = both(
        (rivals.plan_batches, (str(tmp_path), ["a"], ["1", "2"], n_lakes)),
        (rivals.plan_batches, (str(tmp_path), ["b"], ["3"], n_lakes)),
    )
    assert done == [n_lakes, n_lakes]
    for number in range(n_lakes):
        assert planned(lake_at(tmp_path / str(number))) == [("a", "1"), ("a", "2"), ("b", "3")], number


def test_no_batch_is_lost_when_two_processes_write_different_batches(tmp_path: Path, both: Run) -> None:
    ours, theirs = [[f"{side}{number}" for number in range(10)] for side in "ab"]
    both(
        (rivals.plan_batches, (str(tmp_path), ours, ["1", "2"])),
        (rivals.plan_batches, (str(tmp_path), theirs, ["3", "4"])),
    )
    expected = [(batch, key) for batch in ours for key in "12"] + [(batch, key) for batch in theirs for key in "34"]
    assert planned(lake_at(tmp_path / "0")) == sorted(expected)
    assert commits(tmp_path / "0") == 20


def test_one_of_both_stays_whole_when_two_processes_write_the_same_batch(tmp_path: Path, both: Run) -> None:
    batches = ["same"] * 8 + ["new", "newer"]
    both(
        (rivals.plan_batches, (str(tmp_path), batches, ["1", "2"])),
        (rivals.plan_batches, (str(tmp_path), batches, ["3", "4"])),
    )
    rows = planned(lake_at(tmp_path / "0"))
    assert len(rows) == 6
    for batch in set(batches):
        assert [key for found, key in rows if found == batch] in (["1", "2"], ["3", "4"])
    assert commits(tmp_path / "0") == 20, "every acknowledged commit is in the log once"


@pytest.mark.parametrize("rival", [rivals.write_parts, rivals.overwrite_tensors])
def test_rows_are_never_doubled_when_a_part_writer_has_a_rival(
    tmp_path: Path, both: Run, rival: Callable[..., int]
) -> None:
    n_lakes = 6
    both(
        (rivals.write_parts, (str(tmp_path), 0, n_lakes)),
        (rival, (str(tmp_path), 3, n_lakes)),
    )
    for number in range(n_lakes):
        read = lake_at(tmp_path / str(number)).scan(TENSORS_IMAGES).select("frame_id").collect()
        ids = sorted(int(frame_id, 16) for frame_id in read["frame_id"])
        assert ids in ([0, 1, 2], [3, 4, 5]), number
