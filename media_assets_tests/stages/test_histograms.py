"""Histograms are counted once a batch and add up to what one pass over all tensors gives, whatever happened to them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import example, given
from hypothesis import strategies as st

from media_assets.errors import ContractBroken, TableDamaged
from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.delta import Lake
from media_assets.lake.publications import Publications
from media_assets.media.tensors import TensorSpec
from media_assets.serving.files import open_table
from media_assets.serving.normalization import MeanStd
from media_assets.serving.statistics import measure_statistics
from media_assets.stages import histograms
from media_assets.stages.histograms import Measured, update_histograms
from media_assets.tables import TENSORS_HISTOGRAMS, TENSORS_IMAGES
from media_assets_tests.examples import few
from media_assets_tests.serving.tensor_lakes import (
    PROVENANCE,
    SMALL,
    Sample,
    finish,
    lake_at,
    respecified,
    samples,
    write,
)
from media_assets_tests.serving.test_unfinished import withdraw

OWN = TensorSpec(size=(6, 8), resize_shorter_px=8, dtype="float32", mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
KNOWN: dict[str, MeanStd] = {OWN.name: (OWN.mean, OWN.std)}


def update(lake: Lake, known: dict[str, MeanStd] | None = None) -> Measured:
    return update_histograms(open_table(lake, include_unfinished=False), known, PROVENANCE)


def one_pass(lake: Lake, known: dict[str, MeanStd] | None = None) -> pl.DataFrame:
    """The statistics of the batches that are done, by reading all of their tensors."""
    files = open_table(lake, include_unfinished=False).files
    return measure_statistics(
        lake, sorted({file.batch_id for file in files}), normalizations=known, leave_out=lambda spec, why: None
    )


def of_two_specs(number: int, n_samples: int = 3, seed: int = 0) -> list[Sample]:
    pictures = samples(n_samples, SMALL, f"b.{number:04d}", seed=seed)
    return [*pictures, *respecified(pictures, dtype="float16")]


def remove(lake: Lake, batch_id: str) -> None:
    table = lake.table(TENSORS_IMAGES)
    assert table is not None
    table.delete(f"batch_id = '{batch_id}'")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three done batches, each at two specs."""
    return write(lake_at(tmp_path / "lake"), [sample for number in (1, 2, 3) for sample in of_two_specs(number)])


@pytest.fixture
def at_point() -> Iterator[Callable[[str, int, Callable[[], None]], None]]:
    """Lets something happen when a crash point is reached for the nth time."""

    def watch(point: str, occurrence: int, act: Callable[[], None]) -> None:
        reached: list[str] = []

        def look(name: str) -> None:
            reached.append(name)
            if name == point and reached.count(point) == occurrence:
                act()

        watch_crash_points(look)

    yield watch
    watch_crash_points()


def die() -> None:
    raise KeyboardInterrupt


def test_each_batch_is_read_once_and_the_sum_is_that_of_one_pass(lake: Lake) -> None:
    first = update(lake)
    assert (first.n_measured, first.n_recorded, first.n_rows) == (3, 0, 18)
    assert first.statistics.equals(one_pass(lake))
    version = lake.table(TENSORS_HISTOGRAMS).version()
    again = update(lake)
    assert (again.n_measured, again.n_recorded) == (0, 3)
    assert lake.table(TENSORS_HISTOGRAMS).version() == version, "nothing is written where nothing is new"
    assert again.statistics.equals(first.statistics)
    write(lake, of_two_specs(4))
    after = update(lake)
    assert (after.n_measured, after.n_recorded) == (1, 3)
    assert after.statistics.equals(one_pass(lake))
    assert after.statistics["n_tensors"].to_list() == [12] * 6


def test_a_batch_that_was_made_again_is_measured_anew_and_one_that_is_gone_is_forgotten(lake: Lake) -> None:
    before = update(lake).statistics
    write(lake, of_two_specs(2, seed=7))  # as many tensors as before, and other ones
    remade = update(lake)
    assert (remade.n_measured, remade.n_removed) == (1, 0)
    assert remade.statistics.equals(one_pass(lake))
    assert not remade.statistics.equals(before)
    remove(lake, "b.0003")
    rest = update(lake)
    assert (rest.n_measured, rest.n_removed) == (0, 1)
    assert rest.statistics.equals(one_pass(lake))
    assert lake.partition_values(TENSORS_HISTOGRAMS) == ["b.0001", "b.0002"]


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["make", "remove", "withdraw", "finish", "measure"]), st.integers(1, 3), st.integers(1, 4)
    ),
    min_size=1,
    max_size=5,
)


def act(lake: Lake, step: Step) -> None:
    """Something that happens to one batch; `amount` is its number of samples, and what they show."""
    what, number, amount = step
    batch_id = f"b.{number:04d}"
    if what == "make":
        write(lake, of_two_specs(number, amount, seed=amount))
    elif what == "remove":
        remove(lake, batch_id)
    elif what == "withdraw":
        withdraw(lake, batch_id)
    elif what == "finish":
        finish(lake, batch_id)
    else:
        update(lake)


@few(5)
@given(STEPS)
@example([("measure", 1, 1), ("make", 1, 2), ("measure", 1, 1), ("make", 1, 3)])
@example([("make", 2, 2), ("measure", 1, 1), ("remove", 2, 1), ("measure", 1, 1), ("make", 2, 2), ("withdraw", 1, 1)])
def test_any_history_of_batches_ends_in_the_statistics_of_one_pass(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = write(lake_at(Path(folder)), of_two_specs(1))
        for step in steps:
            act(lake, step)
        assert update(lake).statistics.equals(one_pass(lake))
        assert update(lake).n_measured == 0


def test_a_first_pass_that_is_killed_keeps_what_it_measured(
    lake: Lake, at_point: Callable[[str, int, Callable[[], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histograms, "_N_BATCHES_WRITTEN", 1)
    at_point("before tensors/histograms", 3, die)
    with pytest.raises(KeyboardInterrupt):
        update(lake)
    watch_crash_points()
    rest = update(lake)
    assert (rest.n_measured, rest.n_recorded) == (1, 2)
    assert rest.statistics.equals(one_pass(lake))


def test_a_large_batch_is_committed_alone(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histograms, "_WRITTEN_BYTES", 1)
    lake.ensure(TENSORS_HISTOGRAMS)
    assert update(lake).statistics.equals(one_pass(lake))
    assert lake.table(TENSORS_HISTOGRAMS).version() == 3


def test_batches_that_are_not_done_are_left_out_until_they_are(lake: Lake) -> None:
    update(lake)
    withdraw(lake, "b.0002")
    with Publications.of(lake.location).under_way("b.0003", ["tensors.images"]):
        write(lake, of_two_specs(3, seed=9))
        table = open_table(lake, include_unfinished=False)
        part = update_histograms(table, None, PROVENANCE)
        assert table.left_out.summary().startswith("2 of 3 batches with tensors are not done: 1 without a status")
        assert part.statistics.equals(measure_statistics(lake, ["b.0001"]))
        assert (part.n_measured, part.n_removed) == (0, 0)
    finish(lake, "b.0002")
    whole = update(lake)
    assert (whole.n_measured, whole.n_recorded) == (1, 2), "what was recorded of b.0002 is of the same files"
    assert whole.statistics.equals(measure_statistics(lake))


def test_a_batch_that_is_made_again_while_it_is_measured_is_measured_by_the_next_run(
    lake: Lake, at_point: Callable[[str, int, Callable[[], None]], None]
) -> None:
    as_it_was = measure_statistics(lake)
    at_point("before tensors/histograms", 1, lambda: [write(lake, of_two_specs(2, seed=7)), update(lake)])
    assert update(lake).statistics.equals(as_it_was), "one version of the table, whatever came since"
    watch_crash_points()
    after = update(lake)
    assert after.n_measured == 1, "the slower run put back what was counted of older files"
    assert after.statistics.equals(one_pass(lake))


@pytest.mark.parametrize(
    "harm",
    [
        lambda table: table.delete("spec LIKE '%float16%' AND batch_id = 'b.0002'"),
        lambda table: table.delete("channel = 1 AND batch_id = 'b.0002'"),
        lambda table: table.update({"n_tensors": "n_tensors + 1"}, predicate="batch_id = 'b.0002'"),
        lambda table: table.update({"digest": "'0000000000000000'"}, predicate="channel = 2 AND batch_id = 'b.0002'"),
        lambda table: table.update({"channel": "2 - channel"}, predicate="batch_id = 'b.0002'"),
    ],
    ids=["a spec is gone", "a channel is gone", "a count is another", "a digest is another", "channels are swapped"],
)
def test_rows_that_were_changed_are_not_believed(lake: Lake, harm: Callable[[DeltaTable], object]) -> None:
    update(lake)
    harm(lake.table(TENSORS_HISTOGRAMS))
    mended = update(lake)
    assert (mended.n_measured, mended.n_recorded) == (1, 2)
    assert mended.statistics.equals(one_pass(lake))
    assert update(lake).n_measured == 0


def test_a_damaged_table_is_refused_and_counted_again_once_it_is_moved_away(lake: Lake) -> None:
    whole = update(lake).statistics
    root = Path(lake.uri(TENSORS_HISTOGRAMS))
    file = next(root.glob("batch_id=b.0002/*.parquet"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(TableDamaged, match=r"^tensors/histograms: .*rebuild it: `media-assets materialize`"):
        update(lake)
    shutil.rmtree(root)
    rebuilt = update(lake)
    assert rebuilt.n_measured == 3
    assert rebuilt.statistics.equals(whole)


def test_floats_are_counted_once_their_normalization_is_known_and_told_at_each_run_until_then(lake: Lake) -> None:
    write(lake, samples(3, OWN, "b.0004"))
    for n_measured in (4, 0):
        without = update(lake)
        assert without.n_measured == n_measured
        assert without.statistics.equals(one_pass(lake))
        assert list(without.left_out) == [OWN.name]
        assert OWN.name in without.left_out[OWN.name]
    counted = update(lake, KNOWN)
    assert (counted.n_measured, counted.left_out) == (1, {})
    assert counted.statistics.equals(one_pass(lake, KNOWN))
    assert OWN.name in counted.statistics["spec"].to_list()
    wider = {OWN.name: (OWN.mean, (0.501, 0.6, 0.7))}
    assert update(lake, wider).n_measured == 1, "the same files, undone with other numbers"
    assert update(lake, wider).n_measured == 0


def test_a_spec_stored_in_two_ways_is_refused_whether_it_is_recorded_or_not(lake: Lake) -> None:
    update(lake)
    row = {**samples(1, SMALL, "b.0004")[0].row, "scale": 1.0}
    lake.overwrite(TENSORS_IMAGES, TENSORS_IMAGES.frame([row]), {"batch_id": ["b.0004"]}, PROVENANCE)
    finish(lake, "b.0004")
    told = []
    for _ in range(2):
        with pytest.raises(ContractBroken, match="2 ways") as refused:
            update(lake)
        told.append(str(refused.value))
    assert told[0] == told[1]
    write(lake, samples(1, SMALL, "b.0004"))
    assert update(lake).statistics.equals(one_pass(lake))
