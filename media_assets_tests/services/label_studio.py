"""A Label Studio as a process on a free loopback port, over a copy of a data folder that was migrated before.

`make label-studio` installs it in an environment of its own below `.label-studio`, in a folder named for its version.
Not here: what is asked of it (`labeling/label_studio/`), or what is broken on the way (`fault_proxy.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from media_assets.labeling.label_studio.client import LabelStudio
from media_assets_tests.docs.pages import ROOT
from media_assets_tests.services.availability import Unavailable, start_repeatedly
from media_assets_tests.services.dagster_dev import HOST, end_group, free_port

START_SECONDS = 180
EMAIL, PASSWORD = "admin@example.com", "adminpass123"
TOKEN = "0123456789abcdef0123456789abcdef01234567"  # the server takes exactly 40 characters
_PINS = ROOT / ".ci" / "label-studio-constraints.txt"
_POLL_SECONDS = 0.2


@dataclass
class LabelStudioServer:
    """A running server. `files` is the folder whose sub-folders it may show to annotators."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def files(self) -> Path:
        """The document root of its local files."""
        return self.folder / "files"

    def client(self, url: str = "", **options: Any) -> LabelStudio:
        """A connection as its administrator, by another address where a proxy is between."""
        return LabelStudio(url or self.url, TOKEN, **options)

    def call(self, method: str, path: str, body: Any = None, token: str = TOKEN, **options: Any) -> Any:
        """The JSON of one call past all of our own code; a test must know that it was taken."""
        with httpx.Client(base_url=self.url, trust_env=False, timeout=120) as http:
            answer = http.request(method, path, json=body, headers={"authorization": f"Token {token}"}, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def project(self, config: str, annotators: int = 1, title: str = "") -> int:
        """A new project; its id."""
        body = {
            "title": title or f"test {uuid.uuid4().hex[:12]}",
            "label_config": config,
            "maximum_annotations": annotators,
        }
        return int(self.call("POST", "/api/projects", body)["id"])

    def user(self, name: str) -> int:
        """An annotator; the id, to be given as `completed_by`."""
        email = f"{name}-{uuid.uuid4().hex[:6]}@example.com"
        return int(self.call("POST", "/api/users/", {"email": email, "username": email[:30]})["id"])

    def annotate(self, task_id: int, result: list[Any], user: int | None = None, **fields: Any) -> int:
        """What an annotator sends; the annotation's id."""
        body = {"result": result, "lead_time": 1.5, **fields} | ({} if user is None else {"completed_by": user})
        return int(self.call("POST", f"/api/tasks/{task_id}/annotations/", body)["id"])

    def begin(self, task_id: int, result: list[Any], user: int | None = None) -> None:
        """What is saved by itself while an annotator, or the administrator, still works on a task: a draft."""
        draft = self.call("POST", f"/api/tasks/{task_id}/drafts", {"result": result, "lead_time": 1})
        if user is not None:  # no call says whose a draft is but the one of the person's own session
            with closing(sqlite3.connect(self.folder / "label_studio.sqlite3", timeout=60)) as database, database:
                told = "update tasks_annotationdraft set user_id = ? where id = ?"
                assert database.execute(told, (user, draft["id"])).rowcount == 1

    def tasks(self, project: int) -> list[dict[str, Any]]:
        """Every task with everything in it, as the server exports it."""
        params = {"exportType": "JSON", "download_all_tasks": "true"}
        found: list[dict[str, Any]] = self.call("GET", f"/api/projects/{project}/export", params=params)
        return found

    def any_task(self, project: int, draw: float) -> int | None:
        """The id of a task, drawn from the oldest to the newest by a number from 0 to 1; None where there is none."""
        ids = [row["id"] for row in self.overlaps(project)]
        return ids[int(draw * len(ids))] if ids else None

    def overlaps(self, project: int) -> list[dict[str, Any]]:
        """Of every task: its key, how many people it wants (`overlap`), and whether that is done (`is_labeled`)."""
        rows = self.call("GET", "/api/tasks", params={"project": project, "page_size": 1000})["tasks"]
        names = ("id", "overlap", "is_labeled")
        return [{"task_key": row["data"]["task_key"], **{name: row[name] for name in names}} for row in rows]


@contextmanager
def running_label_studio(folder: Path) -> Iterator[LabelStudioServer]:
    """The server, for as long as the `with` block lasts.

    Raises:
        Unavailable: it is not installed, or it did not answer, twice.
    """
    server = start_repeatedly(lambda n: _start(folder / str(n)))
    try:
        yield server
    finally:
        end_group(server.process)


def _start(folder: Path) -> LabelStudioServer:
    place = ROOT / ".label-studio" / _version()
    executable, template = place / "venv" / "bin" / "label-studio", place / "template"
    if not executable.is_file() or not template.is_dir():
        raise Unavailable("there is no Label Studio: `make label-studio` installs it (0.8 GB, a minute or three)")
    shutil.copytree(template, folder)
    (folder / "files").mkdir(exist_ok=True)
    port, log = free_port(), folder / "server.log"
    command = [str(executable), "start", "--no-browser", "--internal-host", HOST, "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = LabelStudioServer(f"http://{HOST}:{port}", folder, process)
    if _answers(server):
        return server
    end_group(process)
    raise Unavailable(
        f"Label Studio does not start within {START_SECONDS} s:\n{log.read_text(errors='replace')[-1500:]}"
    )


def _version() -> str:
    found = re.search(r"^label-studio==(\S+)$", _PINS.read_text("utf-8"), re.M)
    assert found is not None
    return found[1]


def _environment(folder: Path) -> dict[str, str]:
    """Nothing leaves this machine, and nothing is kept outside the folder."""
    foreign = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {
        **foreign,
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_USERNAME": EMAIL,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": TOKEN,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(folder / "files"),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "SSRF_PROTECTION_ENABLED": "false",  # webhooks and stores of the tests are on loopback
        "DEBUG": "false",
    }


def _answers(server: LabelStudioServer) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{server.url}/health", timeout=5, trust_env=False).status_code == 200:
                return True
        except httpx.TransportError:
            pass
        time.sleep(_POLL_SECONDS)
    return False
