"""One moto server for all tests here, a fresh bucket for each, and credentials that must never be seen again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from media_assets.lake import s3_options
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.lake.s3_options import S3Options
from media_assets_tests.object_store.moto_server import running_moto
from media_assets_tests.object_store.stores import Keys, make_bucket, set_keys


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The endpoint of a moto server."""
    with running_moto() as url:
        yield url


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Keys]:
    """Credentials in the environment, and nothing else of AWS's configuration."""
    keys = Keys()
    set_keys(monkeypatch, keys, tmp_path)
    yield keys
    s3_options.forget()


@pytest.fixture
def bucket(moto: str, keys: Keys) -> str:
    """A new bucket."""
    return make_bucket(moto)


@pytest.fixture
def location(moto: str, bucket: str) -> LakeLocation:
    """A lake in a new bucket."""
    return LakeLocation(f"s3://{bucket}/some/lake", S3Options(endpoint=moto, region="us-east-1"))


@pytest.fixture
def lake(location: LakeLocation) -> Lake:
    """Its tables."""
    return Lake(location)
