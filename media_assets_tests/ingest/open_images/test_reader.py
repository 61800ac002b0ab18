"""Reading real-format files: what becomes of good rows, bad rows, missing files and damaged ones."""

from __future__ import annotations

import random
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from media_assets.errors import PlanRefused
from media_assets.ingest.open_images.layout import find_files
from media_assets.ingest.open_images.reader import missing_files, read_open_images
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets_tests.examples import few
from media_assets_tests.hostile.mutations import mutated_text
from media_assets_tests.ingest.open_images_files import (
    CLASSES,
    LICENCE,
    TITLES,
    OpenImagesFiles,
    Row,
    image_id,
    small_split,
)
from media_assets_tests.ingest.test_planning import Registry, manifest, plan


def split_up(rows):
    rows = list(rows)
    return [r for r in rows if isinstance(r, PlannedItem)], [r for r in rows if isinstance(r, RejectedRow)]


def test_every_column_arrives_when_the_files_are_whole(tmp_path):
    small_split(tmp_path)
    items, rejected = split_up(read_open_images(tmp_path, "val"))
    assert rejected == []
    assert [item.item_key for item in items] == [image_id(n) for n in range(12)]
    first = items[0]
    assert first.item_key == "0" * 16
    assert first.uri == "https://open-images-dataset.s3.amazonaws.com/validation/0000000000000000.jpg"
    assert first.licence == LICENCE
    assert first.attribution == '"Plain" by Ada Müller, Jr. (https://www.flickr.com/people/ada/)'
    assert first.landing_uri == "https://www.flickr.com/photos/ada/0000000000000000"
    assert first.split_hint == "validation"
    assert first.declared_bytes is None
    assert first.declared_checksum is None
    assert [item.rotation_degrees for item in items[:5]] == [0, 90, 180, 270, None]


def test_titles_survive_when_they_hold_commas_quotes_and_line_breaks(tmp_path):
    small_split(tmp_path, n_images=len(TITLES))
    items, rejected = split_up(read_open_images(tmp_path, "validation"))
    assert rejected == []
    shown = [re.match(r'(?:"(.*)" )?by', item.attribution)[1] for item in items]
    assert shown == [title.replace("\n", " ") or None for title in TITLES]


def test_labels_and_boxes_are_those_of_their_image_in_any_file_order(tmp_path):
    small_split(tmp_path)
    items, _ = split_up(read_open_images(tmp_path, "validation"))
    for n, item in enumerate(items):
        marks = [(x["name"], x["display_name"], x["confidence"]) for x in item.labels if x["x_min"] is None]
        assert marks == [(name, CLASSES[name], at % 2) for at, name in enumerate(sorted(CLASSES))]
        boxes = [x for x in item.labels if x["x_min"] is not None]
        assert len(boxes) == n % 2
    box = items[1].labels[-1]
    assert [box[k] for k in ("x_min", "x_max", "y_min", "y_max")] == [0.1, 0.6, 0.2, 0.9]
    assert [box[k] for k in ("is_occluded", "is_truncated", "is_depiction")] == [False, True, None]


def test_a_verified_absence_is_kept_when_confidence_is_zero(tmp_path):
    files = OpenImagesFiles(tmp_path)
    files.images([Row(image_id(1))])
    files.labels([(image_id(1), "verification", "/m/01g317", 0)])
    items, _ = split_up(read_open_images(tmp_path, "validation"))
    assert [label["confidence"] for label in items[0].labels] == [0.0]


def test_items_are_planned_without_labels_when_optional_files_are_missing(tmp_path):
    OpenImagesFiles(tmp_path).images([Row(image_id(1))])
    assert find_files(tmp_path, "validation").missing == ("labels", "boxes", "classes")
    assert missing_files(tmp_path, "val") == (
        "labels (oidv7-val-annotations-human-imagelabels.csv)",
        "boxes (validation-annotations-bbox.csv)",
        "classes (oidv7-class-descriptions.csv)",
    )
    items, rejected = split_up(read_open_images(tmp_path, "validation"))
    assert (len(items), items[0].labels, rejected) == (1, (), [])


@pytest.mark.parametrize("has_header", [True, False])
def test_the_first_class_is_not_lost_when_the_file_has_no_header(tmp_path, has_header):
    files = OpenImagesFiles(tmp_path)
    files.images([Row(image_id(1))])
    files.labels([(image_id(1), "verification", name, 1) for name in CLASSES])
    files.classes(has_header=has_header)
    items, _ = split_up(read_open_images(tmp_path, "validation"))
    assert {x["name"]: x["display_name"] for x in items[0].labels} == CLASSES


def test_train_boxes_are_read_when_they_carry_xclick_columns(tmp_path):
    files = OpenImagesFiles(tmp_path, "train")
    files.images([Row(image_id(1), "train")], "train-images-boxable-with-rotation.csv", bom=True)
    files.boxes([(image_id(1), "xclick", "/m/01g317", 1, 0, 1, 0, 0.5, 1, 1, 0, 0, 0)], has_xclick=True)
    items, rejected = split_up(read_open_images(tmp_path, "train"))
    assert rejected == []
    assert items[0].labels[0]["y_max"] == 0.5


def test_files_are_found_when_they_lie_as_in_the_bucket(tmp_path):
    files = OpenImagesFiles(tmp_path)
    files.images([Row(image_id(1))], "2018_04/validation/validation-images-with-rotation.csv")
    files.labels([], "v7/oidv7-val-annotations-human-imagelabels.csv")
    files.boxes([], "v5/validation-annotations-bbox.csv")
    assert find_files(tmp_path, "validation").missing == ("classes",)


def test_only_its_split_is_taken_when_a_list_holds_all(tmp_path):
    files = OpenImagesFiles(tmp_path)
    rows = [Row(image_id(n), subset) for n, subset in enumerate(["train", "test", "validation", "test"])]
    files.images(rows, "image_ids_and_rotation.csv")
    items, rejected = split_up(read_open_images(tmp_path, "test"))
    assert [item.item_key for item in items] == [image_id(1), image_id(3)]
    assert rejected == []


def test_count_takes_the_first_good_rows_of_the_list(tmp_path):
    small_split(tmp_path)
    items, _ = split_up(read_open_images(tmp_path, "validation", count=5))
    assert [item.item_key for item in items] == [image_id(n) for n in range(5)]
    assert all(item.labels for item in items)


BAD_ROWS = {
    "short id": ("00ab,validation," + "," * 9, "16 hex digits"),
    "traversal": ("../../etc/passwd,validation," + "," * 9, "16 hex digits"),
    "id with a line end": ('"0000000000000001\n",validation' + "," * 10, "16 hex digits"),
    "too few columns": ("0000000000000001,validation", "expected 12 columns, got 2"),
    "too many columns": ("0000000000000001,validation" + "," * 11, "expected 12 columns, got 13"),
    "wrong rotation": ("0000000000000001,validation" + "," * 10 + "45.0", "expected a Rotation"),
    "rotation that is no number": ("0000000000000001,validation" + "," * 10 + "nan", "expected a Rotation"),
    "other split": ("0000000000000001,train" + "," * 10, "expected a Subset of validation"),
    "no split": ("0000000000000001,valid" + "," * 10, "expected a Subset of train"),
    "NUL byte": ("0000000000000001,validation,\0" + "," * 9, "NUL"),
    "stray quote": ('0000000000000001,validation,"a"b' + "," * 9, "damaged"),
    "quote that never closes": ('0000000000000001,validation,"a' + "," * 9, "damaged"),
    "endless line": ("0000000000000001,validation," + "x" * 1_100_000 + "," * 9, "longer line"),
    "huge field": ("0000000000000001,validation," + "x" * 200_000 + "," * 9, "damaged"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_costs_itself_only_when_good_rows_surround_it(tmp_path, case):
    line, said = BAD_ROWS[case]
    path = OpenImagesFiles(tmp_path).images([Row(image_id(1)), Row(image_id(2)), Row(image_id(3))])
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:2], line, *lines[2:]]))
    items, rejected = split_up(read_open_images(tmp_path, "validation"))
    assert [item.item_key for item in items] == [image_id(1), image_id(2), image_id(3)]
    assert rejected[0].row_key == f"{path.name}:3"
    assert said in rejected[0].message
    assert len(rejected) == 1


@pytest.mark.parametrize("name", ["images", "labels", "boxes", "classes"])
@pytest.mark.parametrize("how", ["truncated", "garbled", "lost bytes", "one byte"])
def test_one_damaged_line_of_any_file_is_one_rejected_row(tmp_path, name, how):
    files = small_split(tmp_path, n_images=10)
    path = next(path for path in files.written if name.removesuffix("es") in path.name)
    lines = path.read_bytes().split(b"\n")
    at = len(lines) - 2 if how == "truncated" else 2  # the last line of a file that broke off, or one in the middle
    damage = {
        "truncated": lambda line: line[: len(line) // 4],
        "garbled": lambda line: bytes(byte ^ 0x55 for byte in line).replace(b"\n", b"?").replace(b"\r", b"?"),
        "lost bytes": lambda line: line.replace(b",", b"", 1),
        "one byte": lambda line: b"~" + line[1:],
    }[how]
    damaged = [*lines[:at], damage(lines[at]), *lines[at + 1 :]]
    path.write_bytes(b"\n".join(damaged[:-1] if how == "truncated" else damaged))
    items, rejected = split_up(read_open_images(tmp_path, "validation"))
    assert [r.row_key for r in rejected] == [f"{path.name}:{at + 1}"]
    assert len(items) == (9 if name == "images" else 10)


def test_both_lines_are_named_when_a_file_breaks_off_in_a_row_of_two_lines(tmp_path):
    path = OpenImagesFiles(tmp_path).images([Row(image_id(1)), Row(image_id(2), title="two\nlines")])
    path.write_text(path.read_text().rpartition('"')[0])
    items, rejected = split_up(read_open_images(tmp_path, "validation"))
    assert [item.item_key for item in items] == [image_id(1)]
    assert [r.row_key for r in rejected] == [f"{path.name}:3", f"{path.name}:4"]


def test_good_rows_between_two_unclosed_quotes_survive(tmp_path):
    path = OpenImagesFiles(tmp_path).images(Row(image_id(n), title=f"T{n}") for n in range(1, 6))
    path.write_text(path.read_text().replace("T2", '"T2').replace("T4", '"T4'))
    items, rejected = split_up(read_open_images(tmp_path, "validation"))
    assert [item.item_key for item in items] == [image_id(n) for n in (1, 3, 5)]
    assert [r.row_key for r in rejected] == [f"{path.name}:3", f"{path.name}:5"]


def test_rows_that_are_not_utf8_are_rejected_alone(tmp_path):
    path = OpenImagesFiles(tmp_path).images([Row(image_id(1), title="Straße"), Row(image_id(2))])
    path.write_bytes(path.read_bytes().replace("ß".encode(), b"\xdf"))
    items, rejected = split_up(read_open_images(tmp_path, "validation"))
    assert [item.item_key for item in items] == [image_id(2)]
    assert [(r.row_key, r.message) for r in rejected] == [(f"{path.name}:2", "expected UTF-8, got bytes that are not")]


def test_bad_labels_are_named_and_their_image_is_planned_without_them(tmp_path):
    files = OpenImagesFiles(tmp_path)
    files.images([Row(image_id(1)), Row(image_id(2))])
    wanted, other = image_id(1), image_id(99)
    labels = files.labels(
        [
            (wanted, "verification", "/m/01g317", "many"),
            (wanted, "verification", "/m/01g317", "nan"),
            (wanted, "verification", "01g317", 1),
            (wanted, "verification"),
            (other, "verification", "/m/01g317", "many"),
            ("not-an-id", "verification", "/m/01g317", 1),
            (wanted, "verification", "/m/01g317", 1),
        ]
    )
    boxes = files.boxes(
        [
            (wanted, "xclick", "/m/01g317", 1, 0.1, 1.6, 0.2, 0.9, 0, 0, 0, 0, 0),
            (wanted, "xclick", "/m/01g317", 1, 0.9, 0.1, 0.2, 0.9, 0, 0, 0, 0, 0),
            (wanted, "xclick", "/m/01g317", 1, 0.1, 0.6, 0.2, 0.9, 0, 0, 2, 0, 0),
        ]
    )
    items, rejected = split_up(read_open_images(tmp_path, "validation"))
    assert [len(item.labels) for item in items] == [1, 0]
    assert {r.row_key: r.message for r in rejected} == {
        f"{labels.name}:2": "expected a Confidence of 0 to 1, got 'many'",
        f"{labels.name}:3": "expected a Confidence of 0 to 1, got 'nan'",
        f"{labels.name}:4": "expected a LabelName such as /m/01g317, got '01g317'",
        f"{labels.name}:5": "expected 4 columns, got 2",
        f"{labels.name}:7": "expected an ImageID of 16 hex digits, got 'not-an-id'",
        f"{boxes.name}:2": "expected a XMax of 0 to 1, got '1.6'",
        f"{boxes.name}:3": "expected XMin <= XMax and YMin <= YMax, got them the other way",
        f"{boxes.name}:4": "expected a IsGroupOf of 0, 1 or -1, got '2'",
    }


def test_label_lines_keep_their_numbers_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("media_assets.ingest.open_images.annotations._N_BLOCK_BYTES", 97)
    files = OpenImagesFiles(tmp_path)
    files.images([Row(image_id(n)) for n in range(40)])
    rows = [(image_id(n % 40), "verification", "/m/01g317", "bad" if n in (17, 59) else 1) for n in range(80)]
    path = files.labels(rows)
    items, rejected = split_up(read_open_images(tmp_path, "validation"))
    assert [r.row_key for r in rejected] == [f"{path.name}:{17 + 2}", f"{path.name}:{59 + 2}"]
    assert sum(len(item.labels) for item in items) == 78


def test_a_label_file_of_one_endless_line_is_rejected_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("media_assets.ingest.open_images.annotations._N_BLOCK_BYTES", 1000)
    files = OpenImagesFiles(tmp_path)
    files.images([Row(image_id(1))])
    good, bad = (image_id(1), "verification", "/m/01g317", 1), (image_id(1), "verification", "/m/01g317", 7)
    path = files.labels([("x" * 10_000,), good, bad, ("y" * 4999,), bad, ("z" * 7000,)])
    items, rejected = split_up(read_open_images(tmp_path, "validation"))
    assert len(items[0].labels) == 1
    assert [r.row_key for r in rejected] == [f"{path.name}:{number}" for number in (2, 4, 5, 6, 7)]


def test_the_plan_is_refused_when_there_is_no_image_list(tmp_path):
    with pytest.raises(PlanRefused, match=r"validation-images-with-rotation\.csv.*Download https://storage"):
        read_open_images(tmp_path, "validation")


def test_the_plan_is_refused_before_the_first_item_when_a_header_is_another(tmp_path):
    small_split(tmp_path)
    path = tmp_path / "validation-annotations-bbox.csv"
    path.write_text(path.read_text().replace("XMax,YMin", "YMin,XMax"))
    with pytest.raises(PlanRefused, match=r"expected the columns .*XMin,XMax,YMin,YMax.*got .*XMin,YMin,XMax"):
        read_open_images(tmp_path, "validation")


@pytest.mark.parametrize(
    "template",
    [
        "https://x/{split}.jpg",
        "https://x/{image_id}/{other}.jpg",
        "https://x/{image_id.__class__}",
        "https://x/{image_id!r}",
        "https://x/{image_id:>99999999}",
        "https://x/{}",
        "https://x/{image_id",
        "ftp://x/{image_id}",
        "https://x/{{{image_id}}}",
        "https://x/ {image_id}",
    ],
)
def test_the_plan_is_refused_when_the_template_cannot_name_images(tmp_path, template):
    small_split(tmp_path)
    with pytest.raises(PlanRefused, match="template"):
        read_open_images(tmp_path, "validation", image_url=template)


def test_the_plan_is_refused_when_there_is_no_such_split(tmp_path):
    with pytest.raises(PlanRefused, match="train, validation, test"):
        read_open_images(tmp_path, "dev")


def test_nothing_is_left_behind_when_reading_stops_early(tmp_path):
    small_split(tmp_path / "oi")
    spool = tmp_path / "spool"
    spool.mkdir()
    rows = read_open_images(tmp_path / "oi", "validation", spool=spool)
    assert isinstance(next(rows), PlannedItem)
    assert any(Path(spool).iterdir())
    rows.close()
    assert not any(Path(spool).iterdir())


PIECES = (
    ",",
    '"',
    '""',
    "\n",
    "\r\n",
    "\0",
    "\ufeff",
    "é",
    '"a\n',
    "0.0",
    "90",
    "nan",
    "x" * 70,
    "validation",
    "train",
)


@few(10)
@given(st.integers(0, 10**6), st.integers(1, 7))
@example(0, 1)
def test_any_list_is_planned_whole_and_planning_it_again_changes_nothing(seed: int, batch_size: int) -> None:
    noise = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        files, registry = OpenImagesFiles(Path(folder)), Registry()
        path = files.images(Row(image_id(n), title=TITLES[n % len(TITLES)]) for n in (*range(9), 3))
        header, _, rows = path.read_text("utf-8").partition("\n")
        for _ in range(noise.randrange(4)):
            rows = mutated_text(rows, PIECES, noise)
        path.write_bytes(f"{header}\n{rows}".encode("utf-8", "surrogatepass"))
        lake = Lake(LakeLocation(str(Path(folder) / "lake")))
        first = plan(lake, registry, read_open_images(Path(folder), "validation"), batch_size)
        assert first.n_read == first.n_planned + first.n_already_planned + first.n_rejected
        before = manifest(lake)
        assert before.height == first.n_planned == before["item_key"].n_unique()
        assert set(before["batch_id"]) == set(first.batch_ids) == set(registry.partitions)
        again = plan(lake, registry, read_open_images(Path(folder), "validation"), batch_size)
        assert (again.n_planned, again.n_read, again.n_rejected) == (0, first.n_read, first.n_rejected)
        assert again.batch_ids == again.registered == again.changed_examples == ()
        assert manifest(lake).equals(before)
