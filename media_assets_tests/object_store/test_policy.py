"""The IAM policy that docs/object-storage.md asks for is enough, and nothing in it is idle.

moto judges every request by its identity's policy, as AWS does.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from media_assets.lake import s3_options
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.lake.fitness import examine
from media_assets.lake.journal import FetchJournal
from media_assets.lake.location import LakeLocation
from media_assets.lake.parts import PartWriter
from media_assets.lake.publications import Publications
from media_assets.lake.s3_options import S3Options
from media_assets.tables import TENSORS_IMAGES
from media_assets_tests.docs.pages import ROOT
from media_assets_tests.lake.lakes import US, plan, planned, tensor
from media_assets_tests.object_store.stores import Keys, make_bucket, set_keys
from media_assets_tests.object_store.test_storage import entry

BUCKET = "my-lake"
ONLY_AFTER_A_FAILURE = {"s3:AbortMultipartUpload"}


def documented_policy() -> dict[str, Any]:
    page = (ROOT / "docs" / "object-storage.md").read_text("utf-8")
    (found,) = re.findall(r"```json\n(\{.*?\"Statement\".*?)```", page, re.DOTALL)
    policy: dict[str, Any] = json.loads(found)
    return policy


def actions(policy: dict[str, Any]) -> list[str]:
    return [action for statement in policy["Statement"] for action in statement["Action"]]


def without(policy: dict[str, Any], action: str) -> dict[str, Any]:
    kept = json.loads(json.dumps(policy))
    for statement in kept["Statement"]:
        statement["Action"] = [other for other in statement["Action"] if other != action]
    kept["Statement"] = [statement for statement in kept["Statement"] if statement["Action"]]
    return kept  # type: ignore[no-any-return]


def _judge(moto: str, n_free: str) -> None:
    """How many requests moto takes before it begins to judge them."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    address, plain = f"{moto}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    direct.open(urllib.request.Request(address, n_free.encode(), plain)).close()


@pytest.fixture
def iam(moto: str, keys: Keys) -> Iterator[Any]:
    """moto's IAM; requests are judged by it from the first `_judge(moto, "0")` on."""
    yield botocore.session.Session().create_client("iam", region_name="us-east-1", endpoint_url=moto)
    _judge(moto, "inf")


def _as_moto_reads_it(policy: dict[str, Any]) -> dict[str, Any]:
    """moto looks for the right to delete many objects on the bucket; AWS, as documented, on the objects."""
    read = json.loads(json.dumps(policy))
    for statement in read["Statement"]:
        if "s3:DeleteObject" in statement["Action"]:
            statement["Resource"] = [*statement["Resource"], f"arn:aws:s3:::{BUCKET}"]
    return read  # type: ignore[no-any-return]


def become(iam: Any, policy: dict[str, Any], monkeypatch: pytest.MonkeyPatch, empty: Path) -> None:
    """Be a new identity with this policy alone."""
    name = f"user-{hashlib.sha256(json.dumps(policy).encode()).hexdigest()[:12]}"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="lake", PolicyDocument=json.dumps(_as_moto_reads_it(policy)))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    set_keys(monkeypatch, Keys(made["AccessKeyId"], made["SecretAccessKey"], None), empty)
    s3_options.forget()


def walk(location: LakeLocation) -> None:
    """Everything that a lake does with its bucket."""
    location.storage.require_usable()
    lake, name = Lake(location), hashlib.sha256(b"blob").hexdigest()
    plan(lake, "a", ["1"])
    plan(lake, "a", ["1"])
    assert planned(lake) == [("a", "1")]
    BlobStore.at(location).put(name, b"blob")
    assert BlobStore.at(location).read(name) == b"blob"
    with FetchJournal.of(location, "a") as journal:
        journal.append(entry("1"))
        journal.clear()
    with (
        PartWriter(lake, TENSORS_IMAGES, "a", "tensor") as writer,
        Publications.of(location).under_way("a", ["tensors.images"]),
    ):
        writer.append("small", tensor(1))
        writer.commit(US)
    assert all(verdict.passed for verdict in examine(location))


def test_the_documented_policy_is_enough_and_nothing_in_it_is_idle(
    moto: str, iam: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = documented_policy()
    make_bucket(moto, BUCKET)
    needed = [action for action in actions(policy) if action not in ONLY_AFTER_A_FAILURE]
    for left_out in [None, *needed]:
        _judge(moto, "inf")
        become(iam, policy if left_out is None else without(policy, left_out), monkeypatch, tmp_path)
        _judge(moto, "0")
        options = S3Options(endpoint=moto, region="us-east-1", n_retries=0)
        location = LakeLocation(f"s3://{BUCKET}/lake/{str(left_out).replace(':', '-')}", options)
        if left_out is None:
            walk(location)
            continue
        with pytest.raises(Exception) as caught:
            walk(location)
        assert not isinstance(caught.value, KeyError), left_out
