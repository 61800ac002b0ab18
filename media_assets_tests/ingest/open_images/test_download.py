"""Metadata from a URL: a real server on loopback, in both layouts, with what can go wrong."""

from __future__ import annotations

import os
import threading
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

LIMITS = FetchLimits(max_bytes=1 << 20, n_connections=1, max_attempts=1, memory_bytes=1000)


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        status = self.server.failing.get(self.path.rpartition("/")[2])
        if status:
            self.send_error(status)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path):
    (tmp_path / "www").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "www")))
    server.paths, server.failing = [], {}
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


@pytest.mark.parametrize("is_flat", [True, False])
def test_what_is_planned_is_the_same_from_a_url_in_both_layouts(fetch, tmp_path, is_flat):
    publish(tmp_path, is_flat=is_flat)
    small_split(tmp_path / "local")
    got = list(read_open_images(fetch(), "validation"))
    assert got == list(read_open_images(tmp_path / "local", "validation"))
    assert len(got) == 12
    assert not list((tmp_path / "got").glob("*.part"))


def test_a_file_has_its_name_only_once_it_is_on_the_disk(fetch, tmp_path, monkeypatch):
    publish(tmp_path, is_flat=True)
    sync, synced = os.fsync, set()

    def watched(handle):
        synced.add(os.fstat(handle).st_ino)
        assert os.fstat(handle).st_ino not in {path.stat().st_ino for path in (tmp_path / "got").glob("*.csv")}
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    fetch()
    assert {path.stat().st_ino for path in (tmp_path / "got").glob("*.csv")} == synced != set()


def test_files_that_are_there_are_not_fetched_again(fetch, server, tmp_path):
    publish(tmp_path, is_flat=False)
    fetch()
    server.paths.clear()
    fetch()
    assert server.paths == []


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
    server.paths.clear()
    assert find_files(fetch(), "validation").missing == ()
    assert not any("images-with-rotation" in path or "imagelabels" in path for path in server.paths)


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
