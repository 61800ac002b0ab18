"""How an S3-compatible store is reached: endpoint, region, encryption, patience; and with whose credentials.

Credentials are found by botocore's chain (environment, profile, web identity, container, instance, ...), which renews
them before they expire. obstore asks it again and again; deltalake and polars are given what it says at the moment at
which they open something, which is good for ten minutes at least. Nothing here is a secret, or remembers one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from media_assets.errors import LakeUnfit, StoreCode, StoreRefused

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential

ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
_FALLBACK_REGION = "us-east-1"
_AWS = re.compile(r"(.+\.)?amazonaws\.com(\.cn)?")
_CREDENTIAL_LIFE = timedelta(minutes=5)  # then obstore asks again; botocore renews what has less than ten left


@dataclass(frozen=True)
class S3Options:
    """The settings of one store. What is empty or None is taken from AWS's own configuration, then from AWS itself.

    Attributes:
        endpoint: `https://host[:port]` of the store; `http://` on a network of one's own.
        region: the region that requests are signed for.
        path_style: the bucket in the path instead of in the host's name; None: yes, but on AWS.
        encryption: `AES256` (SSE-S3), `aws:kms` or `aws:kms:dsse`; empty: what the bucket is set to.
        kms_key_id: the key's id or ARN, for the two latter; empty: the account's own.
        timeout_seconds: for one request, its body included.
        n_retries: how often a request is repeated after a 5xx or a broken connection.

    Raises:
        LakeUnfit: a setting that cannot be meant.
    """

    endpoint: str = ""
    region: str = ""
    path_style: bool | None = None
    encryption: str = ""
    kms_key_id: str = ""
    timeout_seconds: int = 60
    n_retries: int = 10

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.endpoint:
            _require_endpoint(self.endpoint)
        if self.encryption and self.encryption not in ENCRYPTIONS:
            raise LakeUnfit(f"Expected the encryption of an S3 store to be one of {ENCRYPTIONS}.")
        if self.kms_key_id and self.encryption not in ENCRYPTIONS[1:]:
            raise LakeUnfit("Expected encryption aws:kms or aws:kms:dsse beside a KMS key id.")
        if self.timeout_seconds < 1:
            raise LakeUnfit("Expected the time-out of an S3 request to be at least one second.")

    def place(self) -> Place:
        """Endpoint, region and style, with what AWS's own configuration says where nothing is set."""
        endpoint, region = self.endpoint, self.region
        if not (endpoint and region):
            found_endpoint, found_region = _configured()
            region = region or found_region
            endpoint = endpoint or found_endpoint
        is_aws = _AWS.fullmatch(urlsplit(endpoint).hostname or "") is not None
        return Place("" if is_aws else endpoint, region, not is_aws if self.path_style is None else self.path_style)

    def store_config(self, bucket: str) -> S3Config:
        """obstore's configuration, without credentials."""
        place = self.place()
        config: S3Config = {"region": place.region, "virtual_hosted_style_request": place.is_virtual(bucket)}
        if endpoint := place.endpoint_of(bucket):
            config["endpoint"] = endpoint
        if self.encryption:
            config["server_side_encryption"] = self.encryption
        if self.kms_key_id:
            config["sse_kms_key_id"] = self.kms_key_id
        return config

    def client_options(self) -> ClientConfig:
        """obstore's client options."""
        return {
            "allow_http": True,  # an https endpoint stays https
            "timeout": timedelta(seconds=self.timeout_seconds),
            "connect_timeout": timedelta(seconds=min(10, self.timeout_seconds)),
        }

    def retry_config(self) -> RetryConfig:
        """obstore's retries."""
        return {"max_retries": self.n_retries, "retry_timeout": timedelta(seconds=3 * self.timeout_seconds)}

    def delta_options(self, bucket: str) -> dict[str, str]:
        """The same for deltalake, with the credentials of this moment.

        Raises:
            StoreRefused: there are no credentials.
        """
        options = {f"aws_{name}": _as_text(value) for name, value in self.store_config(bucket).items()}
        frozen = credentials()
        options |= {"aws_access_key_id": frozen["access_key_id"], "aws_secret_access_key": frozen["secret_access_key"]}
        if frozen["token"]:
            options["aws_session_token"] = frozen["token"]
        return options | {
            "allow_http": "true",
            "timeout": f"{self.timeout_seconds}s",
            "connect_timeout": f"{min(10, self.timeout_seconds)}s",
            "max_retries": str(self.n_retries),
            "retry_timeout": f"{3 * self.timeout_seconds}s",
        }

    def scan_options(self, bucket: str) -> dict[str, Any]:
        """The same for polars, which adds them to those of the table that it is given, and wants its own as numbers.

        Raises:
            StoreRefused: there are no credentials.
        """
        own = {"max_retries": self.n_retries, "retry_timeout_ms": 3000 * self.timeout_seconds}
        return {**self.delta_options(bucket), **own}


@dataclass(frozen=True)
class Place:
    """Where requests go; no endpoint: to AWS."""

    endpoint: str
    region: str
    path_style: bool

    def is_virtual(self, bucket: str) -> bool:
        """Whether the bucket is part of the host's name. A dot in its name would break the certificate."""
        return not self.path_style and "." not in bucket

    def endpoint_of(self, bucket: str) -> str:
        """The endpoint as object_store wants it: with the bucket in it where it belongs into the host's name."""
        if not (self.endpoint and self.is_virtual(bucket)):
            return self.endpoint
        scheme, _, host = self.endpoint.partition("://")
        return f"{scheme}://{bucket}.{host}"


def credentials() -> S3Credential:
    """Credentials of this moment, as obstore wants them.

    Raises:
        StoreRefused: there are none, or their provider failed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = botocore_session().get_credentials()
        if found is None:
            raise _no_credentials("found none")
        frozen = found.get_frozen_credentials()
    except StoreRefused:
        raise
    except (BotoCoreError, ClientError, OSError) as error:
        raise _no_credentials(f"got {type(error).__name__} from the provider") from error
    return {
        "access_key_id": frozen.access_key,
        "secret_access_key": frozen.secret_key,
        "token": frozen.token,
        "expires_at": datetime.now(UTC) + _CREDENTIAL_LIFE,
    }


class Keys(NamedTuple):
    """Credentials that stay as they are for as long as the process lives."""

    access_key_id: str
    secret_access_key: str
    token: str | None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Keys({self.access_key_id!r})"

    def config(self) -> S3Config:
        """As a part of obstore's configuration."""
        config: S3Config = {"access_key_id": self.access_key_id, "secret_access_key": self.secret_access_key}
        if self.token:
            config["session_token"] = self.token
        return config


def permanent_keys() -> Keys | None:
    """The credentials where none will ever be renewed; None: ask `credentials` whenever some are needed.

    obstore calls a provider from its own threads, and there the interpreter crashed in two of many runs of the tests;
    keys of the environment or of a profile need no provider.
    """
    from botocore.credentials import RefreshableCredentials
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = botocore_session().get_credentials()
    except (BotoCoreError, ClientError, OSError):
        return None  # whoever needs them is told
    if found is None or isinstance(found, RefreshableCredentials):
        return None
    frozen = found.get_frozen_credentials()
    return Keys(frozen.access_key, frozen.secret_key, frozen.token)


def credential_source() -> str:
    """Which provider of the chain the credentials come from, such as `env` or `iam-role`; never the credentials."""
    credentials()
    found = botocore_session().get_credentials()
    return str(getattr(found, "method", "unknown"))


@lru_cache(maxsize=1)
def botocore_session() -> Any:
    """One session a process: it remembers, and renews, what it found. Imported here: a local lake needs no botocore."""
    import botocore.session

    return botocore.session.Session()


@lru_cache(maxsize=1)
def _configured() -> tuple[str, str]:
    """Endpoint and region of AWS's own configuration: environment, profile, defaults."""
    from botocore.exceptions import BotoCoreError

    try:
        unsigned = {"aws_access_key_id": "-", "aws_secret_access_key": "-"}  # no provider is asked for this
        meta = botocore_session().create_client("s3", **unsigned).meta
    except (BotoCoreError, ValueError) as error:
        raise LakeUnfit(
            f"Expected AWS's own configuration to be readable, got {type(error).__name__}: {error}."
        ) from None
    region = meta.region_name if meta.region_name not in (None, "aws-global") else _FALLBACK_REGION
    return meta.endpoint_url, region


def forget() -> None:
    """Look for configuration and credentials anew: for tests that change the environment."""
    botocore_session.cache_clear()
    _configured.cache_clear()


def _no_credentials(found: str) -> StoreRefused:
    return StoreRefused(
        f"Expected credentials for the object store in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), in "
        f"a profile (AWS_PROFILE), or by a web identity, container or instance role; {found}. Provide one of them; "
        f"docs/object-storage.md shows how.",
        StoreCode.CREDENTIALS_MISSING,
    )


def _require_endpoint(endpoint: str) -> None:
    """Refuse an endpoint without repeating it: it may hold a password."""
    try:
        parts = urlsplit(endpoint)
        is_fit = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        is_fit = is_fit and not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        is_fit = False
    if not is_fit:
        raise LakeUnfit(
            "Expected the endpoint of an S3 store as https://host or https://host:port, without user, password or "
            "query; got something else. Credentials belong into AWS's own variables or profiles."
        )


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
