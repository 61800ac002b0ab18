"""`media-assets plan videos`, as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from media_assets.cli import main
from media_assets_tests.media.video.clips import clip

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("MEDIA_ASSETS_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))

    def call(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(main, [*arguments, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if not code else result.output

    return call


def test_a_catalog_is_planned_once_and_its_changes_are_told(run: Run, tmp_path: Path) -> None:
    catalog = tmp_path / "clips.csv"
    head = "uri,title,licence,split,label,mood\n"
    rows = [f"https://example.org/{n}.mp4,Clip {n},CC BY 4.0,train,real;indoor,fine\n" for n in range(5)]
    catalog.write_text(head + "".join(rows) + "not an address,,,,,\n")
    (plan,) = run("plan", "videos", str(catalog), "--batch-size", "2")["rows"]
    assert plan["new_batches"] == [f"videos.clips.000{n}" for n in (1, 2, 3)]
    assert (plan["read"], plan["planned"], plan["rejected"]) == (6, 5, 1)
    assert plan["ignored_columns"] == ["mood"]

    (again,) = run("plan", "videos", str(catalog), "--batch-size", "2")["rows"]
    assert (again["planned"], again["already_planned"], again["changed"]) == (0, 5, 0)

    catalog.write_text(head + rows[0].replace("train", "test") + "".join(rows[1:]))
    (changed,) = run("plan", "videos", str(catalog), "--update")["rows"]
    assert (changed["changed"], changed["updated"], changed["rejected"]) == (1, 1, 0)
    select = "SELECT kind, split_hint, attribution, labels FROM ingest.manifest WHERE item_key LIKE '%/0.mp4'"
    (found,) = run("query", select)["rows"]
    assert (found["kind"], found["split_hint"], found["attribution"]) == ("video", "test", '"Clip 0"')
    assert [label["name"] for label in found["labels"]] == ["real", "indoor"]


def test_videos_are_taken_in_by_confined_workers(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_ASSETS_KEYFRAME_POLICY", "uniform:3")
    media = tmp_path / "media"
    media.mkdir()
    for name, data in {"a.mp4": clip("h264"), "b.webm": clip("vp9"), "c.ts": clip("open-h264-ts")}.items():
        (media / name).write_bytes(data)
    (media / "cut.mp4").write_bytes(clip("h264")[:-200])
    (tmp_path / "secret.mp4").write_bytes(clip("h264"))
    catalog = tmp_path / "clips.csv"
    paths = ["a.mp4", "b.webm", "c.ts", "cut.mp4", f"file://{tmp_path}/secret.mp4"]
    catalog.write_text("path,licence\n" + "".join(f"{path},CC0\n" for path in paths))
    run("plan", "videos", str(catalog), "--media", str(media))
    run("materialize")
    select = "SELECT item_key, status, error_code FROM ingest.item_status WHERE stage = 'raw.media'"
    assert {row["item_key"]: row["error_code"] or row["status"] for row in run("query", select)["rows"]} == {
        "a.mp4": "accepted",
        "b.webm": "accepted",
        "c.ts": "accepted",
        "cut.mp4": "truncated",
        f"file://{tmp_path}/secret.mp4": "url_refused",
    }
    rows = run("query", "SELECT kind, licence, n_frames FROM raw.media")["rows"]
    assert rows == [{"kind": "video", "licence": "CC0", "n_frames": 24}] * 3
    stills = run("query", "SELECT item_key, frame_number FROM frames.keyframes ORDER BY item_key, pts_ns")["rows"]
    assert [tuple(row.values()) for row in stills] == [
        (key, number) for key in ("a.mp4", "b.webm", "c.ts") for number in (0, 11, 23)
    ]
    with dg.DagsterInstance.get() as instance:
        key = dg.AssetKey(["frames", "keyframes"])
        event = instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        told = event.asset_materialization.metadata
        assert (told["dagster/partition_row_count"].value, told["accepted"].value) == (9, 3)
        assert "data:image/" in str(told["contact_sheet"].value)
        checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(
            [dg.AssetCheckKey(key, name) for name in ("contract_holds", "reconciles")]
        )
        assert [check.status.value for check in checks.values()] == ["SUCCEEDED"] * 2
    monkeypatch.setenv("MEDIA_ASSETS_KEYFRAME_POLICY", "best")
    assert "MEDIA_ASSETS_KEYFRAME_POLICY" in run("materialize", "--batch", "videos.*", code=1)


def test_a_published_list_needs_its_place(run: Run, tmp_path: Path) -> None:
    listed = tmp_path / "train.json"
    listed.write_text('[["071", "054"]]')
    assert "--media" in run("plan", "videos", str(listed), code=1)
    options = ("--media", str(tmp_path), "--method", "FaceSwap", "--compression", "raw", "--name", "ff-train")
    (plan,) = run("plan", "videos", str(listed), *options)["rows"]
    assert (plan["planned"], plan["new_batches"]) == (4, ["videos.ff-train.0001"])


def test_another_folder_under_the_same_name_is_refused(run: Run, tmp_path: Path) -> None:
    catalog = tmp_path / "clips.jsonl"
    catalog.write_text('{"path": "1.mp4"}\n')
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    run("plan", "videos", str(catalog), "--media", str(tmp_path / "one"))
    assert "another name" in run("plan", "videos", str(catalog), "--media", str(tmp_path / "other"), code=1)


def test_a_slip_takes_no_name(run: Run, tmp_path: Path) -> None:
    catalog = tmp_path / "clips.csv"
    for name in ("wrong", "right"):
        (tmp_path / name).mkdir()
    catalog.write_text("adress\n1.mp4\n")
    assert "expected a column with the address" in run(
        "plan", "videos", str(catalog), "--media", str(tmp_path / "wrong"), code=1
    )
    catalog.write_text("path\n")
    run("plan", "videos", str(catalog), "--media", str(tmp_path / "wrong"))
    catalog.write_text("path\n1.mp4\n")
    (plan,) = run("plan", "videos", str(catalog), "--media", str(tmp_path / "right"))["rows"]
    assert plan["new_batches"] == ["videos.clips.0001"]
    assert "another name" in run("plan", "videos", str(catalog), "--media", str(tmp_path / "wrong"), code=1)
