"""What a store's errors become: a stable code, what to do next, and never what the answer repeats of the request."""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from media_assets.cli import main
from media_assets.errors import StoreCode, StoreFailed, StoreRefused
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.lake.fitness import examine
from media_assets.lake.location import LakeLocation
from media_assets.lake.s3_options import S3Options
from media_assets.lake.sql import run_query
from media_assets.lake.store_errors import store_code, store_errors_told, told
from media_assets.tables import MANIFEST
from media_assets_tests.lake.lakes import plan
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.object_store.proxy import Proxy, Request, proxy_before
from media_assets_tests.object_store.stores import SECRET, TOKEN, Keys

ADVICE = {
    StoreCode.CREDENTIALS_REFUSED: "session token",
    StoreCode.ACCESS_DENIED: "docs/object-storage.md",
    StoreCode.CLOCK_SKEWED: "NTP",
    StoreCode.REGION_WRONG: "MEDIA_ASSETS_S3_REGION",
    StoreCode.STORE_UNREACHABLE: "MEDIA_ASSETS_S3_ENDPOINT",
    StoreCode.BUCKET_MISSING: "Create the bucket",
    StoreCode.STORE_ERROR: "the store's own log",
}
# (HTTP status, S3's code, ours). The bodies are as AWS sends them: they repeat the request, its token included.
ANSWERS = [
    (403, "InvalidAccessKeyId", StoreCode.CREDENTIALS_REFUSED),
    (403, "SignatureDoesNotMatch", StoreCode.CREDENTIALS_REFUSED),
    (400, "ExpiredToken", StoreCode.CREDENTIALS_REFUSED),
    (403, "AccessDenied", StoreCode.ACCESS_DENIED),
    (403, "RequestTimeTooSkewed", StoreCode.CLOCK_SKEWED),
    (301, "PermanentRedirect", StoreCode.REGION_WRONG),
    (400, "AuthorizationHeaderMalformed", StoreCode.REGION_WRONG),
    (404, "NoSuchBucket", StoreCode.BUCKET_MISSING),
    (503, "SlowDown", StoreCode.STORE_ERROR),
    (403, "", StoreCode.ACCESS_DENIED),
]


def answer(status: int, code: str) -> Callable[[Request], tuple[int, bytes]]:
    """An S3 error, with everything in it that the service repeats."""
    body = (
        f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>told</Message><AWSAccessKeyId>{Keys().key}'
        f"</AWSAccessKeyId><StringToSign>{SECRET}</StringToSign><CanonicalRequest>x-amz-security-token:{TOKEN}"
        f"</CanonicalRequest><MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds></Error>"
    )
    return lambda request: (status, body.encode() if code else b"")


def is_silent(text: str) -> bool:
    """Whether nothing of the credentials is in it."""
    return not any(secret in text for secret in (SECRET, TOKEN, Keys().key))


@dataclass
class Ground:
    """A lake behind a proxy that gives what answers it is told to."""

    proxy: Proxy
    location: LakeLocation


@pytest.fixture
def ground(moto: str, bucket: str) -> Iterator[Ground]:
    with proxy_before(moto) as proxy:
        options = S3Options(endpoint=proxy.url, region="us-east-1", n_retries=0, timeout_seconds=5)
        yield Ground(proxy, LakeLocation(f"s3://{bucket}/lake", options))


@pytest.mark.parametrize(("status", "said", "code"), ANSWERS, ids=lambda value: str(value))
def test_each_answer_has_a_code_and_an_advice_wherever_it_is_met(
    ground: Ground, status: int, said: str, code: StoreCode
) -> None:
    plan(Lake(ground.location), "a", ["1"])
    scan = Lake(ground.location).scan(MANIFEST, require_whole=False)
    ground.proxy.answer = answer(status, said)
    blobs = BlobStore.at(ground.location)
    meetings: list[Callable[[], Any]] = [
        ground.location.storage.require_usable,
        lambda: Lake(ground.location).table(MANIFEST),
        lambda: plan(Lake(ground.location), "b", ["2"]),
        lambda: blobs.put("0" * 64, b"x"),
        lambda: asyncio.run(blobs.put_if_absent("0" * 64, b"x")),
    ]
    if status != 503:  # polars tries those again for a while
        meetings.append(scan.collect)
    for meet in meetings:
        with pytest.raises(Exception) as caught:
            meet()
        text = told(caught.value)
        assert is_silent(text), text
        if not isinstance(caught.value, OSError) or store_code(caught.value) is not None:
            assert store_code(caught.value) == code, meet
        assert str(code) in text or ADVICE[code] in text
        assert "\n" not in text
    with pytest.raises(StoreRefused) as refused:
        ground.location.storage.require_usable()
    assert refused.value.code == code
    assert refused.value.__cause__ is None, "a cause is printed with its effect"
    assert is_silent(repr(refused.value.__context__)) or refused.value.__suppress_context__


def test_an_endpoint_that_does_not_answer_is_told_within_seconds(keys: Keys) -> None:
    location = LakeLocation("s3://some-bucket/x", S3Options(endpoint="http://127.0.0.1:1", region="us-east-1"))
    started = time.monotonic()
    with pytest.raises(StoreRefused, match="MEDIA_ASSETS_S3_ENDPOINT") as caught:
        location.storage.require_usable()
    assert caught.value.code == StoreCode.STORE_UNREACHABLE
    assert time.monotonic() - started < 20


def test_errors_of_a_disk_are_no_errors_of_an_object_store(tmp_path: Path) -> None:
    for error in (FileNotFoundError("/certificates/403/status code"), OSError("connection refused by dns error")):
        assert store_code(error) is None
        assert told(error) == str(error)


def test_doctor_tells_what_it_found(ground: Ground) -> None:
    def verdicts() -> dict[str, Any]:
        return {verdict.check: verdict for verdict in examine(ground.location)}

    assert all(verdict.passed for verdict in verdicts().values())
    ground.proxy.lost_headers = frozenset({"if-none-match"})
    found = verdicts()["store honours put-if-absent"]
    assert not found.passed
    assert "a second create of one object was accepted" in found.detail
    assert "If-None-Match" in found.advice
    ground.proxy.answer = answer(403, "SignatureDoesNotMatch")
    for verdict in verdicts().values():
        assert not verdict.passed
        assert "credentials_refused" in verdict.detail
        assert is_silent(verdict.detail)


Run = Callable[..., Any]


@pytest.fixture
def command_line(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the lake; there is a folder of photos to plan."""
    monkeypatch.setenv("MEDIA_ASSETS_LAKE", ground.location.root)
    monkeypatch.setenv("MEDIA_ASSETS_S3_ENDPOINT", ground.proxy.url)
    monkeypatch.setenv("MEDIA_ASSETS_S3_REGION", "us-east-1")
    monkeypatch.setenv("MEDIA_ASSETS_S3_RETRIES", "0")
    monkeypatch.setenv("MEDIA_ASSETS_WORKERS", "0")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(make_jpeg(1, (64, 64)))
    return lambda *arguments: CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False)


def test_commands_say_the_code_and_no_secret(ground: Ground, command_line: Run, tmp_path: Path) -> None:
    assert command_line("plan", "folder", str(tmp_path / "photos")).exit_code == 0
    ground.proxy.answer = answer(403, "ExpiredToken")
    for command in (["status"], ["materialize"], ["dead-letters", "list"], ["query", "SELECT 1"], ["clean-up"]):
        result = command_line(*command)
        assert result.exit_code == 1
        error = json.loads(result.stdout)["error"]
        assert (error["type"], error["code"]) == ("StoreRefused", "credentials_refused"), command
        assert is_silent(result.stdout + result.stderr)


def test_a_query_and_a_measurement_that_the_store_cuts_short_repeat_no_secret(ground: Ground) -> None:
    plan(Lake(ground.location), "a", ["1"])
    denied = answer(403, "SignatureDoesNotMatch")
    ground.proxy.answer = lambda r: denied(r) if r.path.endswith(".parquet") else None
    with pytest.raises(StoreRefused) as caught:
        run_query(Lake(ground.location), "SELECT count(item_key) FROM ingest.manifest")
    shown = "".join(traceback.format_exception(caught.value))
    assert "credentials_refused" in shown
    assert is_silent(shown), shown
    with pytest.raises(StoreFailed) as failed, store_errors_told("tensors/statistics"):
        Lake(ground.location).scan(MANIFEST).select("item_key").collect()
    shown = "".join(traceback.format_exception(failed.value))
    assert "credentials_refused" in shown
    assert is_silent(shown), shown


@pytest.mark.services  # Dagster's own retries take half a minute
def test_rights_that_end_in_the_middle_of_a_run_are_told_and_no_secret_is_recorded(
    ground: Ground, command_line: Run, tmp_path: Path
) -> None:
    assert command_line("plan", "folder", str(tmp_path / "photos")).exit_code == 0
    denied = answer(403, "SignatureDoesNotMatch")
    ground.proxy.answer = lambda r: denied(r) if r.method == "PUT" and "frames" in r.path else None
    result = command_line("materialize")
    assert result.exit_code == 1
    assert "credentials_refused" in result.stdout
    assert is_silent(result.stdout + result.stderr)
    ground.proxy.answer = lambda r: None
    result = command_line("materialize")
    assert result.exit_code == 0, result.stdout + result.stderr
    for path in (path for path in (tmp_path / "home").rglob("*") if path.is_file()):
        assert is_silent(path.read_bytes().decode("utf-8", "replace")), path
