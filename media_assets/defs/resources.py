"""Configuration: the one place that names environment variables, and the resource that hands out plain objects.

Not here: what the objects do. Importing this with an empty environment works; nothing is opened before it is used.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec

from media_assets.engine.map_items import Engine, InProcessEngine, ProcessPoolEngine
from media_assets.errors import SetupError
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.lake.s3_options import S3Options
from media_assets.media.tensors import TensorSpec
from media_assets.stages.workbench import FetchSettings, Progress, ReadOptions, Workbench, no_progress

_PROXY = "MEDIA_ASSETS_PROXY"


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured, as read from the environment.

    `MEDIA_ASSETS_LAKE` (default ./lake); `MEDIA_ASSETS_WORKERS` (0: decode in this process, without a sandbox;
    unset: one worker per core); `MEDIA_ASSETS_TENSOR_SPECS` (JSON list of TensorSpec fields);
    `MEDIA_ASSETS_ALLOWED_NETWORKS` (comma-separated, such as 10.0.0.0/8); `MEDIA_ASSETS_LOCAL_ROOTS` (folders that
    file:// may name, separated like PATH); `MEDIA_ASSETS_PROXY`; `MEDIA_ASSETS_CONNECTIONS`;
    `MEDIA_ASSETS_USER_AGENT`; `MEDIA_ASSETS_CACHE` (folder for what a lake in an object store needs on this machine;
    default ./cache, unused by a local lake).

    Of a lake in an object store: `MEDIA_ASSETS_S3_ENDPOINT`, `MEDIA_ASSETS_S3_REGION` (default: AWS's own
    configuration); `MEDIA_ASSETS_S3_PATH_STYLE` (true, false); `MEDIA_ASSETS_S3_ENCRYPTION` (AES256, aws:kms,
    aws:kms:dsse) and `MEDIA_ASSETS_S3_KMS_KEY_ID`; `MEDIA_ASSETS_S3_TIMEOUT_SECONDS`, `MEDIA_ASSETS_S3_RETRIES`.
    Credentials are found by AWS's standard chain and are no settings.
    """

    lake: str = "lake"
    n_workers: int | None = None
    tensor_specs: str = "[{}]"
    allowed_networks: str = ""
    local_roots: str = ""
    proxy: str = field(default="", repr=False)  # may hold a password
    n_connections: int = 32
    user_agent: str = "media-assets/0.1"
    cache: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_path_style: bool | None = None
    s3_encryption: str = ""
    s3_kms_key_id: str = ""
    s3_timeout_seconds: int = S3Options.timeout_seconds
    s3_retries: int = S3Options.n_retries

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of this process.

        Raises:
            SetupError: a variable holds something that is not a number where one is expected.
        """
        env = os.environ if environ is None else environ

        def text(name: str, default: str) -> str:
            return env.get(f"MEDIA_ASSETS_{name}") or default

        def number(name: str) -> int | None:
            value = text(name, "")
            if (value and not value.isascii()) or (value and not value.isdigit()):
                raise SetupError(f"Expected a whole number in MEDIA_ASSETS_{name}, got {value!r}.")
            return int(value) if value else None

        def choice(name: str) -> bool | None:
            value = text(name, "").lower()
            if value not in ("", "true", "false"):
                raise SetupError(f"Expected true or false in MEDIA_ASSETS_{name}, got {value!r}.")
            return {"true": True, "false": False}.get(value)

        retries = number("S3_RETRIES")
        return cls(
            lake=text("LAKE", cls.lake),
            n_workers=number("WORKERS"),
            tensor_specs=text("TENSOR_SPECS", cls.tensor_specs),
            allowed_networks=text("ALLOWED_NETWORKS", ""),
            local_roots=text("LOCAL_ROOTS", ""),
            proxy=text("PROXY", ""),
            n_connections=number("CONNECTIONS") or cls.n_connections,
            user_agent=text("USER_AGENT", cls.user_agent),
            cache=text("CACHE", ""),
            s3_endpoint=text("S3_ENDPOINT", ""),
            s3_region=text("S3_REGION", ""),
            s3_path_style=choice("S3_PATH_STYLE"),
            s3_encryption=text("S3_ENCRYPTION", ""),
            s3_kms_key_id=text("S3_KMS_KEY_ID", ""),
            s3_timeout_seconds=number("S3_TIMEOUT_SECONDS") or cls.s3_timeout_seconds,
            s3_retries=cls.s3_retries if retries is None else retries,
        )

    def location(self) -> LakeLocation:
        """Where the lake is."""
        return LakeLocation(self.lake, self.s3())

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

    def nearby(self) -> Path:
        """The folder on this machine that belongs to the lake: the one that holds it, else the current one."""
        path = self.location().storage.local_path()
        return Path.cwd() if path is None else path.parent

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

    def fetch(self) -> FetchSettings:
        """How the network and the local disk may be used."""
        networks = tuple(part.strip() for part in self.allowed_networks.split(",") if part.strip())
        return FetchSettings(
            limits=FetchLimits(n_connections=self.n_connections),
            policy=AddressPolicy(allowed_networks=networks),
            local_roots=tuple(Path(part).resolve() for part in self.local_roots.split(os.pathsep) if part),
            proxy=self.proxy or None,
            user_agent=self.user_agent,
        )

    def engine(self) -> Engine:
        """Where items are decoded: in a pool of sandboxed processes, unless told otherwise."""
        return InProcessEngine() if self.n_workers == 0 else ProcessPoolEngine(n_workers=self.n_workers)

    def workbench(self, progress: Progress = no_progress) -> Workbench:
        """Everything that a stage works with."""
        return Workbench(self.open_lake(), self.open_blobs(), self.engine(), self.fetch(), progress)


class WorkbenchResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The settings as a Dagster resource; `create` hands out the plain workbench."""

    lake: str = Settings.lake
    n_workers: int | None = None
    tensor_specs: str = Settings.tensor_specs
    allowed_networks: str = ""
    local_roots: str = ""
    proxy: str = ""
    n_connections: int = Settings.n_connections
    user_agent: str = Settings.user_agent
    cache: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_path_style: bool | None = None
    s3_encryption: str = ""
    s3_kms_key_id: str = ""
    s3_timeout_seconds: int = Settings.s3_timeout_seconds
    s3_retries: int = Settings.s3_retries

    @classmethod
    def of(cls, settings: Settings) -> WorkbenchResource:
        """The resource that holds these settings; of the proxy only where it is found.

        Dagster keeps the configuration of every job that ran, and shows it to whoever opens its UI.

        Raises:
            SetupError: a proxy that is not the one in `MEDIA_ASSETS_PROXY`.
        """
        values = {name: getattr(settings, name) for name in Settings.__dataclass_fields__}
        if settings.proxy and settings.proxy != os.environ.get(_PROXY):
            raise SetupError(f"Expected a proxy to be named by {_PROXY}, where no password is kept; got another one.")
        return cls(**values | {"proxy": dg.EnvVar(_PROXY) if settings.proxy else ""})

    def settings(self) -> Settings:
        """The plain settings."""
        return Settings(**{name: getattr(self, name) for name in Settings.__dataclass_fields__})

    def create(self, progress: Progress = no_progress) -> Workbench:
        """The plain workbench."""
        return self.settings().workbench(progress)

    def options(self) -> ReadOptions:
        """The choices of a run that are configured once for all runs."""
        return ReadOptions(specs=self.settings().specs())


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
    """The Dagster instance of `DAGSTER_HOME`, set up on first use.

    By default it is a folder beside the lake; with a lake in an object store, in the current folder.
    """
    home = os.environ.get("DAGSTER_HOME") or str(settings.nearby() / "dagster_home")
    folder = Path(home).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "dagster.yaml").exists():
        shutil.copyfile(Path(__file__).with_name("dagster.yaml"), folder / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(folder)
    return dg.DagsterInstance.get()


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
