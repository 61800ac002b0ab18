"""Metadata from a URL: a real server on loopback, in both layouts, with what can go wrong."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from media_assets.errors import PlanRefused
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.ingest.open_images.download import fetch_metadata, is_url
from media_assets.ingest.open_images.layout import find_files
from media_assets.ingest.open_images.reader import read_open_images
from media_assets_tests.ingest.open_images_files import small_split

IMAGES = "validation-images-with-rotation.csv"
LONG_AGO = 1_700_000_000.0
LIMITS = FetchLimits(max_bytes=1 << 20, n_connections=1, max_attempts=1, memory_bytes=1000)


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.server.asked.append(self.headers.get("If-Modified-Since") or self.headers.get("If-None-Match"))
        status = self.server.failing.get(self.path.rpartition("/")[2])
        if status:
            self.send_error(status)
        else:
            super().do_GET()

    def log_request(self, code: int = 0, size: object = None) -> None:
        if int(code) == 200:
            self.server.sent.append(self.path.rpartition("/")[2])

    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Last-Modified" or self.server.has_dates:
            super().send_header(keyword, value)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path):
    (tmp_path / "www").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "www")))
    server.paths, server.failing, server.asked, server.sent, server.has_dates = [], {}, [], [], True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    port = server.server_address[1]
    policy = AddressPolicy(allowed_networks=("127.0.0.1/32",), allowed_ports=frozenset({port}))
    base = f"http://127.0.0.1:{port}/openimages"
    return partial(fetch_metadata, base, "val", tmp_path / "got", user_agent="tests", policy=policy, limits=LIMITS)


def publish(root: Path, *, is_flat: bool) -> None:
    """The server's files, side by side or in folders as the public bucket has them."""
    files = small_split(root / "www" / "openimages")
    folders = {"oidv7": "v7", "validation-images": "2018_04/validation", "validation-annotations": "v5"}
    for path in files.written if not is_flat else []:
        folder = next(folder for start, folder in folders.items() if path.name.startswith(start))
        (path.parent / folder).mkdir(parents=True, exist_ok=True)
        path.rename(path.parent / folder / path.name)
    for path in (root / "www").rglob("*.csv"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def change(root: Path, name: str, *, old: str, new: str, modified_at: float = LONG_AGO + 100) -> None:
    """Change one of the server's files, wherever it lies, by letters of the same number."""
    (path,) = (root / "www").rglob(name)
    assert old in path.read_text()
    assert len(old) == len(new)
    path.write_text(path.read_text().replace(old, new))
    os.utime(path, (modified_at, modified_at))


@pytest.mark.parametrize("is_flat", [True, False])
def test_what_is_planned_is_the_same_from_a_url_in_both_layouts(fetch, tmp_path, is_flat):
    publish(tmp_path, is_flat=is_flat)
    small_split(tmp_path / "local")
    got = list(read_open_images(fetch(), "validation"))
    assert got == list(read_open_images(tmp_path / "local", "validation"))
    assert len(got) == 12
    assert not list((tmp_path / "got").rglob("*.part"))


def test_a_file_has_its_name_only_once_it_is_on_the_disk(fetch, tmp_path, monkeypatch):
    publish(tmp_path, is_flat=True)
    sync, synced = os.fsync, set()

    def watched(handle):
        synced.add(os.fstat(handle).st_ino)
        assert os.fstat(handle).st_ino not in {path.stat().st_ino for path in (tmp_path / "got").rglob("*.csv")}
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    fetch()
    assert {path.stat().st_ino for path in (tmp_path / "got").rglob("*.csv")} == synced != set()


@pytest.mark.parametrize("is_flat", [True, False])
def test_files_that_have_not_changed_are_asked_for_and_not_sent_again(fetch, server, tmp_path, is_flat):
    publish(tmp_path, is_flat=is_flat)
    fetch()
    assert len(server.sent) == 4
    server.asked.clear()
    server.sent.clear()
    fetch()
    assert server.sent == []
    assert sum(asked is not None for asked in server.asked) == 4


@pytest.mark.parametrize("has_dates", [True, False])
def test_a_file_that_has_changed_is_fetched_again(fetch, server, tmp_path, has_dates):
    server.has_dates = has_dates
    publish(tmp_path, is_flat=False)
    before = [item.item_key for item in read_open_images(fetch(), "validation")]
    server.sent.clear()
    change(tmp_path, IMAGES, old=before[0], new="f" * 16)
    after = [item.item_key for item in read_open_images(fetch(), "validation")]
    assert after == ["f" * 16, *before[1:]]
    assert server.sent == [IMAGES] if has_dates else len(server.sent) == 4


def test_a_file_that_changed_just_before_it_was_fetched_may_change_again(fetch, server, tmp_path):
    """A date is good to a second: two versions of one second are told apart by nothing."""
    publish(tmp_path, is_flat=True)
    now = time.time()
    change(tmp_path, IMAGES, old="validation", new="validation", modified_at=now)
    before = [item.item_key for item in read_open_images(fetch(), "validation")]
    change(tmp_path, IMAGES, old=before[0], new="f" * 16, modified_at=now)
    assert next(read_open_images(fetch(), "validation")).item_key == "f" * 16


def test_a_copy_is_fetched_again_when_it_is_not_whole_any_more(fetch, server, tmp_path):
    publish(tmp_path, is_flat=True)
    path = fetch() / IMAGES
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    fetch()
    assert path.read_bytes() == whole


def test_a_body_is_never_taken_for_the_version_of_another(fetch, server, tmp_path, monkeypatch):
    """Killed between the new body and its note: the next plan fetches once more."""
    publish(tmp_path, is_flat=True)
    before = [item.item_key for item in read_open_images(fetch(), "validation")]
    change(tmp_path, IMAGES, old=before[0], new="f" * 16)
    limits = replace(LIMITS, memory_bytes=1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", die)
        with pytest.raises(KeyboardInterrupt):
            fetch(limits=limits)
    change(tmp_path, IMAGES, old="f" * 16, new=before[0], modified_at=LONG_AGO)
    assert next(read_open_images(fetch(), "validation")).item_key == before[0]


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_lists_of_two_servers_are_never_mixed(fetch, server, tmp_path):
    publish(tmp_path, is_flat=True)
    first = fetch()
    (tmp_path / "www" / "openimages").rename(tmp_path / "www" / "other")
    base = f"http://127.0.0.1:{server.server_address[1]}"
    change(tmp_path, IMAGES, old="validation", new="validation", modified_at=LONG_AGO)
    again = partial(fetch_metadata, split="val", spool=tmp_path / "got", **fetch.keywords)
    other = again(f"{base}/other/")
    assert other not in (first, tmp_path / "got")
    assert again(f"{base}/other") == other, "a slash at the end makes no other place"
    with pytest.raises(PlanRefused, match="there is none"):
        fetch()


def test_a_file_that_the_server_has_no_more_is_not_read_in_place_of_a_lesser_one(fetch, server, tmp_path):
    publish(tmp_path, is_flat=True)
    www, best = tmp_path / "www" / "openimages", "oidv7-class-descriptions.csv"
    assert (fetch() / best).is_file()
    (www / best).rename(www / "class-descriptions.csv")
    assert find_files(fetch(), "validation").classes.name == "class-descriptions.csv"
    (www / "class-descriptions.csv").unlink()
    assert find_files(fetch(), "validation").missing == ("classes",)


def test_a_plan_is_refused_without_the_server_and_names_the_copy(fetch, server, tmp_path):
    publish(tmp_path, is_flat=True)
    folder = fetch()
    for status in (503, 429):
        server.failing[IMAGES] = status
        with pytest.raises(PlanRefused, match=rf"asked whether it has changed.*--metadata {folder}$"):
            fetch()
    assert len(list(read_open_images(folder, "validation"))) == 12


@pytest.mark.parametrize("status", [404, 403])
def test_an_optional_file_is_left_out_when_the_server_has_none(fetch, server, tmp_path, status):
    publish(tmp_path, is_flat=True)
    server.failing["validation-annotations-bbox.csv"] = status
    assert find_files(fetch(), "validation").missing == ("boxes",)


def test_the_plan_goes_on_where_it_stood_after_a_failed_download(fetch, server, tmp_path):
    publish(tmp_path, is_flat=False)
    server.failing["validation-annotations-bbox.csv"] = 503
    with pytest.raises(PlanRefused, match=r"bbox\.csv could not be fetched.*Plan again"):
        fetch()
    server.failing.clear()
    server.sent.clear()
    assert find_files(fetch(), "validation").missing == ()
    assert not any("images-with-rotation" in name or "imagelabels" in name for name in server.sent)


def test_the_plan_is_refused_when_there_is_no_image_list(fetch):
    with pytest.raises(PlanRefused, match=r"Expected the image list of the validation split at http"):
        fetch()


def test_a_page_in_place_of_a_file_is_refused_and_not_kept(fetch, server, tmp_path):
    publish(tmp_path, is_flat=True)
    path = tmp_path / "www" / "openimages" / "validation-annotations-bbox.csv"
    right = path.read_text()
    path.write_text("<html>Sign in</html>")
    with pytest.raises(PlanRefused, match="expected the columns"):
        fetch()
    path.write_text(right)
    assert find_files(fetch(), "validation").missing == ()


def test_an_internal_address_is_refused_unless_it_is_allowed(fetch, tmp_path):
    publish(tmp_path, is_flat=True)
    with pytest.raises(PlanRefused, match="could not be fetched"):
        fetch(policy=AddressPolicy())


@pytest.mark.parametrize("url", ["ftp://x/", "file:///etc/", "https://", "https://x/?a=b", "x"])
def test_the_plan_is_refused_when_the_base_is_no_web_address(tmp_path, url):
    with pytest.raises(PlanRefused, match=r"http\(s\)"):
        fetch_metadata(url, "validation", tmp_path, user_agent="tests")


def test_a_url_is_told_from_a_folder():
    assert [is_url(x) for x in ("https://x/", "HTTP://x", "./https", "/data", "s3://x")] == [
        True,
        True,
        False,
        False,
        False,
    ]
