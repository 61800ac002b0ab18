"""`upload-token` and `serve-uploads` as commands: what they print, and what they refuse before anything begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from media_assets.cli import main
from media_assets.cli_uploads import _limits
from media_assets.defs.resources import Settings
from media_assets.ingest.uploads.limits import UploadLimits
from media_assets.ingest.uploads.tokens import TokenFile


def run(environment: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(main, list(words), env=environment)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "MEDIA_ASSETS_INBOX": str(tmp_path / "inbox"),
        "MEDIA_ASSETS_UPLOAD_TOKENS": str(tmp_path / "tokens.json"),
        "MEDIA_ASSETS_UPLOAD_STATE": "",
    }


def test_a_token_is_printed_once_and_works(environment: dict[str, str]) -> None:
    result = run(
        environment, "upload-token", "anna", "--source", "phones", "--mib-per-day", "5", "--files-per-day", "7"
    )
    assert result.exit_code == 0, result.output
    token = TokenFile(Path(environment["MEDIA_ASSETS_UPLOAD_TOKENS"])).find(result.stdout.strip())
    assert token is not None
    assert (token.source, token.bytes_per_day, token.files_per_day) == ("phones", 5 * 1024 * 1024, 7)
    again = run(environment, "upload-token", "anna", "--json")
    assert again.exit_code == 1
    assert json.loads(again.stdout)["error"]["code"] == "setup_error"
    replaced = json.loads(run(environment, "upload-token", "anna", "--replace", "--json").stdout)
    assert (replaced["name"], replaced["source"]) == ("anna", "anna")
    assert TokenFile(Path(environment["MEDIA_ASSETS_UPLOAD_TOKENS"])).find(result.stdout.strip()) is None


@pytest.mark.parametrize(
    ("changed", "words", "told"),
    [
        ({"MEDIA_ASSETS_UPLOAD_TOKENS": ""}, (), "MEDIA_ASSETS_UPLOAD_TOKENS"),
        ({"MEDIA_ASSETS_UPLOAD_TOKENS": "/nowhere/tokens.json"}, (), "upload-token"),
        ({"MEDIA_ASSETS_INBOX": ""}, (), "MEDIA_ASSETS_INBOX"),
        ({"MEDIA_ASSETS_INBOX": "s3://bucket/inbox"}, (), "MEDIA_ASSETS_UPLOAD_STATE"),
        ({}, ("--host", "0.0.0.0"), "--public"),
        ({}, ("--host", "no such host"), "address"),
    ],
)
def test_what_cannot_be_served_is_told(
    environment: dict[str, str], changed: dict[str, str], words: tuple[str, ...], told: str
) -> None:
    assert run(environment, "upload-token", "anna").exit_code == 0
    result = run(environment | changed, "serve-uploads", "--port", "0", *words)
    assert result.exit_code == 1
    assert told in result.stderr


def test_the_limits_that_settings_give_are_the_documented_ones() -> None:
    assert _limits(Settings()) == UploadLimits()
