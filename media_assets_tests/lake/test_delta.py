"""Replacing batches, reading them back, and commits that fail, conflict, or succeed without saying so."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from hypothesis import given
from hypothesis import strategies as st

from media_assets.errors import ContractBroken, TableDamaged
from media_assets.lake.delta import Lake, Provenance, Rewritten
from media_assets.tables import (
    ITEM_STATUS,
    MANIFEST,
    RAW_MEDIA,
    TENSORS_STATISTICS,
    TableContract,
)
from media_assets_tests.examples import few
from media_assets_tests.lake.lakes import US, files_of, lake_at, manifest, plan, planned
from media_assets_tests.tables.rows import numbered, valid


def test_a_table_that_does_not_exist_has_no_rows(lake: Lake) -> None:
    read = lake.scan(RAW_MEDIA, {"batch_id": ["a"]}).collect()
    assert (read.schema, read.height) == (RAW_MEDIA.schema, 0)
    assert lake.table(RAW_MEDIA) is None
    assert lake.partition_values(RAW_MEDIA) == []
    assert not Path(lake.uri(RAW_MEDIA)).exists(), "reading creates nothing"


def test_the_second_overwrite_changes_nothing_when_it_is_the_same(lake: Lake) -> None:
    plan(lake, "a", ["1", "2"])
    plan(lake, "b", ["3"])
    before = planned(lake)
    plan(lake, "a", ["1", "2"])
    assert planned(lake) == before == [("a", "1"), ("a", "2"), ("b", "3")]


def test_exactly_the_batch_is_replaced(lake: Lake) -> None:
    for batch in ("a", "ab", "b"):
        plan(lake, batch, ["1", "2", "3"])
    plan(lake, "a", ["9"])
    assert [row for row in planned(lake) if row[0] == "a"] == [("a", "9")]
    assert [row for row in planned(lake) if row[0] != "a"] == [(b, k) for b in ("ab", "b") for k in "123"]


def test_an_empty_frame_clears_its_batch_only(lake: Lake) -> None:
    plan(lake, "a", ["1"])
    plan(lake, "b", ["2"])
    plan(lake, "a", [])
    assert planned(lake) == [("b", "2")]
    assert lake.partition_values(MANIFEST) == ["b"]


def test_several_columns_cover_the_cross_product(lake: Lake) -> None:
    everything = [
        valid(ITEM_STATUS, stage=stage, batch_id=batch, message="old") for stage in "xyz" for batch in ("a", "b", "c")
    ]
    lake.overwrite(ITEM_STATUS, ITEM_STATUS.frame(everything), {}, US)
    new = [valid(ITEM_STATUS, stage="x", batch_id="a", message="new")]
    lake.overwrite(ITEM_STATUS, ITEM_STATUS.frame(new), {"stage": ["x", "y"], "batch_id": ["a", "b"]}, US)
    left = lake.scan(ITEM_STATUS).select("stage", "batch_id", "message").collect().rows()
    cleared = {(stage, batch) for stage in "xy" for batch in "ab"}
    kept = [(s, b, "old") for s in "xyz" for b in "abc" if (s, b) not in cleared]
    assert sorted(left) == sorted([*kept, ("x", "a", "new")])


def test_an_empty_where_replaces_the_whole_table(lake: Lake) -> None:
    lake.overwrite(TENSORS_STATISTICS, TENSORS_STATISTICS.frame(numbered(TENSORS_STATISTICS, 3)), {}, US)
    lake.overwrite(TENSORS_STATISTICS, TENSORS_STATISTICS.frame(numbered(TENSORS_STATISTICS, 1)), {}, US)
    assert lake.scan(TENSORS_STATISTICS).collect().height == 1


def test_a_column_without_values_means_no_row(lake: Lake) -> None:
    plan(lake, "a", ["1"])
    lake.overwrite(MANIFEST, MANIFEST.frame([]), {"batch_id": []}, US)
    assert planned(lake) == [("a", "1")]
    assert lake.scan(MANIFEST, {"batch_id": []}).collect().is_empty()


@pytest.mark.parametrize("stage", ["it's", "'", "''", "a' OR '1'='1", 'say "x"', "a\\'b", "50%/x y", "ü", "a;--"])
def test_values_may_hold_quotes(lake: Lake, stage: str) -> None:
    for value in (stage, "other"):
        for n_rows in (2, 1):
            rows = numbered(ITEM_STATUS, n_rows, stage=value)
            where = {"stage": [value], "batch_id": [rows[0]["batch_id"]]}
            lake.overwrite(ITEM_STATUS, ITEM_STATUS.frame(rows), where, US)
    found = lake.scan(ITEM_STATUS, {"stage": [stage]}).select("stage", "item_key").collect().rows()
    assert found == [(stage, "0.jpg")]
    assert lake.scan(ITEM_STATUS).collect().height == 2


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (manifest("a", ["1"], kind="song"), "kind"),
        (manifest("a", ["1", "1"]), "key is unique"),
        (manifest("b", ["1"]), r"batch_id in \['a'\], got \['b'\]"),
    ],
)
def test_nothing_is_written_when_rows_break_the_contract(lake: Lake, rows: list[dict[str, object]], told: str) -> None:
    plan(lake, "a", ["kept"])
    with pytest.raises(ContractBroken, match=told):
        lake.overwrite(MANIFEST, MANIFEST.frame(rows), {"batch_id": ["a"]}, US)
    assert planned(lake) == [("a", "kept")]


def test_a_lazy_frame_is_not_written(lake: Lake) -> None:
    with pytest.raises(TypeError, match="collect"):
        lake.overwrite(MANIFEST, MANIFEST.frame(manifest("a", ["1"])).lazy(), {"batch_id": ["a"]}, US)  # type: ignore[arg-type]
    assert lake.table(MANIFEST) is None


def test_only_the_files_of_the_batch_are_read(lake: Lake) -> None:
    """The other batches' files are gone from the disk, and nobody notices."""
    for batch in ("a", "b", "c"):
        plan(lake, batch, ["1"])
    for file in files_of(lake, MANIFEST):
        if "batch_id=c" in str(file):
            file.unlink()
    assert lake.scan(MANIFEST, {"batch_id": ["a"]}).collect().height == 1
    assert lake.scan(MANIFEST, {"batch_id": ["a", "b"]}).select("uri").collect().height == 2
    with pytest.raises(TableDamaged, match=r"ingest/manifest: .* its file batch_id=c/.* is missing"):
        lake.scan(MANIFEST)


def test_earlier_versions_can_be_read(lake: Lake) -> None:
    plan(lake, "a", ["1"])
    table = lake.table(MANIFEST)
    assert table is not None
    version = table.version()
    plan(lake, "a", ["2"])
    plan(lake, "b", ["3"])
    assert lake.scan(MANIFEST, version=version).select("item_key").collect().to_series().to_list() == ["1"]
    assert lake.scan(MANIFEST, {"batch_id": ["b"]}, version=version).collect().is_empty()
    with pytest.raises(DeltaError):
        lake.scan(MANIFEST, version=99)


def test_partition_values_come_from_the_log_sorted(lake: Lake) -> None:
    for batch in ("b", "a", "c"):
        plan(lake, batch, ["1"])
    plan(lake, "b", [])
    for file in files_of(lake, MANIFEST):
        file.unlink()
    assert lake.partition_values(MANIFEST) == ["a", "c"]


def test_who_committed_is_in_the_log(lake: Lake) -> None:
    plan(lake, "a", ["1"])
    table = lake.table(MANIFEST)
    assert table is not None
    entry = table.history(1)[0]
    assert (entry["media_assets/run_id"], entry["media_assets/code_version"]) == ("run-1", "1.0")


# --- commits ---


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits between attempts are counted, not slept."""
    counted: list[float] = []
    monkeypatch.setattr(time, "sleep", counted.append)
    return counted


def appending(n_failures: int, commits: bool) -> tuple[list[int], Callable[[DeltaTable, str], None]]:
    """A write that reports a failed commit some times, having committed or not; and how often it was called."""
    versions: list[int] = []

    def write(table: DeltaTable, commit_id: str) -> None:
        versions.append(table.version())
        properties = CommitProperties(custom_metadata=US.commit_metadata(commit_id))
        fails = len(versions) <= n_failures
        if commits or not fails:
            frame = MANIFEST.frame(manifest("a", [str(len(versions))]))
            write_deltalake(table, frame, mode="append", commit_properties=properties)
        if fails:
            raise CommitFailedError("the connection broke off")

    return versions, write


def test_a_commit_is_not_repeated_when_it_succeeded_and_reported_an_error(lake: Lake, waits: list[float]) -> None:
    calls, write = appending(n_failures=1, commits=True)
    lake.commit(MANIFEST, write)
    assert len(calls) == 1
    assert planned(lake) == [("a", "1")]


def test_a_commit_of_another_run_is_not_taken_for_our_own(lake: Lake, waits: list[float]) -> None:
    plan(lake, "b", ["theirs"])
    calls, write = appending(n_failures=1, commits=False)
    lake.commit(MANIFEST, write)
    assert len(calls) == 2
    assert planned(lake) == [("a", "2"), ("b", "theirs")]


def test_a_conflict_is_tried_again_on_the_table_as_it_is_then(lake: Lake, waits: list[float]) -> None:
    calls: list[int] = []

    def write(table: DeltaTable, commit_id: str) -> None:
        calls.append(table.version())
        if len(calls) <= 3:
            plan(lake, "rival", [str(len(calls))])
            raise CommitFailedError("a rival was first")

    lake.commit(MANIFEST, write)
    assert calls == [0, 1, 2, 3]
    assert len(waits) == 3


def test_a_write_gives_up_after_twelve_rounds(lake: Lake, waits: list[float]) -> None:
    calls, write = appending(n_failures=99, commits=False)
    with pytest.raises(CommitFailedError, match="broke off"):
        lake.commit(MANIFEST, write)
    assert len(calls) == 12
    assert max(waits) <= 0.05 * 2**6


def test_the_last_round_counts_when_it_committed_and_reported_an_error(lake: Lake, waits: list[float]) -> None:
    calls: list[int] = []

    def write(table: DeltaTable, commit_id: str) -> None:
        calls.append(table.version())
        if len(calls) == 12:
            appending(n_failures=1, commits=True)[1](table, commit_id)
        raise CommitFailedError("a rival was first")

    lake.commit(MANIFEST, write)
    assert planned(lake) == [("a", "1")]


def test_other_errors_are_not_tried_again(lake: Lake, waits: list[float]) -> None:
    calls: list[int] = []

    def write(table: DeltaTable, commit_id: str) -> None:
        calls.append(1)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        lake.commit(MANIFEST, write)
    assert (len(calls), waits) == (1, [])


def test_an_overwrite_that_lost_the_race_replaces_what_the_winner_wrote(
    lake: Lake, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both opened the table before either of them wrote the new batch."""
    stale = lake.ensure(MANIFEST)
    plan(lake, "a", ["winner"])
    ensure, opened = Lake.ensure, []

    def ensure_stale_first(self: Lake, contract: TableContract) -> DeltaTable:
        opened.append(1)
        return stale if len(opened) == 1 else ensure(self, contract)

    monkeypatch.setattr(Lake, "ensure", ensure_stale_first)
    plan(lake, "a", ["loser"])
    assert len(opened) == 2
    assert planned(lake) == [("a", "loser")]


# --- rewrites ---


def add_to(batch_id: str, keys: list[str]) -> Callable[[pl.LazyFrame], Rewritten | None]:
    """A change that adds items to a batch; and says nothing is to be done where they are there."""

    def change(table: pl.LazyFrame) -> Rewritten | None:
        rows = table.filter(pl.col("batch_id") == batch_id).collect()
        missing = sorted(set(keys) - set(rows["item_key"]))
        added = MANIFEST.frame(manifest(batch_id, missing))
        return Rewritten([batch_id], pl.concat([rows, added])) if missing else None

    return change


def test_a_rewrite_starts_from_what_is_there_and_leaves_the_rest(lake: Lake) -> None:
    plan(lake, "b", ["3"])
    assert lake.rewrite(MANIFEST, add_to("a", ["1"]), US)
    assert lake.rewrite(MANIFEST, add_to("a", ["2"]), US)
    assert planned(lake) == [("a", "1"), ("a", "2"), ("b", "3")]
    table = lake.table(MANIFEST)
    assert table is not None
    before = table.version()
    assert not lake.rewrite(MANIFEST, add_to("a", ["1", "2"]), US)
    again = lake.table(MANIFEST)
    assert again is not None
    assert again.version() == before, "nothing to be done is no commit"


@pytest.mark.parametrize("rival_batch", ["a", "b"])
def test_a_rewrite_that_lost_the_race_starts_anew_whichever_batch_the_winner_rewrote(
    lake: Lake, waits: list[float], rival_batch: str
) -> None:
    seen: list[int] = []
    lake.rewrite(MANIFEST, add_to("a", ["1"]), US)

    def change(table: pl.LazyFrame) -> Rewritten | None:
        seen.append(table.collect().height)
        if len(seen) == 1:
            lake.rewrite(MANIFEST, add_to(rival_batch, ["rival"]), US)
        return add_to("a", ["2"])(table)

    assert lake.rewrite(MANIFEST, change, US)
    assert seen == [1, 2], "the second time it saw what the winner wrote"
    assert planned(lake) == sorted([("a", "1"), ("a", "2"), (rival_batch, "rival")])


def test_a_rewrite_of_rows_outside_of_its_batches_is_refused(lake: Lake) -> None:
    rows = MANIFEST.frame(manifest("b", ["1"]))
    with pytest.raises(ContractBroken, match="batch_id"):
        lake.rewrite(MANIFEST, lambda _: Rewritten(["a"], rows), US)
    assert planned(lake) == []


# --- contracts that grow ---


def old_table(lake: Lake, without: str) -> None:
    """The manifest as it was before a column came to its contract."""
    frame = MANIFEST.frame(manifest("old", ["1"])).drop(without)
    write_deltalake(lake.uri(MANIFEST), frame, partition_by=["batch_id"])


def test_a_column_is_null_when_the_table_is_older_than_it(lake: Lake) -> None:
    old_table(lake, without="split_hint")
    read = lake.scan(MANIFEST, {"batch_id": ["old"]}).collect()
    assert read.schema == MANIFEST.schema
    assert read["split_hint"].to_list() == [None]


def test_a_column_is_added_when_the_table_is_older_than_it(lake: Lake) -> None:
    old_table(lake, without="split_hint")
    assert [field.name for field in lake.ensure(MANIFEST).schema().fields].count("split_hint") == 1
    plan(lake, "new", ["2"], split_hint="train")
    read = lake.scan(MANIFEST).select("batch_id", "split_hint").collect()
    assert sorted(read.rows()) == [("new", "train"), ("old", None)]


def test_lakes_do_not_share_anything(tmp_path: Path) -> None:
    one, other = lake_at(tmp_path / "one"), lake_at(tmp_path / "other")
    plan(one, "a", ["1"])
    assert planned(other) == []
    assert Provenance("r", "v").commit_metadata("c")["media_assets/commit_id"] == "c"
    assert pl.scan_delta(one.uri(MANIFEST)).collect().height == 1


BATCH_IDS = ("a", "b", "b.1", "c-2")
OVERWRITES = st.lists(
    st.dictionaries(
        st.sampled_from(BATCH_IDS), st.sets(st.sampled_from(["1", "2", "it's", "é/ü", "%//x"])), min_size=1
    ),
    max_size=4,
)


@few(6)
@given(OVERWRITES, st.booleans())
def test_any_overwrites_leave_what_a_dict_would_hold(overwrites: list[dict[str, set[str]]], is_twice: bool) -> None:
    """Each replaces the rows of the batches that it names, several at once, and doing it twice is doing it once."""
    with tempfile.TemporaryDirectory() as folder:
        lake, model = lake_at(folder), dict[str, set[str]]()
        for batches in overwrites:
            rows = [row for batch, keys in batches.items() for row in manifest(batch, sorted(keys))]
            for _ in range(1 + is_twice):
                lake.overwrite(MANIFEST, MANIFEST.frame(rows), {"batch_id": sorted(batches)}, US)
            model |= batches
            want = sorted((batch, key) for batch, keys in model.items() for key in keys)
            assert planned(lake) == want
            for batch, keys in model.items():
                found = lake.scan(MANIFEST, {"batch_id": [batch]}).select("item_key").collect()["item_key"]
                assert sorted(found) == sorted(keys)


def test_a_table_is_there_when_a_rival_creates_it_in_the_same_moment(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(*arguments: object, **named: object) -> None:
        monkeypatch.undo()
        lake.ensure(MANIFEST)
        raise CommitFailedError("Failed to commit transaction: Metadata changed since last commit.")

    monkeypatch.setattr("media_assets.lake.delta.write_deltalake", overtaken)
    assert lake.ensure(MANIFEST).version() == 0


def test_a_rivals_first_batch_stays_when_it_was_written_while_we_create_the_table(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(*arguments: Any, **named: Any) -> None:
        monkeypatch.undo()
        plan(lake, "rival", ["1"])
        write_deltalake(*arguments, **named)

    monkeypatch.setattr("media_assets.lake.delta.write_deltalake", overtaken)
    lake.ensure(MANIFEST)
    assert planned(lake) == [("rival", "1")]
