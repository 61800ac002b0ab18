"""Tokens: made once, kept as hashes, compared all alike, read again when the file changes."""

from __future__ import annotations

import hmac
import stat
from pathlib import Path

import pytest

from media_assets.errors import SetupError
from media_assets.ingest.uploads.tokens import TokenFile, new_token, read_tokens


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def made(path: Path, name: str, *, replace: bool = False) -> str:
    return new_token(path, name, "phones", 1000, None, replace=replace)


def test_the_file_keeps_a_hash_that_only_its_owner_reads(path: Path) -> None:
    secret = made(path, "anna")
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (token,) = read_tokens(path)
    assert (token.name, token.source, token.bytes_per_day, token.files_per_day) == ("anna", "phones", 1000, None)
    assert len(secret) > 40
    assert secret != made(path, "bert")


def test_a_secret_finds_its_token_and_others_find_none(path: Path) -> None:
    anna, bert = made(path, "anna"), made(path, "bert")
    tokens = TokenFile(path)
    assert [found.name for secret in (anna, bert) if (found := tokens.find(secret))] == ["anna", "bert"]
    assert [tokens.find(secret) for secret in ("", anna[:-1], f"{anna} ", "é", "\udcff")] == [None] * 5


def test_every_token_is_compared_whichever_comes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [made(path, f"t{i}") for i in range(5)]
    tokens, compared = TokenFile(path), []
    genuine = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(1) or genuine(a, b))
    for secret in (secrets[0], secrets[4], "no token"):
        compared.clear()
        tokens.find(secret)
        assert len(compared) == 5


def test_a_taken_out_token_is_refused_and_an_unreadable_file_changes_nothing(path: Path) -> None:
    now = [0.0]
    anna, bert = made(path, "anna"), made(path, "bert")
    tokens = TokenFile(path, clock=lambda: now[0])
    whole = path.read_text()
    path.write_text("{")
    now[0] += 2
    assert tokens.find(anna) is not None
    assert str(path) in tokens.trouble
    path.write_text(whole)
    new_anna = made(path, "anna", replace=True)
    now[0] += 2
    assert [tokens.find(secret) is not None for secret in (anna, new_anna, bert)] == [False, True, True]
    assert not tokens.trouble


def test_a_second_token_of_a_name_is_refused_unless_it_replaces(path: Path) -> None:
    made(path, "anna")
    with pytest.raises(SetupError, match="--replace"):
        made(path, "anna")


@pytest.mark.parametrize("name", ["", "Anna", "a/b", "..", ".a", "a b", "ä", "-a", "a" * 65, "a.part"])
def test_a_name_that_is_no_folder_is_refused(path: Path, name: str) -> None:
    with pytest.raises(SetupError, match="small letters"):
        new_token(path, "good", name, None, None, replace=False)
    with pytest.raises(SetupError, match="small letters"):
        new_token(path, name, "good", None, None, replace=False)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"tokens": [{"name": "a", "source": "b"}]}',
        '{"tokens": [{"name": "a", "source": "b", "sha256": "00"}]}',
        '{"tokens": [{"name": "a", "source": "../b", "sha256": "%s"}]}' % ("0" * 64),
        '{"tokens": [{"name": "a", "source": "b", "sha256": "%s", "bytes_per_day": -1}]}' % ("0" * 64),
        '{"tokens": [{"name": "a", "source": "b", "sha256": "%s", "qota": 1}]}' % ("0" * 64),
        '{"tokens": [%s, %s]}' % (('{"name": "a", "source": "b", "sha256": "%s"}' % ("0" * 64),) * 2),
    ],
)
def test_a_file_of_another_form_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SetupError):
        read_tokens(path)


def test_a_file_that_everybody_may_write_is_refused(path: Path) -> None:
    made(path, "anna")
    path.chmod(0o666)
    with pytest.raises(SetupError, match="chmod"):
        read_tokens(path)
