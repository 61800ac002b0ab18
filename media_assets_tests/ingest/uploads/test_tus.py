"""The headers of tus, read."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest

from media_assets.ingest.uploads import tus
from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused


def encoded(data: bytes) -> str:
    return b64encode(data).decode()


@pytest.mark.parametrize("text", ["-5", "+5", "five", "", " 5", "5.0", "1e3", "٥", "9" * 19])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UploadRefused) as refused:
        tus.number_in({"upload-offset": text}, "Upload-Offset")
    assert refused.value.code is UploadCode.BAD_REQUEST


def test_a_number_is_read_and_a_missing_one_is_none_or_refused() -> None:
    assert tus.number_in({"upload-offset": "0012"}, "Upload-Offset") == 12
    assert tus.number_in({}, "Upload-Offset") is None
    with pytest.raises(UploadRefused, match="Upload-Offset"):
        tus.required_number({}, "Upload-Offset")


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0", "1.0.0 "])
def test_another_version_is_refused(version: str | None) -> None:
    headers = {} if version is None else {"tus-resumable": version}
    with pytest.raises(UploadRefused) as refused:
        tus.require_version(headers)
    assert refused.value.status == 412


@pytest.mark.parametrize("algorithm", tus.ALGORITHMS)
def test_a_checksum_holds_the_bytes_it_names(algorithm: str) -> None:
    digest = hashlib.new(algorithm, b"cat").digest()
    checksum = tus.checksum_in({"upload-checksum": f"{algorithm} {encoded(digest)}"})
    assert checksum is not None
    checksum.require(digest)
    with pytest.raises(UploadRefused) as refused:
        checksum.require(hashlib.new(algorithm, b"dog").digest())
    assert refused.value.status == 460


@pytest.mark.parametrize(
    "text", ["", "sha1", "sha1 ", "sha1 %%%", f"sha1 {encoded(b'short')}", f"crc32 {encoded(b'1234')}", "sha1  "]
)
def test_what_is_no_checksum_is_refused(text: str) -> None:
    with pytest.raises(UploadRefused) as refused:
        tus.checksum_in({"upload-checksum": text})
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        (f"filename {encoded('é.jpg'.encode())}", "é.jpg"),
        (f"name {encoded(b'b')},filename {encoded(b'a')}", "a"),
        (f"name {encoded(b'b')}", "b"),
        ("filename INVALID, empty, hah INVALID", ""),
        (f"filename {encoded(bytes([255]))}", ""),
        ("filename", ""),
        ("", ""),
        (",,,", ""),
    ],
)
def test_the_name_is_read_and_what_cannot_be_is_ignored(metadata: str, name: str) -> None:
    assert tus.original_name({"upload-metadata": metadata}) == name
