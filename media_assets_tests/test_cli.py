"""The commands as a user types them: plan, materialize, status, dead letters, replay, query, doctor."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from media_assets.cli import main
from media_assets.demo.corpus import write_corpus
from media_assets.demo.server import SampleServer
from media_assets.lake.crash_points import watch_crash_points
from media_assets_tests.ingest.open_images_files import OpenImagesFiles, Row, image_id
from media_assets_tests.media.pictures import make_jpeg, make_png
from media_assets_tests.shelf import Shelf

SIZE = (96, 64)
Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with `--json` and returns its document; `code` is the exit code expected."""
    monkeypatch.setenv("MEDIA_ASSETS_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MEDIA_ASSETS_WORKERS", "0")
    monkeypatch.setenv("MEDIA_ASSETS_ALLOWED_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("MEDIA_ASSETS_TENSOR_SPECS", '[{"size": [32, 32], "resize_shorter_px": 36}]')

    def invoke(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == code, result.output + result.stderr
        return json.loads(result.stdout)

    return invoke


def make_folder(root: Path) -> Path:
    """A folder as users have them: good files, and everything that is none."""
    folder = root / "photos"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(make_jpeg(1, SIZE))
    (folder / "sub" / "été ☃ 100%.png").write_bytes(make_png(2, SIZE))
    (folder / "wrong-name.txt").write_bytes(make_jpeg(3, SIZE))
    (folder / "empty.jpg").touch()
    (folder / ".hidden.jpg").write_bytes(make_jpeg(5, SIZE))
    (folder / "page.jpg").write_text("<!doctype html><html></html>")
    (folder / "list.jpg").write_text("#EXTM3U\n/etc/passwd\n")
    (folder / "drawing.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "link.jpg").symlink_to("/etc/hostname")
    (folder / "linked-folder").symlink_to("/etc")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "sparse.jpg").touch()
    os.truncate(folder / "sparse.jpg", 1 << 40)
    with (folder / os.fsdecode(b"bad-\xff-utf8.jpg")).open("wb") as file:
        file.write(make_jpeg(4, SIZE))
    return folder


FATES = {
    "a.jpg": "accepted",
    "sub/été ☃ 100%.png": "accepted",
    "wrong-name.txt": "accepted",
    "empty.jpg": "failed/empty",
    "page.jpg": "failed/unsupported_format",
    "list.jpg": "failed/unsupported_format",
    "drawing.png": "failed/unsupported_format",
    "link.jpg": "failed/symlink_refused",
    "linked-folder": "failed/symlink_refused",
    "pipe.jpg": "failed/not_a_regular_file",
    "sparse.jpg": "failed/too_many_bytes",
}


def fates(run: Run) -> dict[str, str]:
    """Item key → status, or failed/code, at raw/media."""
    rows = run("query", "SELECT item_key, status, error_code FROM ingest.item_status WHERE stage = 'raw.media'")["rows"]
    return {r["item_key"]: r["status"] + (f"/{r['error_code']}" if r["error_code"] else "") for r in rows}


def test_every_entry_of_a_folder_has_one_fate(run: Run, tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (plan,) = run("plan", "folder", str(folder))["rows"]
    assert plan["planned"] == len(FATES) + 1
    assert plan["hidden_left_out"] == 1
    (again,) = run("plan", "folder", str(folder))["rows"]
    assert (again["planned"], again["already_planned"]) == (0, len(FATES) + 1)
    (batch,) = run("materialize")["rows"]
    assert (batch["result"], batch["accepted"], batch["failed"]) == ("done", 4, 8)
    got = fates(run)
    (odd,) = set(got) - set(FATES)
    assert got.pop(odd) == "accepted", "a name that is not UTF-8 is a name all the same"
    assert got == FATES

    raw = run("status")["rows"][0]
    assert (raw["expected"], raw["accepted"], raw["failed"], raw["pending"]) == (12, 4, 8, 0)
    assert run("materialize")["rows"] == []  # nothing is left to do


@pytest.mark.slow
def test_dead_letters_are_listed_shown_and_replayed(run: Run, tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    run("plan", "folder", str(folder))
    run("materialize")
    letters = run("dead-letters", "list")["rows"]
    assert len(letters) == 8
    assert {row["item_key"] for row in run("dead-letters", "list", "--code", "empty")["rows"]} == {"empty.jpg"}
    assert run("dead-letters", "list", "--stage", "frames/images")["rows"] == []
    assert run("dead-letters", "list", "--older-than-hours", "1")["rows"] == []
    (shown,) = run("dead-letters", "show", "empty.jpg")["rows"]
    assert shown["error_code"] == "empty"
    assert shown["uri"].endswith("/photos/empty.jpg")

    (folder / "empty.jpg").write_bytes(make_jpeg(9, SIZE))
    replay = run("dead-letters", "replay", "--code", "empty")
    assert (replay["replayed"], replay["came_back"], replay["still_failed"]) == (1, 1, 0)
    assert fates(run)["empty.jpg"] == "accepted"
    assert len(run("dead-letters", "list")["rows"]) == 7
    assert run("dead-letters", "replay", "--code", "not_found")["rows"] == []
    again = run("dead-letters", "replay", "--item", "page.jpg")
    assert (again["replayed"], again["came_back"], again["still_failed"]) == (1, 0, 1)


@pytest.mark.slow
def test_the_sample_set_meets_its_fates_from_the_real_csv_files(run: Run, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "source", n_images=40)
    with SampleServer(corpus.root) as server:
        where = ("--metadata", str(corpus.metadata), "--image-url", server.image_url_template)
        (plan,) = run("plan", "open-images", "--split", "val", "--batch-size", "25", *where)["rows"]
        assert (plan["planned"], plan["missing_files"]) == (40, [])
        assert plan["new_batches"] == ["open-images.validation.0001", "open-images.validation.0002"]
        run("materialize")
        got = fates(run)
        assert {i: got[i] for i in corpus.expected} == dict(corpus.expected)
        assert sum(fate == "accepted" for fate in got.values()) == 40 - sum(
            fate != "accepted" for fate in corpus.expected.values()
        )
        server.mend()
        run("dead-letters", "replay")
        got = fates(run)
        assert {i: got[i] for i in corpus.expected_after_mending} == dict(corpus.expected_after_mending)
    rows = run("query", "SELECT licence, labels FROM ingest.manifest WHERE len(labels) > 0")["rows"]
    assert rows, "the labels of the CSV files are in the manifest"
    assert all(row["licence"] for row in rows)


@pytest.mark.slow
def test_a_wrong_address_is_corrected_by_an_update_and_a_replay(run: Run, tmp_path: Path) -> None:
    files = OpenImagesFiles(tmp_path / "list")
    files.images([Row(image_id(number)) for number in range(4)])
    plan = ("plan", "open-images", "--split", "val", "--metadata", str(tmp_path / "list"))
    with Shelf() as shelf:
        shelf.files = {f"right/{image_id(number)}": make_jpeg(number, SIZE) for number in range(4)}
        shelf.files[f"wrong/{image_id(0)}"] = make_jpeg(0, SIZE)
        run(*plan, "--image-url", f"{shelf.url}/wrong/{{image_id}}")
        run("materialize")
        assert fates(run) == {image_id(0): "accepted"} | {image_id(n): "failed/not_found" for n in (1, 2, 3)}

        right = (*plan, "--image-url", f"{shelf.url}/right/{{image_id}}")
        (told,) = run(*right)["rows"]
        assert (told["changed"], told["updated"], told["left"]) == (4, 0, 0)
        assert told["changed_examples"] == [f"{image_id(number)}: uri" for number in range(3)]
        assert run("dead-letters", "replay")["still_failed"] == 3, "without an update the old address counts"
        (told,) = run(*right, "--update")["rows"]
        assert (told["changed"], told["updated"], told["left"]) == (4, 3, 1)
        shelf.hits.clear()
        assert run("dead-letters", "replay")["came_back"] == 3
        assert set(shelf.hits) == {f"right/{image_id(number)}" for number in (1, 2, 3)}
    assert set(fates(run).values()) == {"accepted"}
    query = "SELECT m.uri = r.uri AS same, r.uri LIKE '%/wrong/%' AS old FROM ingest.manifest m JOIN raw.media r USING"
    rows = run("query", f"{query} (batch_id, item_key) ORDER BY item_key")["rows"]
    assert [row["old"] for row in rows] == [True, False, False, False]
    assert all(row["same"] for row in rows), "what was kept says where it came from"

    told = CliRunner().invoke(main, [*plan, "--image-url", "http://a/{image_id}", "--update"]).stdout
    assert "The list says something else now of 4 planned items" in told
    assert "0 were updated, 4 left" in told


def test_bytes_of_an_old_address_are_not_taken_for_those_of_the_new_one(run: Run, tmp_path: Path) -> None:
    """A killed run has fetched an item, but said nothing of it yet: its address is corrected before the next run."""
    files = OpenImagesFiles(tmp_path / "list")
    files.images([Row(image_id(number)) for number in range(2)])
    plan = ("plan", "open-images", "--split", "val", "--metadata", str(tmp_path / "list"))
    with Shelf() as shelf:
        for number in range(2):
            shelf.files[f"old/{image_id(number)}"] = make_jpeg(number, SIZE)
            shelf.files[f"new/{image_id(number)}"] = make_jpeg(10 + number, SIZE)
        run(*plan, "--image-url", f"{shelf.url}/old/{{image_id}}")
        watch_crash_points(_die_before_publication)
        try:
            run("materialize", code=1)
        finally:
            watch_crash_points()
        assert shelf.n_hits == 2
        (told,) = run(*plan, "--image-url", f"{shelf.url}/new/{{image_id}}", "--update")["rows"]
        assert (told["updated"], told["left"]) == (2, 0)
        run("materialize")
        bodies = {name: sha256(body).hexdigest() for name, body in shelf.files.items()}
    rows = run("query", "SELECT item_key, uri, media_id FROM raw.media")["rows"]
    assert {row["item_key"]: row["media_id"] for row in rows} == {
        image_id(number): bodies[f"new/{image_id(number)}"] for number in range(2)
    }
    assert all("/new/" in row["uri"] for row in rows)


def _die_before_publication(point: str) -> None:
    if point == "before publication":
        raise SystemExit(1)


def test_bad_lines_and_missing_files_of_a_list_are_told(run: Run, tmp_path: Path) -> None:
    files = OpenImagesFiles(tmp_path / "list")
    path = files.images([Row(image_id(number)) for number in range(3)])
    path.write_text(path.read_text() + "0000000000000007,validation\n")
    files.classes()
    (plan,) = run("plan", "open-images", "--split", "val", "--metadata", str(tmp_path / "list"))["rows"]
    assert (plan["read"], plan["planned"], plan["rejected"]) == (4, 3, 1)
    assert plan["missing_files"] == [
        "labels (oidv7-val-annotations-human-imagelabels.csv)",
        "boxes (validation-annotations-bbox.csv)",
    ]
    rows = {(row["batch_id"], row["stage"]): row for row in run("status")["rows"]}
    assert rows["open-images.validation.0001", "raw.media"]["expected"] == 3
    bad = rows["open-images.validation.rejected", "ingest.manifest"]
    assert (bad["expected"], bad["failed"], bad["pending"]) == (1, 1, 0)
    (letter,) = run("dead-letters", "list", "--stage", "ingest/manifest")["rows"]
    assert letter["item_key"] == f"{path.name}:5"
    assert run("dead-letters", "replay")["rows"] == []

    command = ["plan", "open-images", "--split", "val", "--metadata", str(tmp_path / "list")]
    told = CliRunner().invoke(main, command, catch_exceptions=False).stdout
    assert "labels (oidv7-val-annotations-human-imagelabels.csv)" in told
    told = CliRunner().invoke(main, ["dead-letters", "replay"], catch_exceptions=False).stdout
    assert "1 bad lines of lists cannot be replayed" in told


def test_leftovers_are_counted_and_deleted_when_told_to(run: Run, tmp_path: Path) -> None:
    assert run("clean-up")["rows"] == []
    half = tmp_path / "lake" / "blobs" / "ab" / "half#1"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    os.utime(half, (1e9, 1e9))
    (row,) = run("clean-up")["rows"]
    assert (row["folder"], row["files"], row["bytes"], row["deleted"]) == ("blobs", 1, 4, False)
    assert half.exists()
    assert run("clean-up", "--delete")["rows"][0]["deleted"]
    assert not half.exists()


def test_looking_leaves_nothing_behind_where_there_is_no_lake(run: Run, tmp_path: Path) -> None:
    run("status")
    run("dead-letters", "list")
    run("query", "SELECT 1 AS one")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_told_on_stderr_and_by_the_exit_code(run: Run, tmp_path: Path) -> None:
    error = run("plan", "open-images", "--split", "validation", "--metadata", str(tmp_path), code=1)["error"]
    assert error["type"] == "PlanRefused"
    error = run("materialize", "--batch", "no.such.*", code=1)["error"]
    assert "no.such.*" in error["message"], "a glob that matches nothing is a slip, not a batch that is done"
    error = run("materialize", "--select", "raw/nothing", code=1)["error"]
    assert "raw.media" in error["message"]
    error = run("query", "SELECT * FROM nowhere.nothing", code=1)["error"]
    assert "raw.media" in error["message"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["dead-letters", "list", "--code", "typo"], 2, "not_found, forbidden"),
        (["dead-letters", "list", "--code", "not_fund"], 2, "Did you mean not_found?"),
        (["dead-letters", "replay", "--stage", "raw/medai"], 2, "Did you mean raw.media?"),
        (["dead-letters", "list", "--older-than-hours", "1e12"], 2, "range"),
        (["clean-up", "--older-than-hours", "1e12"], 2, "range"),
        (["dead-letters", "show", "nobody"], 2, "nobody"),
        (["demo", "--images", "20"], 2, "range"),
        (["no-such-command"], 2, "no-such-command"),
        (["status", "--no-such-option"], 2, "--no-such-option"),
        (["plan", "folder", "/no/such/folder"], 2, "/no/such/folder"),
    ],
)
def test_a_slip_is_one_json_document_and_one_message(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, told: str
) -> None:
    error = run(*arguments, code=code)["error"]
    assert told in error["message"]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error["code"])


@pytest.mark.parametrize("command", [["status"], ["plan", "folder", "."], ["materialize"], ["clean-up"]])
def test_a_file_in_place_of_the_lake_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    (tmp_path / "lake").touch()
    error = run(*command, code=1)["error"]
    assert (error["code"], str(tmp_path / "lake") in error["message"]) == ("lake_unfit", True)


def test_a_store_that_does_not_answer_is_told_without_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_ASSETS_LAKE", "s3://bucket/lake")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens there
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "none")
    error = run("status", code=1)["error"]
    assert error["code"] == "store_unreachable"
    assert "MEDIA_ASSETS_S3_ENDPOINT" in error["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALLOWED_NETWORKS", "foo"), ("TENSOR_SPECS", "[{]"), ("WORKERS", "many"), ("PROXY", "ftp://nowhere")],
)
def test_a_mistake_in_the_configuration_is_told_before_anything_begins(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    make_folder(tmp_path)
    run("plan", "folder", str(tmp_path / "photos"))
    monkeypatch.setenv(f"MEDIA_ASSETS_{name}", value)
    for command in (["materialize"], ["dead-letters", "replay"], ["plan", "folder", str(tmp_path / "photos")]):
        assert value in run(*command, code=1)["error"]["message"]
    monkeypatch.undo()
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        assert instance.get_runs() == []


def test_nothing_to_do_is_told_as_it_is(run: Run, tmp_path: Path) -> None:
    def told(*arguments: str) -> str:
        return CliRunner().invoke(main, arguments, catch_exceptions=False).stdout

    assert "Nothing is planned yet" in told("materialize")
    assert "Nothing is planned yet" in told("status", "--batch", "nope")
    make_folder(tmp_path)
    run("plan", "folder", str(tmp_path / "photos"))
    told_status = told("status", "--batch", "nope")
    assert "No batch matches 'nope'" in told_status
    assert "folder.photos.0001" in told_status


def test_the_doctor_finds_a_fit_machine_and_an_unfit_lake(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run("doctor")["rows"]
    assert [row["check"] for row in rows if not row["passed"]] == []
    assert len(rows) >= 8
    monkeypatch.setenv("MEDIA_ASSETS_LAKE", "/tmp/a lake with spaces")
    rows = run("doctor", code=1)["rows"]
    assert any("MEDIA_ASSETS_LAKE" in row["detail"] + row["advice"] for row in rows if not row["passed"])


def test_the_help_of_every_command_says_what_it_does() -> None:
    def walk(command: Any, path: tuple[str, ...]) -> None:
        result = CliRunner().invoke(main, [*path, "--help"])
        assert result.exit_code == 0
        assert command.help, path
        for name, sub in getattr(command, "commands", {}).items():
            walk(sub, (*path, name))

    walk(main, ())
