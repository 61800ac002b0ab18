"""A lake in a real S3 store, as a stranger uses it: the command line, `kill -9`, several writers, wrong credentials."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import obstore
import pytest

from media_assets.demo.corpus import Corpus, write_corpus
from media_assets.demo.server import SampleServer
from media_assets.errors import StoreCode, StoreRefused
from media_assets.lake import s3_options
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.lake.fitness import examine
from media_assets.lake.location import LakeLocation
from media_assets.lake.s3_options import S3Options
from media_assets.serving.tensors import TensorReader
from media_assets.tables import MANIFEST, TENSORS_IMAGES
from media_assets_tests.equality import missing_blobs, tables_of
from media_assets_tests.lake import rivals
from media_assets_tests.lake.lakes import planned
from media_assets_tests.object_store.stores import Keys, make_bucket, set_keys
from media_assets_tests.services.seaweedfs import READER, WRITER, SeaweedFS

pytestmark = pytest.mark.services
N_IMAGES = 40
N_WRITERS = 4


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seaweedfs: SeaweedFS) -> Iterator[Keys]:
    """The writer's credentials, and the store as AWS's own variables name it."""
    set_keys(monkeypatch, WRITER, tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", seaweedfs.url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    yield WRITER
    s3_options.forget()


@pytest.fixture
def bucket(seaweedfs: SeaweedFS, keys: Keys) -> str:
    """A new bucket."""
    return make_bucket(seaweedfs.url)


@dataclass
class CommandLine:
    """`media-assets` in processes of their own, on one lake; remembers everything that they printed."""

    lake: str
    home: Path
    environment: dict[str, str]
    said: list[str] = field(default_factory=list)

    def run(self, *arguments: str, code: int = 0) -> Any:
        """The JSON document of a command."""
        done = self._start([sys.executable, "-m", "media_assets.cli", *arguments, "--json"])
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def die(self, point: str, number: int, *arguments: str) -> None:
        """A command that is killed at the number-th time that it gets to a point."""
        dying = [sys.executable, "-m", "media_assets_tests.chaos.dying_cli", point, str(number), "run", *arguments]
        done = self._start(dying)
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr

    def _start(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        environment = os.environ | self.environment | {"MEDIA_ASSETS_LAKE": self.lake, "DAGSTER_HOME": str(self.home)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=110, check=False)
        self.said += [done.stdout, done.stderr]
        return done


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """The demo's sample set."""
    return write_corpus(tmp_path / "source", n_images=N_IMAGES)


@pytest.mark.timeout(600)
def test_a_lake_in_a_bucket_ends_like_a_local_one_whatever_is_killed(
    seaweedfs: SeaweedFS, bucket: str, corpus: Corpus, tmp_path: Path
) -> None:
    ours = {
        "MEDIA_ASSETS_WORKERS": "1",
        "MEDIA_ASSETS_ALLOWED_NETWORKS": "127.0.0.0/8",
        "MEDIA_ASSETS_TENSOR_SPECS": '[{"size": [32, 32], "resize_shorter_px": 36}]',
    }
    far = CommandLine(f"s3://{bucket}/some/lake", tmp_path / "far", ours)
    near = CommandLine(str(tmp_path / "near" / "lake"), tmp_path / "near" / "home", ours)
    with SampleServer(corpus.root) as server:
        where = ("--metadata", str(corpus.metadata), "--image-url", server.image_url_template)
        plan = ("plan", "open-images", "--split", "validation", "--batch-size", "25", *where)
        near.run(*plan)
        near.run("materialize")

        assert all(row["passed"] for row in far.run("doctor")["rows"])
        far.die("after ingest/manifest", 1, *plan)
        assert far.run(*plan)["rows"][0]["planned"] + 25 == N_IMAGES
        far.die("after journal", 12, "materialize")
        far.die("before frames/images", 1, "materialize")
        assert far.run("status")["half_published"] == ["open-images.validation.0001"]
        fetched = dict(server.hits)
        far.die("after tensors/images", 2, "materialize")
        assert {row["result"] for row in far.run("materialize")["rows"]} <= {"done"}
        assert far.run("materialize")["rows"] == []
        assert sum(row["pending"] for row in far.run("status")["rows"]) == 0
        kept = far.run("query", "SELECT item_key FROM raw.media WHERE batch_id = 'open-images.validation.0001'")["rows"]
        again = {Path(path).stem for path, n in server.hits.items() if n > fetched.get(path, 0)}
        assert len(kept) > 10
        assert again & {row["item_key"] for row in kept} == set(), "what was fetched stays fetched"

        server.mend()
        letters = far.run("dead-letters", "list")["rows"]
        assert letters
        assert far.run("dead-letters", "show", letters[0]["item_key"])["rows"][0]["error_code"]
        assert far.run("dead-letters", "replay")["came_back"] == near.run("dead-letters", "replay")["came_back"] > 0
    counted = far.run("query", "SELECT count(*) AS n FROM tensors.images")["rows"][0]["n"]
    assert far.run("clean-up")["rows"] == [], "what is younger than a day is left alone"

    lake = Lake(LakeLocation(far.lake))
    local = Lake(LakeLocation(near.lake))
    assert tables_of(lake) == tables_of(local)
    assert missing_blobs(lake, BlobStore.at(lake.location)) == set()
    reader = TensorReader(lake, cache=tmp_path / "cache")
    assert len(reader) == counted
    assert (reader[:] == TensorReader(local)[:]).all()
    _require_silence("\n".join(far.said).encode(), "what the commands printed")
    for path in [path for path in (tmp_path / "far").rglob("*") if path.is_file()]:
        _require_silence(path.read_bytes(), str(path))
    for page in obstore.list(lake.location.store()):
        for meta in page:
            _require_silence(bytes(obstore.get(lake.location.store(), meta["path"]).bytes()), meta["path"])


def _require_silence(body: bytes, where: str) -> None:
    for secret in (WRITER.secret, WRITER.key):
        assert secret.encode() not in body, f"a credential in {where}"


Run = Callable[..., list[int]]


@pytest.fixture
def together(keys: Keys) -> Iterator[Run]:
    """Runs one job in each of four processes, in step."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        N_WRITERS, context, initializer=rivals.join, initargs=(context.Barrier(N_WRITERS),)
    ) as pool:

        def run(call: Callable[..., int], *arguments: tuple[Any, ...]) -> list[int]:
            started = [pool.submit(call, *some) for some in arguments]
            return [future.result(timeout=110) for future in started]

        yield run


def commits(lake: Lake) -> int:
    """Acknowledged overwrites in the manifest's log."""
    table = lake.table(MANIFEST)
    assert table is not None
    return sum("media_assets/commit_id" in entry for entry in table.history())


def test_four_writers_lose_nothing_and_double_nothing(bucket: str, together: Run) -> None:
    root = f"s3://{bucket}/rivals"
    batches = [[f"{side}{number}" for number in range(4)] for side in "abcd"]
    together(rivals.plan_batches, *[(f"{root}/different", some, [f"{some[0]}-1", f"{some[0]}-2"]) for some in batches])
    different = Lake(LakeLocation(f"{root}/different/0"))
    assert planned(different) == sorted((batch, f"{some[0]}-{n}") for some in batches for batch in some for n in (1, 2))
    assert commits(different) == 16, "every acknowledged commit is in the log once"

    same = ["one"] * 3 + ["other"]
    together(rivals.plan_batches, *[(f"{root}/same", same, [f"{side}1", f"{side}2"]) for side in "abcd"])
    rows = planned(Lake(LakeLocation(f"{root}/same/0")))
    assert len(rows) == 4
    for batch in set(same):
        (first, second) = [key for found, key in rows if found == batch]
        assert first[0] == second[0], "the rows of one writer, not of two"
    assert commits(Lake(LakeLocation(f"{root}/same/0"))) == 16

    together(rivals.write_parts, *[(f"{root}/parts", 3 * number, 2) for number in range(N_WRITERS)])
    for number in range(2):
        found = Lake(LakeLocation(f"{root}/parts/{number}")).scan(TENSORS_IMAGES).select("frame_id").collect()
        ids = sorted(int(frame_id, 16) for frame_id in found["frame_id"])
        assert ids in [[3 * n, 3 * n + 1, 3 * n + 2] for n in range(N_WRITERS)], ids


def test_doctor_finds_a_real_store_fit(bucket: str) -> None:
    verdicts = {verdict.check: verdict for verdict in examine(LakeLocation(f"s3://{bucket}/lake"))}
    assert all(verdict.passed for verdict in verdicts.values()), verdicts
    assert "of 8 writers at the same moment 1 won" in verdicts["store honours put-if-absent"].detail


@pytest.mark.parametrize(
    ("keys_used", "name", "code"),
    [
        (WRITER, "no-such-bucket", StoreCode.BUCKET_MISSING),
        (Keys(WRITER.key, "wrong-secret", None), None, StoreCode.CREDENTIALS_REFUSED),
        (Keys("NOBODY00000000000001", "any", None), None, StoreCode.CREDENTIALS_REFUSED),
    ],
)
def test_what_cannot_be_used_is_told_by_a_stable_code(
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    seaweedfs: SeaweedFS,
    keys_used: Keys,
    name: str | None,
    code: StoreCode,
) -> None:
    set_keys(monkeypatch, keys_used, tmp_path)
    location = LakeLocation(f"s3://{name or bucket}/x", S3Options(endpoint=seaweedfs.url, region="us-east-1"))
    with pytest.raises(StoreRefused) as caught:
        location.storage.require_usable()
    assert caught.value.code == code
    assert keys_used.secret not in str(caught.value)


def test_an_identity_that_may_only_read_reads_and_is_told_when_it_writes(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    rivals.join(multiprocessing.get_context("spawn").Barrier(1))
    rivals.plan_batches(f"s3://{bucket}/lake", ["a"], ["1"])
    set_keys(monkeypatch, READER, tmp_path)
    s3_options.forget()
    location = LakeLocation(f"s3://{bucket}/lake/0", S3Options(endpoint=seaweedfs.url, region="us-east-1", n_retries=0))
    assert planned(Lake(location)) == [("a", "1")]
    verdicts = {verdict.check: verdict for verdict in examine(location)}
    assert verdicts["store can be reached"].passed
    refused = verdicts["store honours put-if-absent"]
    assert not refused.passed
    assert "access_denied (the store said AccessDenied)" in refused.detail
    with pytest.raises(OSError, match="access_denied"):
        BlobStore.at(location).put("0" * 64, b"x")


@pytest.mark.timeout(300)
def test_a_store_that_is_killed_comes_back_with_everything_that_was_acknowledged(
    bucket: str, seaweedfs: SeaweedFS
) -> None:
    rivals.join(multiprocessing.get_context("spawn").Barrier(1))
    rivals.plan_batches(f"s3://{bucket}/lake", ["a", "b"], ["1"])
    location = LakeLocation(f"s3://{bucket}/lake/0", S3Options(timeout_seconds=5, n_retries=0))
    seaweedfs.kill()
    with pytest.raises(StoreRefused) as caught:
        location.storage.require_usable()
    assert caught.value.code == StoreCode.STORE_UNREACHABLE
    seaweedfs.restart()
    # It answers before its disks have reported: until then it says 500.
    deadline = time.monotonic() + 60
    while True:
        try:
            assert planned(Lake(LakeLocation(location.root))) == [("a", "1"), ("b", "1")]
            break
        except OSError:
            assert time.monotonic() < deadline, "it does not come back"
