"""What annotators see in the browser: pictures from the local disk and from a bucket, with what a model has said."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from media_assets.demo.photos import photo
from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.media import S3Store, connect_bucket, connect_folder, local_address
from media_assets.labeling.label_studio.push import push_all
from media_assets.labeling.label_studio.values import LabelTask
from media_assets.lake.blobs import blob_path
from media_assets_tests.object_store.stores import client as store_client
from media_assets_tests.object_store.stores import make_bucket, set_keys
from media_assets_tests.services.label_studio import EMAIL, PASSWORD, TOKEN, LabelStudioServer
from media_assets_tests.services.seaweedfs import WRITER, SeaweedFS

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

WIDTH, HEIGHT = 640, 480
SKYLINE = 18  # the sample photo of a town at dusk
TOWERS = [(11.9, 53.0, 6.8, 11.7), (33.4, 52.4, 7.9, 19.9), (64.0, 52.8, 6.3, 18.0), (88.0, 49.1, 4.6, 21.4)]  # percent
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image">
    <Label value="tower" background="#ff3b30"/><Label value="sun" background="#34c759"/>
  </RectangleLabels>
  <Choices name="kind" toName="image" showInline="true"><Choice value="town"/><Choice value="nature"/></Choices>
</View>"""


@pytest.fixture
def client(label_studio: LabelStudioServer) -> Iterator[LabelStudio]:
    with label_studio.client() as connected:
        yield connected


@pytest.fixture
def visit(label_studio: LabelStudioServer, chromium: Browser) -> Iterator[Page]:
    """A page of somebody who has logged in as annotators do."""
    with chromium.new_context(viewport={"width": 1180, "height": 790}) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{label_studio.url}/user/login/")
        page.locator("input[name=email]").fill(EMAIL)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("button[type=submit]").click()
        page.wait_for_url(re.compile(r"/projects|/$"))
        yield page


def keyframe() -> bytes:
    """A still as it lies in the lake: PNG, under its hash, without an ending."""
    out = io.BytesIO()
    Image.fromarray(photo(SKYLINE, WIDTH, HEIGHT)).save(out, "PNG")
    return out.getvalue()


def said() -> dict[str, Any]:
    """What a model has said of it: boxes, and what it shows."""
    boxes = [
        {
            "from_name": "box",
            "to_name": "image",
            "type": "rectanglelabels",
            "value": dict(zip(("x", "y", "width", "height"), tower, strict=True)) | {"rectanglelabels": ["tower"]},
        }
        for tower in TOWERS
    ]
    town = {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": ["town"]}}
    return {"model_version": "towers 1.2", "score": 0.87, "result": [*boxes, town]}


def shown(label_studio: LabelStudioServer, page: Page, project: int, task_id: int) -> Page:
    """The page on which a task is answered, once its picture is drawn."""
    page.goto(f"{label_studio.url}/projects/{project}/data?task={task_id}")
    picture = page.locator("img[alt=LS]").or_(page.locator(".lsf-main-content img")).first
    picture.wait_for()
    page.wait_for_function(f"() => [...document.images].some(i => i.complete && i.naturalWidth === {WIDTH})")
    return page


def test_a_keyframe_of_a_local_lake_is_shown_with_what_the_model_has_said(
    label_studio: LabelStudioServer, client: LabelStudio, visit: Page, tmp_path: Path
) -> None:
    body = keyframe()
    path = blob_path(hashlib.sha256(body).hexdigest())
    target = label_studio.files / "blobs" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)
    project = label_studio.project(CONFIG, title="Towers at dusk")
    for _ in range(2):
        connect_folder(client, project, str(label_studio.files / "blobs"))
    assert len(label_studio.call("GET", "/api/storages/localfiles/", params={"project": project})) == 1
    address = local_address(f"blobs/{path}")
    (task_id,) = push_all(client, project, [LabelTask("towns/local@r1", {"image": address}, [said()])]).ids.values()
    anyone = httpx.get(label_studio.url + address, trust_env=False)
    known = httpx.get(label_studio.url + address, trust_env=False, headers={"authorization": f"Token {TOKEN}"})
    assert (anyone.status_code, known.status_code, known.content) == (401, 200, body)
    page = shown(label_studio, visit, project, task_id)
    expect(page.get_by_text("tower").first).to_be_visible()
    expect(page.get_by_role("checkbox", name=re.compile("town")).or_(page.get_by_label("town")).first).to_be_checked()
    shoot(page, tmp_path / "label-studio.webp")
    assert [len(task["annotations"]) for task in label_studio.tasks(project)] == [0]


@pytest.mark.parametrize("presign", [False, True])
def test_a_keyframe_of_a_lake_in_a_bucket_is_shown(
    label_studio: LabelStudioServer,
    client: LabelStudio,
    visit: Page,
    seaweedfs: SeaweedFS,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    presign: bool,
) -> None:
    set_keys(monkeypatch, WRITER, tmp_path)
    bucket, body = make_bucket(seaweedfs.url), keyframe()
    key = f"lake/blobs/{blob_path(hashlib.sha256(body).hexdigest())}"
    store_client(seaweedfs.url).put_object(Bucket=bucket, Key=key, Body=body)
    project = label_studio.project(CONFIG)
    store = S3Store(bucket, "lake/blobs", seaweedfs.url, "us-east-1", presign, WRITER.key, WRITER.secret)
    for _ in range(2):
        connect_bucket(client, project, store)
    assert len(label_studio.call("GET", "/api/storages/s3/", params={"project": project})) == 1
    task = LabelTask("towns/bucket@r1", {"image": f"s3://{bucket}/{key}"}, [said()])
    (task_id,) = push_all(client, project, [task]).ids.values()
    shown(label_studio, visit, project, task_id)
    assert len(label_studio.tasks(project)) == 1, "a store that is connected makes no tasks"


def shoot(page: Page, path: Path) -> None:
    """A small picture of the page; that of the documentation was taken here."""
    image = Image.open(io.BytesIO(page.screenshot()))
    image.convert("RGB").save(path, quality=82, method=6)
    assert path.stat().st_size < 200_000
