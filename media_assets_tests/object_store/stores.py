"""Buckets and credentials of tests."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import botocore.session
import pytest
from botocore.config import Config

from media_assets.lake import s3_options

SECRET = "s3cr3t-that-nobody-may-see-0000000000000"
TOKEN = "t0ken-that-nobody-may-see-either-0000000"


@dataclass(frozen=True)
class Keys:
    """One identity."""

    key: str = "AKIAIOSFODNN7EXAMPLE"
    secret: str = SECRET
    token: str | None = TOKEN

    @property
    def environment(self) -> dict[str, str]:
        """As AWS's variables."""
        token = {"AWS_SESSION_TOKEN": self.token} if self.token else {}
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret, **token}


def set_keys(monkeypatch: pytest.MonkeyPatch, keys: Keys, empty: Path) -> None:
    """Make these the only credentials of this process, whatever the machine's own configuration says."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "MEDIA_ASSETS_S3_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty / "no-credentials"))
    for name, value in keys.environment.items():
        monkeypatch.setenv(name, value)
    s3_options.forget()


def make_bucket(endpoint: str, name: str | None = None) -> str:
    """A new bucket, made with the credentials of this process."""
    name = name or f"lake-{uuid.uuid4().hex[:12]}"
    client(endpoint).create_bucket(Bucket=name)
    return name


def client(endpoint: str):  # type: ignore[no-untyped-def]  # botocore has no types
    """A botocore client, which shares no code with what is tested."""
    session = botocore.session.Session()
    config = Config(s3={"addressing_style": "path"})
    return session.create_client("s3", region_name="us-east-1", endpoint_url=endpoint, config=config)
