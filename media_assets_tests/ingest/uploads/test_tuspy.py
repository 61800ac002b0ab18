"""A client that others wrote: tuspy uploads, is cut off, and resumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.storage.filestorage import FileStorage

from media_assets_tests.ingest.uploads.site import SECRET, UploadSite, running

DATA = bytes(range(256)) * 700


@pytest.fixture
def site(tmp_path: Path) -> Iterator[UploadSite]:
    with running(tmp_path) as site:
        yield site


def client(site: UploadSite, secret: str = SECRET) -> TusClient:
    return TusClient(f"{site.url}files", headers={"Authorization": f"Bearer {secret}"})


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize("chunk_bytes", [1_000_000, 60_000])
def test_tuspy_uploads_with_checksums(site: UploadSite, photo: Path, chunk_bytes: int) -> None:
    uploader = client(site).uploader(
        str(photo), chunk_size=chunk_bytes, metadata={"filename": "photo.jpg"}, upload_checksum=True
    )
    uploader.upload()
    ((path, data),) = site.landed().items()
    assert data == DATA
    assert path.endswith("-photo.jpg")


def test_tuspy_resumes_after_a_cut_connection_and_a_restart(tmp_path: Path, photo: Path) -> None:
    storage = FileStorage(str(tmp_path / "urls.json"))
    root = tmp_path / "site"
    root.mkdir()
    with running(root) as site:
        port = site.port
        uploader = client(site).uploader(str(photo), chunk_size=60_000, store_url=True, url_storage=storage)
        uploader.upload_chunk()
        uploader.upload_chunk()
    with pytest.raises(TusCommunicationError):
        uploader.get_offset()  # the server is gone
    with running(root) as site:
        url = uploader.url.replace(str(port), str(site.port))
        later = client(site).uploader(str(photo), chunk_size=60_000, url=url)
        assert later.offset == 120_000
        later.upload()
        assert list(site.landed().values()) == [DATA]
    storage.close()


def test_tuspy_is_told_when_its_token_is_unknown(site: UploadSite, photo: Path) -> None:
    with pytest.raises(TusCommunicationError) as refused:
        client(site, "ma_wrong").uploader(str(photo)).upload()
    assert refused.value.status_code == 401
