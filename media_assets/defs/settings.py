"""Every setting: its variable, what it means, and which values it takes. `docs/configuration.md` is made from this.

Not here: what is built from the values (`resources.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from media_assets.errors import SetupError

PREFIX = "MEDIA_ASSETS_"


@dataclass(frozen=True)
class Setting:
    """One setting. A number has bounds, both included; a flag is true or false; a text is anything."""

    name: str
    field: str
    meaning: str
    at_least: int | None = None
    at_most: int | None = None
    unset: str = ""
    is_flag: bool = False

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name

    def value(self, text: str) -> str | int | bool:
        """What the variable holds.

        Raises:
            SetupError: it is neither true nor false, no whole number, or out of bounds.
        """
        if self.is_flag:
            if text.lower() not in ("true", "false"):
                raise SetupError(f"Expected true or false in {self.variable}, got {text!r}.")
            return text.lower() == "true"
        if self.at_least is None:
            return text
        bounds = f"{self.at_least} or more" if self.at_most is None else f"{self.at_least} to {self.at_most}"
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise SetupError(f"Expected a whole number in {self.variable}, {bounds}, got {text!r}.")
        number = int(text)
        if number < self.at_least or (self.at_most is not None and number > self.at_most):
            raise SetupError(f"Expected {bounds} in {self.variable}, got {number}.")
        return number


SETTINGS: dict[str, tuple[Setting, ...]] = {
    "Where things are": (
        Setting("LAKE", "lake", "The lake: a folder, or the URL of one in an object store"),
        Setting(
            "LOCAL_ROOTS",
            "local_roots",
            "Folders that `file://` addresses in a list may name, separated like `PATH`; a planned folder needs none",
            unset="none",
        ),
    ),
    "What arrives by itself ([the inbox](inbox.md))": (
        Setting(
            "INBOX",
            "inbox",
            "A folder, or `s3://bucket/prefix`, that is watched: what lands below it becomes batches",
            unset="none",
        ),
        Setting("INBOX_BATCH_SIZE", "inbox_batch_size", "Items that close a batch", 1, 100_000),
        Setting("INBOX_WAIT_SECONDS", "inbox_wait_seconds", "Time after which fewer items close a batch", 0, 604_800),
        Setting(
            "INBOX_SETTLE_SECONDS", "inbox_settle_seconds", "Time for which a file must not have changed", 0, 86_400
        ),
    ),
    "What is tried again by itself ([runbook](runbook.md#a-batch-failed))": (
        Setting("BATCH_RETRIES", "batch_retries", "Runs that follow a failed one of a batch", 0, 20),
        Setting(
            "BATCH_RETRY_SECONDS",
            "batch_retry_seconds",
            "Time before the first of them; four times as long before each next one",
            0,
            86_400,
        ),
        Setting("ITEM_RETRIES", "item_retries", "Replays of a dead letter whose cause may pass", 0, 20),
        Setting(
            "ITEM_RETRY_SECONDS",
            "item_retry_seconds",
            "Time before the first of them; four times as long before each next one",
            0,
            604_800,
        ),
    ),
    "What people and programs send ([uploads](uploads.md))": (
        Setting("UPLOAD_TOKENS", "upload_tokens", "The file that keeps the hashes of tokens", unset="none"),
        Setting(
            "UPLOAD_STATE",
            "upload_state",
            "Folder for uploads under way and receipts, on the file system of an inbox that is a folder",
            unset="beside the inbox",
        ),
        Setting(
            "UPLOADS_AT_ONCE",
            "uploads_at_once",
            "Uploads that are received at once; others are told to wait",
            1,
            10_000,
        ),
        Setting("UPLOAD_EXPIRE_HOURS", "upload_expire_hours", "Time for which an unfinished upload is kept", 1, 8760),
    ),
    "What is watched ([quality](quality.md))": (
        Setting(
            "EXPECTED_SOURCES",
            "expected_sources",
            'JSON object: source to how often it brings a batch, such as `{"uploads": "1h", "open-images": "30d"}`',
            unset="none",
        ),
    ),
    "What is made": (
        Setting(
            "TENSOR_SPECS",
            "tensor_specs",
            'JSON list of TensorSpecs, such as `[{"size": [224, 224], "dtype": "uint8"}]`; other fields have defaults',
        ),
        Setting(
            "KEYFRAME_POLICY",
            "keyframe_policy",
            "Which stills of a video are kept ([videos](videos.md#keyframes)): `codec`, `shots`, `uniform:N` or "
            "`every:SECONDS`",
        ),
        Setting("MAX_KEYFRAMES", "max_keyframes", "Stills of one video; more are thinned evenly", 1, 100_000),
        Setting(
            "NEAR_IDENTICAL_LEVELS",
            "near_identical_levels",
            "Leave out a still that differs from the last one kept by at most so many of 256 gray levels everywhere",
            0,
            255,
            unset="all are kept",
        ),
        Setting(
            "MODELS",
            "models",
            "Sidecar files of the models that label frames ([predictions](predictions.md)), separated like `PATH`",
            unset="none",
        ),
    ),
    "What people are asked ([labels](labels.md))": (
        Setting(
            "LABEL_PROJECTS",
            "label_projects",
            "Labelling projects that are on, separated by commas: names of those that come along, such as "
            "`real-or-fake`, or paths of TOML files",
            unset="none: nothing is queued",
        ),
    ),
    "Where people answer ([Label Studio](label-studio.md))": (
        Setting("LABEL_STUDIO_URL", "label_studio_url", "Address of a Label Studio", unset="none: no exchange"),
        Setting(
            "LABEL_STUDIO_TOKEN",
            "label_studio_token",
            "A personal access token there, or a legacy token; a secret, which nothing keeps or shows",
            unset="none",
        ),
        Setting(
            "LABEL_STUDIO_ROOT",
            "label_studio_root",
            "Of a lake in a folder: the server's `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`, above the lake's `blobs`",
            unset="the lake's folder",
        ),
        Setting(
            "LABEL_STUDIO_PRESIGN",
            "label_studio_presign",
            "Of a lake in a bucket: browsers fetch from the bucket itself; else the server hands the bytes through",
            is_flag=True,
        ),
        Setting("LABEL_STUDIO_SECONDS", "label_studio_seconds", "Time between two exchanges", 15, 86_400),
        Setting(
            "LABEL_STUDIO_HINT_SECRET",
            "label_studio_hint_secret",
            "What webhooks have to know to hint at changes ([hints](label-studio.md#webhooks)); a secret",
            unset="no hints are taken",
        ),
    ),
    "The network": (
        Setting(
            "ALLOWED_NETWORKS",
            "allowed_networks",
            "Internal networks that may be asked all the same, such as `10.0.0.0/8,fd00::/8`",
            unset="public addresses only",
        ),
        Setting(
            "PROXY", "proxy", "`http://host:port` for every download; it has to guard addresses then", unset="none"
        ),
        Setting("USER_AGENT", "user_agent", "How servers are told who asks"),
        Setting("CONNECTIONS", "n_connections", "Downloads at a time", 1, 1000),
        Setting("CONNECTIONS_PER_HOST", "n_connections_per_host", "Downloads at a time from one host", 1, 1000),
        Setting(
            "DOWNLOAD_SECONDS",
            "download_seconds",
            "Time on the wire that one item may take, over all attempts and redirects",
            1,
            86_400,
        ),
    ),
    "Who is told when something goes wrong ([alerts](alerts.md))": (
        Setting(
            "ALERT_URLS",
            "alert_urls",
            "Apprise URLs of those to tell, separated by spaces; `error=URL` for errors only. They hold secrets, which "
            "nothing keeps or shows",
            unset="nobody",
        ),
        Setting("ALERT_URLS_FILE", "alert_urls_file", "A file with more of them, one on a line", unset="none"),
        Setting(
            "ALERT_EVERY_MINUTES", "alert_every_minutes", "Between two messages about one growing trouble", 1, 10_080
        ),
        Setting("ALERT_MESSAGES_PER_HOUR", "alert_messages_per_hour", "Messages to one destination", 1, 3600),
        Setting(
            "ALERT_STUCK_MINUTES",
            "alert_stuck_minutes",
            "Time after which a batch that is not done, and that nothing is at work on, is stuck",
            1,
            525_600,
        ),
        Setting(
            "ALERT_FAILED_PERCENT",
            "alert_failed_percent",
            "Share of a source's items that may fail; 100 tells of none",
            0,
            100,
        ),
        Setting("ALERT_WINDOW_HOURS", "alert_window_hours", "For which that share is taken", 1, 8760),
        Setting("UI_URL", "ui_url", "Address of the Dagster UI, for links in messages", unset="no links"),
    ),
    "What one item may take": (
        Setting("MAX_ITEM_MIB", "max_item_mib", "Size of one file, in MiB", 1, 2048),
        Setting("MAX_MEGAPIXELS", "max_megapixels", "Pixels of one picture, in millions", 1, 178),
        Setting(
            "WORKER_MEMORY_MIB",
            "worker_memory_mib",
            "Memory of one decoding process, in MiB of address space",
            512,
            1_048_576,
        ),
        Setting(
            "ITEM_SECONDS",
            "item_seconds",
            "Time to open one item and make all of it; half as much CPU time",
            2,
            86_400,
        ),
    ),
    "A lake in an object store": (
        Setting("S3_ENDPOINT", "s3_endpoint", "URL of a store that is not AWS's own", unset="AWS's configuration"),
        Setting("S3_REGION", "s3_region", "The bucket's region", unset="AWS's configuration"),
        Setting(
            "S3_PATH_STYLE",
            "s3_path_style",
            "Whether the bucket is named in the path instead of the host name, `true` or `false`",
            unset="`true` with an endpoint",
            is_flag=True,
        ),
        Setting(
            "S3_ENCRYPTION",
            "s3_encryption",
            "`AES256`, `aws:kms` or `aws:kms:dsse`: how the store encrypts what is put",
            unset="as the bucket says",
        ),
        Setting("S3_KMS_KEY_ID", "s3_kms_key_id", "The key for `aws:kms`", unset="the account's own"),
        Setting("S3_TIMEOUT_SECONDS", "s3_timeout_seconds", "Time that one request may take", 1, 3600),
        Setting("S3_RETRIES", "s3_retries", "Repeats of a request that failed for a passing cause", 0, 100),
        Setting(
            "CACHE", "cache", "Folder for what such a lake needs on this machine", unset="`cache` in the current folder"
        ),
    ),
    "This machine": (
        Setting(
            "WORKERS",
            "n_workers",
            "Decoding processes; `0`: decode in the process itself, **without a sandbox**",
            0,
            1024,
            unset="one per core",
        ),
    ),
}
"""By what they are about, in the order of the page."""

EVERY_SETTING = tuple(setting for settings in SETTINGS.values() for setting in settings)


def values_of(environ: Mapping[str, str]) -> dict[str, str | int | bool]:
    """Field → value of every setting that is set; an empty variable is not.

    Raises:
        SetupError: one holds no number where one is expected, or one out of bounds.
    """
    return {each.field: each.value(text) for each in EVERY_SETTING if (text := environ.get(each.variable))}
