"""Catalogs of one's own: what a row becomes, and that a bad one costs no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from media_assets.errors import PlanRefused
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.ingest.videos.addresses import MediaBase
from media_assets.ingest.videos.catalog_files import CatalogCounts
from media_assets.ingest.videos.reader import batch_name, read_videos
from media_assets.tables.columns import Kind

ROW: dict[str, Any] = {
    "uri": "https://example.org/clips/1.mp4",
    "title": 'A "fine", day',
    "author": "Ada",
    "licence": "CC BY 4.0",
    "subject_id": "p1",
    "original_id": "o1",
    "split": "train",
    "label": "fake; swap",
    "bytes": 12,
    "sha256": "A" * 64,
}
ITEM = PlannedItem(
    item_key="https://example.org/clips/1.mp4",
    uri="https://example.org/clips/1.mp4",
    kind=Kind.VIDEO,
    declared_bytes=12,
    declared_checksum="sha256:" + "a" * 64,
    licence="CC BY 4.0",
    attribution='"A "fine", day" by Ada',
    subject_id="p1",
    original_id="o1",
    split_hint="train",
    labels=(
        {"name": "fake", "annotator": "catalog", "confidence": 1.0},
        {"name": "swap", "annotator": "catalog", "confidence": 1.0},
    ),
)


def quoted(value: object) -> str:
    return '"' + str("" if value is None else value).replace('"', '""') + '"'


def write(folder: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    """A catalog; CSV and Parquet get every column of any row."""
    path = folder / f"clips.{kind}"
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if kind == "csv":
        lines = [",".join(columns), *(",".join(quoted(row.get(c)) for c in columns) for row in rows)]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    elif kind == "parquet":
        pq.write_table(pa.table({c: [row.get(c) for row in rows] for c in columns}), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


KINDS = ["csv", "jsonl", "ndjson", "parquet"]


def read(path: Path, base: MediaBase | None = None, counts: CatalogCounts | None = None) -> list[Any]:
    return list(read_videos(path, base, counts=counts))


@pytest.mark.parametrize("kind", KINDS)
def test_every_column_arrives(tmp_path: Path, kind: str) -> None:
    assert read(write(tmp_path, kind, [ROW])) == [ITEM]


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_is_all_that_is_needed(tmp_path: Path, kind: str) -> None:
    bare = [{"url": f"s3://bucket/a b/{n}.mp4".replace(" ", "%20")} for n in range(3)]
    items = read(write(tmp_path, kind, bare))
    assert [item.uri for item in items] == [row["url"] for row in bare]
    assert len({item.item_key for item in items}) == 3
    assert items[0].licence is items[0].attribution is items[0].subject_id is None
    assert items[0].labels == ()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_row_is_named_and_costs_no_other(tmp_path: Path, kind: str) -> None:
    rows = [ROW, ROW | {"uri": "ftp://x/1"}, ROW | {"sha256": "beef"}, ROW]
    got = read(write(tmp_path, kind, rows))
    assert [type(row) for row in got] == [PlannedItem, RejectedRow, RejectedRow, PlannedItem]
    first = 2 if kind == "csv" else 1
    assert [row.row_key for row in got[1:3]] == [f"clips.{kind}:{first + 1}", f"clips.{kind}:{first + 2}"]
    assert "expected http://" in got[1].message
    assert "64 hex digits" in got[2].message


def test_damaged_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "clips.jsonl"
    good = json.dumps(ROW).encode()
    deep = b"[" * 100_000
    path.write_bytes(
        b"\n".join([b"{", good, b"\xff\xfe", b'"text"', b'{"uri": "https://x/1", "url": "y"}', deep, good])
    )
    got = read(path)
    assert [isinstance(row, PlannedItem) for row in got] == [False, True, False, False, False, False, True]
    assert [row.row_key for row in got if isinstance(row, RejectedRow)] == [f"clips.jsonl:{n}" for n in (1, 3, 4, 5, 6)]


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (["fake", "swap"], [("fake", 1.0), ("swap", 1.0)]),
        ([{"name": "fake", "confidence": 0}], [("fake", 0)]),
        ([{"name": "fake", "x_min": 0.5, "is_occluded": True}], [("fake", 1.0)]),
        (None, []),
        ("", []),
    ],
)
def test_labels_come_in_several_forms(tmp_path: Path, labels: object, wanted: list[tuple[str, float]]) -> None:
    (item,) = read(write(tmp_path, "jsonl", [{"uri": "https://x/1", "labels": labels}]))
    assert [(label["name"], label["confidence"]) for label in item.labels] == wanted


@pytest.mark.parametrize(
    "labels", [3, [""], [{"name": ""}], [{"colour": "red", "name": "x"}], [{"name": "x", "confidence": "1"}], [True]]
)
def test_labels_that_are_none_are_refused(tmp_path: Path, labels: object) -> None:
    (row,) = read(write(tmp_path, "jsonl", [{"uri": "https://x/1", "labels": labels}]))
    assert isinstance(row, RejectedRow)


@pytest.mark.parametrize(
    "changes",
    [
        {"bytes": "12 MB"},
        {"bytes": -1},
        {"licence": 1.5},
        {"licence": True},
        {"uri": None},
        {"uri": " "},
        {"licence": "\ud800"},
    ],
)
def test_values_of_another_kind_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    (row,) = read(write(tmp_path, "jsonl", [ROW | changes]))
    assert isinstance(row, RejectedRow), row


def test_an_address_with_a_query_needs_a_key_of_its_own(tmp_path: Path) -> None:
    signed = {"uri": "https://user:word@x/1.mp4?X-Amz-Signature=secret"}
    (row,) = read(write(tmp_path, "jsonl", [signed]))
    assert isinstance(row, RejectedRow)
    assert "item_key" in row.message
    assert "secret" not in row.message + row.row_key
    (item,) = read(write(tmp_path, "jsonl", [signed | {"id": 7}]))
    assert (item.item_key, item.uri) == ("7", signed["uri"])


def test_a_key_holds_no_user_info_and_moves_no_cursor(tmp_path: Path) -> None:
    for row in ({"uri": "https://user:word@x/1.mp4"}, {"uri": "https://user@x/1.mp4"}):
        (refused,) = read(write(tmp_path, "jsonl", [row]))
        assert isinstance(refused, RejectedRow)
        assert "word" not in refused.message
    for row in (
        {"uri": "https://x/\u2028.mp4"},
        {"uri": "https://x/1.mp4", "id": "a\nb"},
        {"uri": "https://x/\u001b[2J"},
    ):
        (refused,) = read(write(tmp_path, "jsonl", [row]))
        assert isinstance(refused, RejectedRow)
        assert refused.message.isprintable()


def test_paths_lie_below_a_place_that_was_named(tmp_path: Path) -> None:
    catalog = write(
        tmp_path, "csv", [{"path": "a/ü 1.mp4"}, {"path": "../secret.mp4"}, {"path": "/etc/passwd"}, {"path": "a//b"}]
    )
    assert all(isinstance(row, RejectedRow) for row in read(catalog))
    folder = tmp_path / "media"
    folder.mkdir()
    item, *refused = read(catalog, MediaBase.of(str(folder)))
    assert (item.item_key, item.uri) == ("a/ü 1.mp4", f"file://{folder}/a/%C3%BC%201.mp4")
    assert [type(row) for row in refused] == [RejectedRow] * 3
    (there, *_) = read(catalog, MediaBase.of("https://example.org/set"))
    assert there.uri == "https://example.org/set/a/%C3%BC%201.mp4"


@pytest.mark.parametrize("place", ["/no/such/folder", "ftp://x/y", "https://x/?token=hush", "file:///tmp"])
def test_another_place_is_refused(place: str) -> None:
    with pytest.raises(PlanRefused) as caught:
        MediaBase.of(place)
    assert "hush" not in str(caught.value)


def test_columns_that_mean_nothing_are_told(tmp_path: Path) -> None:
    for kind in KINDS:
        read(write(tmp_path, kind, [ROW | {"colour": "red", "mood": "fine"}]), counts=(counts := CatalogCounts()))
        assert list(counts.ignored_columns) == ["colour", "mood"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("row", "told"), [({"title": "x"}, "address"), ({"uri": "https://x/1", "URL": "https://x/1"}, "one column for uri")]
)
def test_a_catalog_without_one_clear_address_is_refused(
    tmp_path: Path, kind: str, row: dict[str, str], told: str
) -> None:
    with pytest.raises(PlanRefused, match=told):
        read(write(tmp_path, kind, [row]))


def test_what_is_no_catalog_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not")
    (tmp_path / "a.json").write_text('[{"uri": "https://x/1"}]')
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    (tmp_path / "empty.csv").write_bytes(b"")
    for name in ("a.parquet", "a.json", "b.json", "a.xlsx", "empty.csv", "missing.csv"):
        with pytest.raises(PlanRefused):
            read(tmp_path / name)


def test_batches_are_called_after_the_file(tmp_path: Path) -> None:
    assert batch_name(tmp_path / "clips.csv") == "videos.clips"
    assert batch_name(tmp_path / "dfdc_train_part_7" / "metadata.json") == "videos.dfdc_train_part_7"
    assert batch_name(tmp_path / "clips.csv", "Other one").startswith("videos.Other-one-")


@pytest.mark.parametrize("value", [10**40, -7, 1e19, float("nan"), True])
def test_a_number_that_is_no_share_costs_its_row_only(tmp_path: Path, value: object) -> None:
    bad = {"uri": "https://example.org/2.mp4", "labels": [{"name": "x", "x_min": value}]}
    good = {"uri": "https://example.org/3.mp4", "labels": [{"name": "x", "x_min": 1}]}
    _, rejected, item = read(write(tmp_path, "jsonl", [ROW, bad, good]))
    assert isinstance(rejected, RejectedRow)
    assert item.labels[0]["x_min"] == 1.0


def test_values_that_python_cannot_hold_cost_their_rows_only(tmp_path: Path) -> None:
    uris = pa.array([b"https://example.org/1.mp4", b"https://example.org/\xff.mp4", b"https://example.org/3.mp4"])
    table = pa.table(
        {
            "uri": pa.Array.from_buffers(pa.string(), 3, uris.buffers()),
            "title": pa.array([0, 0, 2**62], pa.timestamp("us")),
        }
    )
    pq.write_table(table, tmp_path / "clips.parquet")
    found = read(tmp_path / "clips.parquet")
    assert [type(row) for row in found] == [RejectedRow] * 3, "a time is no title, and the others cannot be read"
    pq.write_table(table.select(["uri"]), tmp_path / "clips.parquet")
    assert [type(row) for row in read(tmp_path / "clips.parquet")] == [PlannedItem, RejectedRow, PlannedItem]
