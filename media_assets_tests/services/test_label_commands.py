"""`media-assets labels push` and `pull`, assets, sensor and webhooks, over a lake and a real Label Studio."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from media_assets.cli import main
from media_assets.defs.dead_runs import life_of
from media_assets.defs.graph import build_defs
from media_assets.defs.label_studio import POOL, PULLED, PUSHED, exchange_labels, hinted_at, keep_hint
from media_assets.defs.resources import Settings, WorkbenchResource, open_instance
from media_assets.defs.run_process import Life
from media_assets.labeling.label_studio.hint_server import open_socket, server_of
from media_assets.labeling.label_studio.webhook import HEADER
from media_assets.lake.delta import Provenance
from media_assets.tables import LABELS_ANNOTATIONS, LABELS_QUEUE
from media_assets_tests.labeling.queues import NOON
from media_assets_tests.services.dagster_dev import HOST
from media_assets_tests.services.label_studio import TOKEN, LabelStudioServer

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

BATCH = "pets.0001"
TOML = """
name = "{name}"
title = "What is it?"
kind = "choice"
subject = "frame"
template = "choice.xml"
labels = ["cat", "dog"]
annotators = 1
"""
XML = """<View><Image name="media" value="$media"/>
  <Choices name="label" toName="media" choice="single">
    {{Choice labels}}
  </Choices></View>"""


@pytest.fixture
def settings(label_studio: LabelStudioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project of three tasks, and everything that a command reads from the environment."""
    name = "q" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:10]
    (tmp_path / "project.toml").write_text(TOML.format(name=name))
    (tmp_path / "choice.xml").write_text(XML)
    lake = label_studio.files / name
    (lake / "blobs").mkdir(parents=True)
    for variable, value in {
        "DAGSTER_HOME": str(tmp_path / "home"),
        "MEDIA_ASSETS_LAKE": str(lake),
        "MEDIA_ASSETS_LABEL_PROJECTS": str(tmp_path / "project.toml"),
        "MEDIA_ASSETS_LABEL_STUDIO_URL": label_studio.url,
        "MEDIA_ASSETS_LABEL_STUDIO_TOKEN": TOKEN,
        "MEDIA_ASSETS_LABEL_STUDIO_ROOT": str(label_studio.files),
    }.items():
        monkeypatch.setenv(variable, value)
    settings = Settings.from_environment()
    settings.open_lake().overwrite(
        LABELS_QUEUE, LABELS_QUEUE.frame([row(name, i) for i in range(3)]), {"batch_id": [BATCH]}, Provenance("t", "1")
    )
    return settings


def row(project: str, i: int) -> dict[str, Any]:
    media_id = hashlib.sha256(f"{project}{i}".encode()).hexdigest()
    return {
        "task_key": f"{project}/{media_id[:32]}@r1",
        "batch_id": BATCH,
        "project": project,
        "subject": "frame",
        "subject_id": media_id[:32],
        "item_key": f"{i}.png",
        "media_id": media_id,
        "blob": media_id,
        "media_type": "image/png",
        "round": 1,
        "state": "queued",
        "priority": 0.5,
        "annotators": 1,
        "is_gold": False,
        "reason": "priority",
        "queued_at": NOON,
        "state_at": NOON,
    }


def choice(label: str) -> list[dict[str, Any]]:
    return [{"from_name": "label", "to_name": "media", "type": "choices", "value": {"choices": [label]}}]


def run(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["labels", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["rows"]
    assert isinstance(found, dict)
    return found


def tasks_of(settings: Settings) -> dict[str, int]:
    rows = settings.open_lake().scan(LABELS_QUEUE).select("task_key", "ls_task_id").sort("task_key").collect()
    return dict(rows.iter_rows())


def test_commands_push_and_pull_and_tell_the_graph_whose_answers_changed(
    settings: Settings, label_studio: LabelStudioServer
) -> None:
    first, again = run("push"), run("push")
    assert (first["n_due"], first["n_created"], again["n_due"]) == (3, 3, 0)
    for task_id in tasks_of(settings).values():
        label_studio.annotate(task_id, choice("cat"))
    pulled = run("pull", "--compare-all")
    assert (pulled["n_new"], pulled["batches"], pulled["n_lost"], pulled["n_deleted"]) == (3, [BATCH], 0, 0)
    with open_instance(settings) as instance:
        key = dg.AssetKey(list(LABELS_ANNOTATIONS.key))
        assert instance.get_materialized_partitions(key) == {BATCH}
    assert run("pull")["n_new"] == 0


def test_what_is_not_configured_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_ASSETS_LABEL_STUDIO_TOKEN", "")
    result = CliRunner().invoke(main, ["labels", "push", "--json"])
    assert (result.exit_code, json.loads(result.stdout)["error"]["code"]) == (1, "setup_error")
    monkeypatch.setenv("MEDIA_ASSETS_LABEL_STUDIO_TOKEN", "0" * 40)
    result = CliRunner().invoke(main, ["labels", "pull", "--json"])
    assert (result.exit_code, json.loads(result.stdout)["error"]["code"]) == (1, "token_refused")
    assert "0" * 40 not in result.output


@pytest.fixture
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with open_instance(settings) as opened:
        yield opened


def test_assets_push_and_pull_and_no_secret_is_kept(
    settings: Settings, label_studio: LabelStudioServer, instance: dg.DagsterInstance
) -> None:
    defs = build_defs(settings)
    job = defs.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance, asset_selection=[PUSHED]).success
    assert len(tasks_of(settings)) == 3
    assert all(tasks_of(settings).values())
    label_studio.annotate(next(iter(tasks_of(settings).values())), choice("dog"))
    result = job.execute_in_process(instance=instance, asset_selection=[PULLED])
    (told,) = result.asset_materializations_for_node(PULLED.to_python_identifier())[-1:]
    assert {name.split(": ")[1]: value.value for name, value in told.metadata.items()}["new"] == 1
    assert instance.get_materialized_partitions(dg.AssetKey(list(LABELS_ANNOTATIONS.key))) == {BATCH}
    (run,) = instance.get_runs(dg.RunsFilter(run_ids=[result.run_id]))
    assert life_of(run) is Life.ALIVE, "known to live in this process, so that it is known when it does not"
    assert TOKEN not in json.dumps(result.dagster_run.run_config)
    assert TOKEN not in repr(settings)


def test_the_sensor_asks_at_its_pace_and_sooner_after_a_hint(
    settings: Settings, label_studio: LabelStudioServer, instance: dg.DagsterInstance
) -> None:
    secret, server_settings = "s3cret-of-hooks", WorkbenchResource.of(settings)

    def tick(cursor: str | None) -> Any:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=build_defs(settings))
        return exchange_labels(context, workbench=server_settings)

    first = tick(None)
    (request,) = first.run_requests
    assert request.run_config["ops"][PULLED.to_python_identifier()]["config"] == {"compare_all": True}
    assert {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}[POOL] == 1
    assert isinstance(tick(first.cursor), dg.SkipReason)

    with open_socket(HOST, 0) as listening:
        server = server_of(secret, lambda _project: keep_hint(instance))
        thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
        thread.start()
        hook = {"url": f"http://{HOST}:{listening.getsockname()[1]}/", "send_payload": True, "project": 0}
        hook["project"] = project = label_studio.project(XML.replace("{{Choice labels}}", '<Choice value="cat"/>'))
        for given in ("another", secret):
            before = hinted_at(instance)
            made = label_studio.call("POST", "/api/webhooks/", hook | {"headers": {HEADER: given}})
            label_studio.call("POST", f"/api/projects/{project}/import", [{"data": {"media": "x"}}])
            deadline = time.monotonic() + 10
            while given == secret and hinted_at(instance) == before and time.monotonic() < deadline:
                time.sleep(0.05)
            label_studio.call("DELETE", f"/api/webhooks/{made['id']}/")
            assert (hinted_at(instance) > before) is (given == secret)
        server.should_exit = True
        thread.join(20)
    second = tick(first.cursor)
    (request,) = second.run_requests
    assert request.run_config["ops"][PULLED.to_python_identifier()]["config"] == {"compare_all": True}, "never compared"
    job = build_defs(settings).resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(request.run_config, instance=instance, asset_selection=[PULLED]).success
    keep_hint(instance)
    third = tick(first.cursor)
    (request,) = third.run_requests
    assert request.run_config["ops"][PULLED.to_python_identifier()]["config"] == {"compare_all": False}
    assert isinstance(tick(third.cursor), dg.SkipReason)
