"""Configuration: what is built from the settings, and the resource that hands out plain objects.

Not here: what the objects do. Importing this with an empty environment works; nothing is opened before it is used.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dagster as dg
import msgspec

from media_assets.curation.freshness import VARIABLE, duration_of
from media_assets.defs.home import open_home, prepare_home
from media_assets.defs.settings import values_of
from media_assets.engine.limits import WorkerLimits
from media_assets.engine.map_items import Engine, InProcessEngine, ProcessPoolEngine
from media_assets.errors import LakeUnfit, SetupError
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.ingest.fetch.redaction import shown
from media_assets.ingest.inbox.place import inbox_place
from media_assets.labeling.project_files import LabelProject, open_projects
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.lake.s3_options import S3Options
from media_assets.media.still import StillLimits
from media_assets.media.tensors import TensorSpec
from media_assets.media.video.keyframes import KeyframeRequest
from media_assets.media.video.opening import VideoLimits
from media_assets.ops.alerts.destinations import Destination, parse_destinations
from media_assets.stages.models import InstalledModel, installed_models
from media_assets.stages.workbench import FetchSettings, Progress, ReadOptions, Workbench, no_progress

if TYPE_CHECKING:
    from media_assets.labeling.label_studio.client import LabelStudio

_MIB = 1024 * 1024
_PROXY = "MEDIA_ASSETS_PROXY"
_ALERT_URLS = "MEDIA_ASSETS_ALERT_URLS"
_LABEL_STUDIO_TOKEN = "MEDIA_ASSETS_LABEL_STUDIO_TOKEN"  # noqa: S105 - the variable's name
_SECRETS = {
    "proxy": _PROXY,
    "alert_urls": _ALERT_URLS,
    "label_studio_token": _LABEL_STUDIO_TOKEN,
    "label_studio_hint_secret": "MEDIA_ASSETS_LABEL_STUDIO_HINT_SECRET",
}
"""Fields whose values stay in the environment: Dagster keeps and shows all others."""


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured; `settings.py` says what each field means and takes."""

    lake: str = "lake"
    n_workers: int | None = None
    tensor_specs: str = "[{}]"
    keyframe_policy: str = "codec"
    max_keyframes: int = 500
    near_identical_levels: int | None = None
    models: str = ""
    allowed_networks: str = ""
    local_roots: str = ""
    proxy: str = field(default="", repr=False)  # may hold a password
    n_connections: int = 32
    n_connections_per_host: int = 16
    download_seconds: int = 120
    user_agent: str = "media-assets/0.1"
    max_item_mib: int = 64
    max_megapixels: int = 100
    worker_memory_mib: int = 2048
    item_seconds: int = 60
    cache: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_path_style: bool | None = None
    s3_encryption: str = ""
    s3_kms_key_id: str = ""
    s3_timeout_seconds: int = S3Options.timeout_seconds
    s3_retries: int = S3Options.n_retries
    inbox: str = ""
    inbox_batch_size: int = 1000
    inbox_wait_seconds: int = 60
    inbox_settle_seconds: int = 5
    alert_urls: str = field(default="", repr=False)  # hold tokens and passwords
    alert_urls_file: str = ""
    alert_every_minutes: int = 15
    alert_messages_per_hour: int = 12
    alert_stuck_minutes: int = 60
    alert_failed_percent: int = 20
    alert_window_hours: int = 24
    ui_url: str = ""
    batch_retries: int = 3
    batch_retry_seconds: int = 600
    item_retries: int = 3
    item_retry_seconds: int = 3600
    upload_tokens: str = ""
    upload_state: str = ""
    uploads_at_once: int = 64
    upload_expire_hours: int = 24
    expected_sources: str = ""
    label_projects: str = ""
    label_studio_url: str = ""
    label_studio_token: str = field(default="", repr=False)
    label_studio_root: str = ""
    label_studio_presign: bool = False
    label_studio_seconds: int = 300
    label_studio_hint_secret: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of this process.

        Raises:
            SetupError: a variable holds no number where one is expected, or one out of bounds.
        """
        values: dict[str, Any] = values_of(os.environ if environ is None else environ)
        return cls(**values)

    def location(self) -> LakeLocation:
        """Where the lake is.

        Raises:
            LakeUnfit: it can be no lake's place, such as a file.
        """
        location = LakeLocation(self.lake, self.s3())
        if location.is_local and os.path.lexists(location.root) and not os.path.isdir(location.root):  # noqa: PTH112
            raise LakeUnfit(f"Expected a folder in MEDIA_ASSETS_LAKE, got {location.root}, which is none. Set another.")
        return location

    def s3(self) -> S3Options:
        """How an object store is reached."""
        return S3Options(
            endpoint=self.s3_endpoint,
            region=self.s3_region,
            path_style=self.s3_path_style,
            encryption=self.s3_encryption,
            kms_key_id=self.s3_kms_key_id,
            timeout_seconds=self.s3_timeout_seconds,
            n_retries=self.s3_retries,
        )

    def inbox_place(self) -> Path | BucketRoot:
        """Where media arrive by themselves.

        Raises:
            SetupError: `inbox` names no such place.
        """
        return inbox_place(self.inbox, self.s3(), self.location())

    def spool(self) -> Path:
        """Where downloads lie that are kept for the next time: in a local lake, else in the cache."""
        return self.location().storage.local_path("spool") or Path(self.cache or "cache").absolute() / "spool"

    def open_lake(self) -> Lake:
        """The lake's tables."""
        return Lake(self.location())

    def open_blobs(self) -> BlobStore:
        """The lake's blobs."""
        return BlobStore.at(self.location())

    def specs(self) -> tuple[TensorSpec, ...]:
        """The TensorSpecs that the tensors are made at.

        Raises:
            SetupError: the JSON does not describe TensorSpecs.
        """
        try:
            specs = tuple(msgspec.json.decode(self.tensor_specs, type=list[TensorSpec]))
        except (msgspec.MsgspecError, ValueError) as error:
            raise SetupError(
                f"Expected a JSON list of TensorSpec fields in MEDIA_ASSETS_TENSOR_SPECS, such as "
                f'[{{"size": [224, 224], "dtype": "uint8"}}], got {self.tensor_specs!r}: {error}.'
            ) from error
        if len({spec.name for spec in specs}) != len(specs) or not specs:
            raise SetupError("Expected at least one TensorSpec in MEDIA_ASSETS_TENSOR_SPECS, and no two alike.")
        return specs

    def projects(self) -> tuple[LabelProject, ...]:
        """The labelling projects that are on.

        Raises:
            SetupError: one of them cannot be opened, or two have one name.
        """
        return open_projects(self.label_projects)

    def expected(self) -> dict[str, timedelta]:
        """Source → how often it is expected to bring a batch.

        Raises:
            SetupError: the JSON names no durations, or sources whose checks would have one name.
        """
        if not self.expected_sources:
            return {}
        try:
            named = msgspec.json.decode(self.expected_sources, type=dict[str, str])
            expected = {source: duration_of(text) for source, text in named.items()}
        except (msgspec.MsgspecError, ValueError) as error:
            raise SetupError(
                f'Expected a JSON object of sources and durations in {VARIABLE}, such as {{"uploads": "1h"}}, got '
                f"{self.expected_sources!r}: {error}."
            ) from error
        if len({re.sub(r"\W", "_", source, flags=re.ASCII) for source in expected}) != len(expected) or "" in expected:
            raise SetupError(f"Expected sources in {VARIABLE} that differ in letters and digits, got {list(expected)}.")
        return expected

    def fetch(self) -> FetchSettings:
        """How the network, the local disk and the inbox's bucket may be used.

        Raises:
            SetupError: a network, a limit, the proxy or the inbox is not one.
        """
        inbox = self.inbox_place() if self.inbox else None
        networks = tuple(part.strip() for part in self.allowed_networks.split(",") if part.strip())
        return FetchSettings(
            limits=FetchLimits(
                max_bytes=self.max_item_mib * _MIB,
                total_seconds=self.download_seconds,
                n_connections=self.n_connections,
                n_connections_per_host=self.n_connections_per_host,
            ),
            policy=AddressPolicy(allowed_networks=networks),
            local_roots=(*_folders(self.local_roots), *((inbox,) if isinstance(inbox, Path) else ())),
            bucket_roots=(inbox,) if isinstance(inbox, BucketRoot) else (),
            proxy=_proxy_url(self.proxy),
            user_agent=self.user_agent,
        )

    def engine(self) -> Engine:
        """Where items are decoded: in a pool of sandboxed processes, unless told otherwise."""
        if self.n_workers == 0:
            return InProcessEngine()
        usual = WorkerLimits()
        limits = WorkerLimits(
            memory_bytes=self.worker_memory_mib * _MIB,
            cpu_seconds=self.item_seconds / 2,
            wall_seconds=self.item_seconds,
            max_source_bytes=max(usual.max_source_bytes, self.max_item_mib * _MIB),
            max_reply_bytes=max(usual.max_reply_bytes, 2 * self.max_item_mib * _MIB),
        )
        return ProcessPoolEngine(self.n_workers, limits)

    def still_limits(self) -> StillLimits:
        """What a picture may be, judged by its header."""
        n_pixels = self.max_megapixels * 1_000_000
        return StillLimits(
            max_bytes=self.max_item_mib * _MIB,
            max_pixels=n_pixels,
            max_total_pixels=max(StillLimits().max_total_pixels, n_pixels),
        )

    def keyframes(self) -> KeyframeRequest:
        """Which stills of a video are kept.

        Raises:
            SetupError: there is no such policy.
        """
        try:
            return KeyframeRequest(
                self.keyframe_policy,
                self.max_keyframes,
                self.near_identical_levels,
                VideoLimits(max_pixels=self.still_limits().max_pixels),
            )
        except ValueError as error:
            raise SetupError(f"MEDIA_ASSETS_KEYFRAME_POLICY: {error}.") from error

    def options(self) -> ReadOptions:
        """The choices of a run that are configured once for all runs.

        Raises:
            SetupError: one of them cannot be used.
        """
        return ReadOptions(specs=self.specs(), still_limits=self.still_limits(), keyframes=self.keyframes())

    def installed_models(self) -> tuple[InstalledModel, ...]:
        """The models that label frames. Their files are read whole.

        Raises:
            ModelUnfit: one cannot be used.
        """
        return installed_models([Path(part) for part in self.models.split(os.pathsep) if part])

    def label_studio(self) -> LabelStudio:
        """A connection to the Label Studio that is configured; nothing is asked yet.

        Raises:
            SetupError: none is.
            LabelStudioFailed: its address or token can be none.
        """
        if not self.label_studio_url or not self.label_studio_token:
            raise SetupError(
                "Expected the address of a Label Studio in MEDIA_ASSETS_LABEL_STUDIO_URL and a token in "
                f"{_LABEL_STUDIO_TOKEN}; not both are set. docs/label-studio.md says how to begin."
            )
        from media_assets.labeling.label_studio.client import LabelStudio

        return LabelStudio(self.label_studio_url, self.label_studio_token)

    def alert_destinations(self) -> list[Destination]:
        """Who is told when something goes wrong.

        Raises:
            SetupError: a URL is none, the file cannot be read, or the UI's address is none.
        """
        text = self.alert_urls
        if self.alert_urls_file:
            try:
                text += "\n" + Path(self.alert_urls_file).expanduser().read_text("utf-8")
            except (OSError, ValueError, RuntimeError) as error:
                raise SetupError(
                    f"Expected a file of Apprise URLs in {_ALERT_URLS}_FILE, got {self.alert_urls_file!r}: "
                    f"{type(error).__name__}. Name a file that can be read, or unset it."
                ) from None
        self._require_ui_url()
        return parse_destinations(text)

    def alert_place(self) -> str:
        """Where messages say that they come from."""
        return f"the lake {self.location().root}, on {socket.gethostname()}"

    def _require_ui_url(self) -> None:
        url = self.ui_url
        if url and (not url.startswith(("http://", "https://")) or "@" in url or "?" in url or not url.isprintable()):
            raise SetupError(
                f"Expected the address of the Dagster UI in MEDIA_ASSETS_UI_URL, such as http://host:3000, got "
                f"{shown(url)!r}; it stands in messages, so that no password or query may be in it."
            )

    def check(self) -> None:
        """Build everything that is made of the settings alone; nothing is opened, nothing left behind. Models are
        files, and whatever asks them holds them against their descriptions: everything else goes on without.

        Raises:
            SetupError: one of them cannot be used.
        """
        self.location()
        self.specs()
        self.expected()
        self.projects()
        self.fetch()
        self.engine()
        self.still_limits()
        self.keyframes()
        self._require_ui_url()

    def workbench(self, progress: Progress = no_progress) -> Workbench:
        """Everything that a stage works with."""
        return Workbench(self.open_lake(), self.open_blobs(), self.engine(), self.fetch(), progress)


def _folders(paths: str) -> tuple[Path, ...]:
    return tuple(Path(part).resolve() for part in paths.split(os.pathsep) if part)


def _proxy_url(text: str) -> str | None:
    if not text:
        return None
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # such as half an IPv6 address
        is_usable = False
    if not is_usable:
        raise SetupError(f"Expected http://host:port in {_PROXY}, got {shown(text)!r}.")  # without its password
    return text


class WorkbenchResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The settings as a Dagster resource; `create` hands out the plain workbench."""

    lake: str = Settings.lake
    n_workers: int | None = None
    tensor_specs: str = Settings.tensor_specs
    keyframe_policy: str = Settings.keyframe_policy
    max_keyframes: int = Settings.max_keyframes
    near_identical_levels: int | None = None
    models: str = ""
    allowed_networks: str = ""
    local_roots: str = ""
    proxy: str = ""
    n_connections: int = Settings.n_connections
    n_connections_per_host: int = Settings.n_connections_per_host
    download_seconds: int = Settings.download_seconds
    user_agent: str = Settings.user_agent
    max_item_mib: int = Settings.max_item_mib
    max_megapixels: int = Settings.max_megapixels
    worker_memory_mib: int = Settings.worker_memory_mib
    item_seconds: int = Settings.item_seconds
    cache: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_path_style: bool | None = None
    s3_encryption: str = ""
    s3_kms_key_id: str = ""
    s3_timeout_seconds: int = Settings.s3_timeout_seconds
    s3_retries: int = Settings.s3_retries
    inbox: str = Settings.inbox
    inbox_batch_size: int = Settings.inbox_batch_size
    inbox_wait_seconds: int = Settings.inbox_wait_seconds
    inbox_settle_seconds: int = Settings.inbox_settle_seconds
    alert_urls: str = ""
    alert_urls_file: str = Settings.alert_urls_file
    alert_every_minutes: int = Settings.alert_every_minutes
    alert_messages_per_hour: int = Settings.alert_messages_per_hour
    alert_stuck_minutes: int = Settings.alert_stuck_minutes
    alert_failed_percent: int = Settings.alert_failed_percent
    alert_window_hours: int = Settings.alert_window_hours
    ui_url: str = Settings.ui_url
    batch_retries: int = Settings.batch_retries
    batch_retry_seconds: int = Settings.batch_retry_seconds
    item_retries: int = Settings.item_retries
    item_retry_seconds: int = Settings.item_retry_seconds
    upload_tokens: str = Settings.upload_tokens
    upload_state: str = Settings.upload_state
    uploads_at_once: int = Settings.uploads_at_once
    upload_expire_hours: int = Settings.upload_expire_hours
    expected_sources: str = Settings.expected_sources
    label_projects: str = Settings.label_projects
    label_studio_url: str = Settings.label_studio_url
    label_studio_token: str = ""
    label_studio_root: str = Settings.label_studio_root
    label_studio_presign: bool = Settings.label_studio_presign
    label_studio_seconds: int = Settings.label_studio_seconds
    label_studio_hint_secret: str = ""

    @classmethod
    def of(cls, settings: Settings) -> WorkbenchResource:
        """The resource that holds these settings; of the secret ones only where they are found.

        Dagster keeps the configuration of every job that ran, and shows it to whoever opens its UI.

        Raises:
            SetupError: a secret that is not the one in its variable, such as `MEDIA_ASSETS_PROXY`.
        """
        values = {name: getattr(settings, name) for name in Settings.__dataclass_fields__}
        for name, variable in _SECRETS.items():
            if values[name] and values[name] != os.environ.get(variable):
                raise SetupError(
                    f"Expected the {name} to be named by {variable}, where no secret is kept; got another."
                )
            values[name] = dg.EnvVar(variable) if values[name] else ""
        return cls(**values)

    def settings(self) -> Settings:
        """The plain settings."""
        return Settings(**{name: getattr(self, name) for name in Settings.__dataclass_fields__})

    def create(self, progress: Progress = no_progress) -> Workbench:
        """The plain workbench."""
        return self.settings().workbench(progress)

    def options(self) -> ReadOptions:
        """The choices of a run that are configured once for all runs."""
        return self.settings().options()


def s3_resource(settings: Settings) -> dict[str, dg.ConfigurableResource[Any]]:
    """`s3`, dagster-aws's client for assets of your own, set as the lake's store is; none for a local lake."""
    if settings.location().is_local:
        return {}
    from dagster_aws.s3 import S3Resource  # takes a second, which a local lake need not wait for

    place = settings.s3().place()
    return {
        "s3": S3Resource(
            endpoint_url=place.endpoint or None, region_name=place.region, max_attempts=settings.s3_retries + 1
        )
    }


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance of `DAGSTER_HOME`, by default a folder beside the lake, set up on first use.

    Raises:
        SetupError: it cannot be set up or opened, or belongs to another lake.
    """
    return open_home(prepare_home(settings.location()))


@contextmanager
def dagster_home(folder: Path) -> Iterator[None]:
    """Use another Dagster home for a while, whatever `DAGSTER_HOME` says."""
    before = os.environ.get("DAGSTER_HOME")
    os.environ["DAGSTER_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["DAGSTER_HOME"]
        else:
            os.environ["DAGSTER_HOME"] = before
