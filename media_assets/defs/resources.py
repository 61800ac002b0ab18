"""Configuration: the one place that names environment variables, and the resource that hands out plain objects.

Not here: what the objects do. Importing this with an empty environment works; nothing is opened before it is used.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import msgspec

from media_assets.engine.map_items import Engine, InProcessEngine, ProcessPoolEngine
from media_assets.errors import SetupError
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.media.tensors import TensorSpec
from media_assets.stages.workbench import FetchSettings, Progress, ReadOptions, Workbench, no_progress


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured, as read from the environment.

    `MEDIA_ASSETS_LAKE` (default ./lake); `MEDIA_ASSETS_WORKERS` (0: decode in this process, without a sandbox;
    unset: one worker per core); `MEDIA_ASSETS_TENSOR_SPECS` (JSON list of TensorSpec fields);
    `MEDIA_ASSETS_ALLOWED_NETWORKS` (comma-separated, such as 10.0.0.0/8); `MEDIA_ASSETS_LOCAL_ROOTS` (folders that
    file:// may name, separated like PATH); `MEDIA_ASSETS_PROXY`; `MEDIA_ASSETS_CONNECTIONS`;
    `MEDIA_ASSETS_USER_AGENT`; `MEDIA_ASSETS_INBOX` (a folder that is watched; default none) with
    `MEDIA_ASSETS_INBOX_BATCH_SIZE` (items that close a batch), `MEDIA_ASSETS_INBOX_WAIT_SECONDS` (after which fewer do)
    and `MEDIA_ASSETS_INBOX_SETTLE_SECONDS` (for which a file must not have changed).
    """

    lake: str = "lake"
    n_workers: int | None = None
    tensor_specs: str = "[{}]"
    allowed_networks: str = ""
    local_roots: str = ""
    proxy: str = ""
    n_connections: int = 32
    user_agent: str = "media-assets/0.1"
    inbox: str = ""
    inbox_batch_size: int = 1000
    inbox_wait_seconds: int = 60
    inbox_settle_seconds: int = 5

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

        return cls(
            lake=text("LAKE", cls.lake),
            n_workers=number("WORKERS"),
            tensor_specs=text("TENSOR_SPECS", cls.tensor_specs),
            allowed_networks=text("ALLOWED_NETWORKS", ""),
            local_roots=text("LOCAL_ROOTS", ""),
            proxy=text("PROXY", ""),
            n_connections=number("CONNECTIONS") or cls.n_connections,
            user_agent=text("USER_AGENT", cls.user_agent),
            inbox=text("INBOX", ""),
            inbox_batch_size=number("INBOX_BATCH_SIZE") or cls.inbox_batch_size,
            inbox_wait_seconds=_or_default(number("INBOX_WAIT_SECONDS"), cls.inbox_wait_seconds),
            inbox_settle_seconds=_or_default(number("INBOX_SETTLE_SECONDS"), cls.inbox_settle_seconds),
        )

    def location(self) -> LakeLocation:
        """Where the lake is."""
        return LakeLocation(self.lake)

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
            local_roots=tuple(
                Path(part).resolve() for part in (*self.local_roots.split(os.pathsep), self.inbox) if part
            ),
            proxy=self.proxy or None,
            user_agent=self.user_agent,
        )

    def engine(self) -> Engine:
        """Where items are decoded: in a pool of sandboxed processes, unless told otherwise."""
        return InProcessEngine() if self.n_workers == 0 else ProcessPoolEngine(n_workers=self.n_workers)

    def workbench(self, progress: Progress = no_progress) -> Workbench:
        """Everything that a stage works with."""
        return Workbench(self.open_lake(), self.open_blobs(), self.engine(), self.fetch(), progress)


def _or_default(value: int | None, default: int) -> int:
    return default if value is None else value


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
    inbox: str = Settings.inbox
    inbox_batch_size: int = Settings.inbox_batch_size
    inbox_wait_seconds: int = Settings.inbox_wait_seconds
    inbox_settle_seconds: int = Settings.inbox_settle_seconds

    @classmethod
    def of(cls, settings: Settings) -> WorkbenchResource:
        """The resource that holds these settings."""
        return cls(**{name: getattr(settings, name) for name in Settings.__dataclass_fields__})

    def settings(self) -> Settings:
        """The plain settings."""
        return Settings(**{name: getattr(self, name) for name in Settings.__dataclass_fields__})

    def create(self, progress: Progress = no_progress) -> Workbench:
        """The plain workbench."""
        return self.settings().workbench(progress)

    def options(self) -> ReadOptions:
        """The choices of a run that are configured once for all runs."""
        return ReadOptions(specs=self.settings().specs())


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance of `DAGSTER_HOME`, by default a folder beside the lake, set up on first use."""
    home = os.environ.get("DAGSTER_HOME") or str(settings.location().path.parent / "dagster_home")
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
