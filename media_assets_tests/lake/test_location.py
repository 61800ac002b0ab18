"""Where a lake may be: what is written there must be readable, and a spelling must never name another folder."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake
from obstore.store import LocalStore

from media_assets.errors import LakeUnfit
from media_assets.lake.location import LakeLocation
from media_assets.lake.s3_options import S3Options
from media_assets_tests.lake.lakes import lake_at, plan, planned

UNREADABLE = [" ", "%", "#", ">", "<", "é"]


@pytest.mark.parametrize("letter", UNREADABLE)
def test_a_path_is_refused_when_polars_could_not_read_it_back(tmp_path: Path, letter: str) -> None:
    folder = tmp_path / f"a{letter}b"
    with pytest.raises(LakeUnfit, match="could be written but not read back"):
        LakeLocation(str(folder))
    # The reason for the rule. Once this no longer raises, the rule can go.
    write_deltalake(str(folder), pl.DataFrame({"n": [1]}))
    with pytest.raises(FileNotFoundError):
        pl.scan_delta(str(folder)).collect()


@pytest.mark.parametrize(
    "path", ["a?b", "a*b", "a[b]", "a{b}", "a|b", "a\\b", 'a"b', "a\tb", "a\nb", "lake\n", "日本", "a=b"]
)
def test_other_letters_are_refused_too(tmp_path: Path, path: str) -> None:
    with pytest.raises(LakeUnfit, match="another folder"):
        LakeLocation(f"{tmp_path}/{path}")


def test_a_path_with_an_equals_sign_is_refused_as_polars_takes_it_for_a_partition(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "a=b"), pl.DataFrame({"n": [1], "p": ["x"]}), partition_by=["p"])
    with pytest.raises(pl.exceptions.SchemaFieldNotFoundError):
        pl.scan_delta(str(tmp_path / "a=b")).collect()
    with pytest.raises(LakeUnfit, match="partition"):
        LakeLocation("s3://bucket/a=b")


@pytest.mark.parametrize("path", ["a.b", "a_b-c", "a+b", "a:b", "a,b", "a@b", "~a", "it's", "x/../y", "x//y"])
def test_every_letter_that_is_allowed_can_be_read_back(tmp_path: Path, path: str) -> None:
    lake = lake_at(f"{tmp_path}/{path}")
    plan(lake, "a", ["1"])
    assert planned(lake) == [("a", "1")]


def test_relative_paths_and_home_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert LakeLocation("lake").root == str(tmp_path / "lake")
    assert LakeLocation("./lake/").root == str(tmp_path / "lake")
    assert LakeLocation("~/lake").root == str(tmp_path / "home" / "lake")
    assert LakeLocation(".").root == str(tmp_path)
    location = LakeLocation("lake")
    monkeypatch.chdir("/")
    assert location.path == tmp_path / "lake", "a lake does not move with the process"


def test_the_current_folder_is_refused_when_it_cannot_be_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "My Photos").mkdir()
    monkeypatch.chdir(tmp_path / "My Photos")
    with pytest.raises(LakeUnfit, match="My Photos"):
        LakeLocation("lake")


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("file:///data/lake", "/data/lake"),
        ("file://localhost/data/lake", "/data/lake"),
        ("FILE:///data/lake", "/data/lake"),
        ("file:///data/a%2Bb", "/data/a+b"),
        ("file:///data/lake/", "/data/lake"),
    ],
)
def test_file_urls_are_paths(url: str, root: str) -> None:
    location = LakeLocation(url)
    assert (location.root, location.is_local, location.path) == (root, True, Path(root))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file://",
        "file://data/lake",  # `data` is a host here
        "file://./lake",
        "file://~/lake",
        "file:lake",
        "file:/lake",
        "file:///data/a%20b",
        "file:///data/a#b",  # dropping the fragment would name another folder
        "file:///data/a?b",
        "~nobody-of-this-name/lake",
    ],
)
def test_a_spelling_is_refused_when_it_would_name_another_folder(url: str) -> None:
    with pytest.raises(LakeUnfit) as caught:
        LakeLocation(url)
    assert "Expected" in str(caught.value) or "must" in str(caught.value)


def test_an_object_store_is_not_a_path() -> None:
    location = LakeLocation("s3://bucket/prefix/", S3Options(endpoint="http://127.0.0.1:1", region="eu-central-1"))
    assert not location.is_local
    assert location.uri("raw", "media") == "s3://bucket/prefix/raw/media"
    assert type(location.store("blobs")).__name__ == "S3Store"
    with pytest.raises(LakeUnfit, match="local folder"):
        _ = location.path


def test_a_local_store_lies_in_the_lake(tmp_path: Path) -> None:
    location = LakeLocation(str(tmp_path / "lake"))
    store = location.store("blobs", "deep")
    assert isinstance(store, LocalStore)
    assert (tmp_path / "lake" / "blobs" / "deep").is_dir()
    assert location.uri("raw", "media") == f"{tmp_path}/lake/raw/media"


def test_a_folder_that_cannot_be_made_is_unfit(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LakeUnfit, match="can be written"):
        LakeLocation(str(tmp_path / "file" / "lake")).store("blobs")


@pytest.mark.parametrize("url", ["s3://key:secret@bucket/lake", "s3://bucket/lake?secret=1", "s3://secret/#x"])
def test_a_refused_url_is_not_repeated_since_it_may_hold_a_key(url: str) -> None:
    with pytest.raises(LakeUnfit) as caught:
        LakeLocation(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://host/lake", "s3://", "nonsense://x", "s3://b/a b", "s3://bucket/a/../b", "S3://Up"]
)
def test_a_store_that_is_not_known_is_unfit(url: str) -> None:
    with pytest.raises(LakeUnfit, match="s3://bucket/prefix") as caught:
        LakeLocation(url).store("blobs")
    assert "\n" not in str(caught.value)
