"""What dagster-aws brings: compute logs in a bucket by the documented file, and a client set as the lake's store is."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from media_assets.defs.graph import build_defs
from media_assets.defs.resources import Settings, dagster_home, open_instance
from media_assets_tests.docs.pages import ROOT
from media_assets_tests.object_store.stores import SECRET, client


def test_the_documented_instance_keeps_compute_logs_in_a_bucket(
    moto: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_ASSETS_S3_ENDPOINT", moto)
    monkeypatch.setenv("MEDIA_ASSETS_S3_REGION", "us-east-1")
    monkeypatch.setenv("MEDIA_ASSETS_LOGS_BUCKET", bucket)
    shutil.copyfile(ROOT / "docs" / "dagster-s3.yaml", tmp_path / "dagster.yaml")

    @dg.op
    def speak() -> None:
        print("a line that a run prints")

    @dg.job
    def speaking() -> None:
        speak()

    with dagster_home(tmp_path), open_instance(Settings(lake=str(tmp_path / "lake"))) as instance:
        assert speaking.execute_in_process(instance=instance).success
    store = client(moto)
    names = [entry["Key"] for entry in store.list_objects_v2(Bucket=bucket)["Contents"]]
    assert all(name.startswith("dagster/") for name in names)
    bodies = b"".join(store.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names)
    assert b"a line that a run prints" in bodies
    assert SECRET.encode() not in bodies


def test_assets_of_ones_own_are_given_a_client_of_the_lakes_store(moto: str, bucket: str, tmp_path: Path) -> None:
    settings = Settings(lake=f"s3://{bucket}/lake", s3_endpoint=moto, s3_region="us-east-1")
    resources = build_defs(settings).resources
    assert resources is not None
    s3 = resources["s3"]
    assert isinstance(s3, S3Resource)
    s3.get_client().put_object(Bucket=bucket, Key="mine", Body=b"1")
    assert client(moto).get_object(Bucket=bucket, Key="mine")["Body"].read() == b"1"
    assert "s3" not in (build_defs(Settings(lake=str(tmp_path))).resources or {})
