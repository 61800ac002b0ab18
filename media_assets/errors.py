"""Everything that can go wrong, as a tree.

    MediaAssetsError
    ├── ItemError            one item is bad: it becomes a status row with a stable code, the batch goes on
    ├── BatchError           the batch publishes nothing and the run fails
    │   ├── Outage           most of a batch failed for a cause that may pass
    │   ├── StoreFailed      our own store did not take or give something
    │   ├── RivalRun         another run published the same batch at the same time
    │   ├── ContractBroken   rows in hand break their table's contract
    │   └── ReconciliationBroken   items that entered and statuses that came out do not add up
    ├── LabelStudioFailed    Label Studio did not do, or may not have done, what it was asked; has a `LabelStudioCode`
    ├── AlertUndelivered     a destination of alerts did not take a message; it is kept and sent later
    └── SetupError           the machine, the store or the configuration is unfit
        ├── LakeUnfit
        │   ├── TableDamaged  a table's log or files are not whole; nothing is read or written
        │   └── StoreRefused  the object store cannot be used as it is configured; has a `StoreCode`
        ├── ModelUnfit       a model cannot be used as it is described; has a `ModelCode`
        ├── PlanRefused      a list or folder cannot be planned at all
        ├── QueryRefused     a SQL statement cannot or may not run
        └── NotMaterialized  something asked for has not been built yet

A message says what was expected, what came, and what to do next. This module imports nothing of the project.
"""

from __future__ import annotations

from enum import StrEnum

_RETRYABLE = frozenset(
    {
        "connection_failed",
        "dns_failed",
        "timeout",
        "too_slow",
        "rate_limited",
        "server_error",
        "truncated_body",
        "storage_failed",
        "blob_damaged",
    }
)


class ErrorCode(StrEnum):
    """Why one item failed. The values are stored in `ingest/item_status` and never change their meaning."""

    # reaching the bytes
    NOT_FOUND = "not_found"  # 404, 410, or no such file
    FORBIDDEN = "forbidden"  # 401, 403, 451, or no permission
    HTTP_ERROR = "http_error"  # any other 4xx, or an answer that is not HTTP
    SERVER_ERROR = "server_error"  # 5xx after all retries
    RATE_LIMITED = "rate_limited"  # 429 after all retries
    TIMEOUT = "timeout"  # no connection or no answer in time
    TOO_SLOW = "too_slow"  # bytes came, but not all of them within the time cap
    CONNECTION_FAILED = "connection_failed"  # refused, reset, or broken off
    DNS_FAILED = "dns_failed"
    TLS_FAILED = "tls_failed"
    TRUNCATED_BODY = "truncated_body"  # fewer bytes than the server announced
    TOO_MANY_BYTES = "too_many_bytes"  # over the byte cap, announced or real
    TOO_MANY_REDIRECTS = "too_many_redirects"
    URL_REFUSED = "url_refused"  # not http(s), user info, a port that is not allowed, not a URL
    ADDRESS_REFUSED = "address_refused"  # a private, loopback or otherwise internal address
    ENCODING_REFUSED = "encoding_refused"  # the server compressed the body although it was asked not to
    CHECKSUM_MISMATCH = "checksum_mismatch"
    NOT_A_REGULAR_FILE = "not_a_regular_file"  # FIFO, device, socket, directory
    SYMLINK_REFUSED = "symlink_refused"
    STORAGE_FAILED = "storage_failed"  # our own store did not take or give the bytes
    BLOB_DAMAGED = "blob_damaged"  # kept bytes that are no longer those that were kept; a replay makes them anew
    # judging the bytes
    EMPTY = "empty"
    UNKNOWN_FORMAT = "unknown_format"  # no magic that we know
    UNSUPPORTED_FORMAT = "unsupported_format"  # known, and not opened here (SVG, playlist, sound, HTML)
    NO_VIDEO = "no_video"  # a video was expected, and there are no pictures in it: sound alone, or a cover
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"  # frames, or frames x canvas
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    # opening them in the sandbox
    DECODER_CRASHED = "decoder_crashed"
    DECODER_TIMEOUT = "decoder_timeout"
    DECODER_MEMORY = "decoder_memory"
    # asking a model
    MODEL_FAILED = "model_failed"  # its runtime gave an error for this frame, and not for most others
    MODEL_OUTPUT_INVALID = "model_output_invalid"  # it answered with what is no answer: NaN, or a share beyond 0..1
    # planning
    BAD_ROW = "bad_row"  # a line of a list that cannot become a manifest row

    @property
    def is_retryable(self) -> bool:
        """Whether the same attempt may succeed later without anybody changing anything."""
        return self.value in _RETRYABLE


DECODER_FAULTS = frozenset({ErrorCode.DECODER_CRASHED, ErrorCode.DECODER_TIMEOUT, ErrorCode.DECODER_MEMORY})
"""Failures that are ours, not the bytes': a replay opens the kept bytes again instead of asking the source."""


MODEL_FAULTS = frozenset({ErrorCode.MODEL_FAILED, ErrorCode.MODEL_OUTPUT_INVALID})
"""Failures of a frame that are the model's to explain: where most of a batch meets them, the model is to blame."""


class ModelCode(StrEnum):
    """Why a model cannot be used. Printed before the message; the values never change their meaning."""

    RUNTIME_MISSING = "model_runtime_missing"  # the package that runs it is not installed
    DESCRIPTION_INVALID = "model_description_invalid"  # its sidecar file is not there, or describes no model
    FILE_UNREADABLE = "model_file_unreadable"  # the file that the sidecar names is not there, or no model file
    FILE_CHANGED = "model_file_changed"  # another SHA-256 than was declared, or than when the run began
    TOO_LARGE = "model_too_large"  # loading it takes more memory than a worker has
    INPUT_MISMATCH = "model_input_mismatch"  # it takes another shape or type than is described
    OUTPUT_MISMATCH = "model_output_mismatch"  # it gives another shape, or another number of labels
    FAILS_ON_MOST = "model_fails_on_most"  # most items of a batch met an error of the model, or no frame got an answer


class StoreCode(StrEnum):
    """Why an object store cannot be used. Printed beside the message; the values never change their meaning."""

    BUCKET_MISSING = "bucket_missing"  # there is no such bucket at this endpoint
    CREDENTIALS_MISSING = "credentials_missing"  # nothing in the standard chain of providers, or it failed
    CREDENTIALS_REFUSED = "credentials_refused"  # unknown key, wrong secret, expired or foreign token
    ACCESS_DENIED = "access_denied"  # a known identity that may not do this
    CLOCK_SKEWED = "clock_skewed"  # this machine's clock and the store's are too far apart
    REGION_WRONG = "region_wrong"  # the bucket is in another region
    STORE_UNREACHABLE = "store_unreachable"  # no connection, no name, no TLS, or no answer in time
    PUT_IF_ABSENT_IGNORED = "put_if_absent_ignored"  # the store ignores If-None-Match: commits would be lost
    STORE_ERROR = "store_error"  # any other answer


class LabelStudioCode(StrEnum):
    """Why Label Studio did not do something. Printed beside the message; the values never change their meaning."""

    UNREACHABLE = "label_studio_unreachable"  # no connection, no name, no TLS, or no answer to a question in time
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - unknown, expired, or not allowed to do this
    NOT_FOUND = "label_studio_not_found"  # no such project or task, or no Label Studio
    REQUEST_REFUSED = "request_refused"  # any other 4xx: nothing was done
    SERVER_FAILED = "label_studio_failed"  # 5xx or 429 to a question, after all tries
    OUTCOME_UNKNOWN = "outcome_unknown"  # something was sent, and nobody can say whether it was done
    ANSWER_STRANGE = "answer_strange"  # an answer that Label Studio does not give
    FILTER_BROKEN = "filter_broken"  # its filters do not find what is there: comparing would import everything again
    PREDICTION_INVALID = "prediction_invalid"  # a pre-annotation that the project's configuration does not know
    TASK_ANNOTATED = "task_annotated"  # a task with an annotator's work in it is never deleted
    PROJECT_AMBIGUOUS = "project_ambiguous"  # several projects of one name
    PROJECT_GONE = "project_gone"  # tasks wait for answers in a project that is not there, or is another one now


class MediaAssetsError(Exception):
    """Root of every error this project raises on purpose."""


class ItemError(MediaAssetsError):
    """One item failed. `code` is stable; `message` is for people and at most 500 characters."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        self.code = code
        self.message = message[:500]
        super().__init__(f"{code.value}: {self.message}")

    @property
    def is_retryable(self) -> bool:
        """Whether the same attempt may succeed later."""
        return self.code.is_retryable

    def __reduce__(self) -> tuple[type[ItemError], tuple[ErrorCode, str]]:
        return type(self), (self.code, self.message)


class BatchError(MediaAssetsError):
    """A batch publishes nothing; the run fails and may be tried again. `findings`: the audit's, if any."""

    def __init__(self, message: str, findings: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class Outage(BatchError, ConnectionError):
    """A retryable cause hit most of a batch: the source or our store is down, the items are not to blame."""


class StoreFailed(BatchError, OSError):
    """Our own store did not take or give something that the batch needs; it may be half published, and is not done."""


class RivalRun(BatchError):
    """Another run published the same batch at the same time; one of them has to do it again."""


class ContractBroken(BatchError, ValueError):
    """Rows in hand break the contract of their table."""


class ReconciliationBroken(BatchError, ValueError):
    """What entered a stage and what came out of it do not add up."""


class LabelStudioFailed(MediaAssetsError):
    """Label Studio did not do what it was asked, or may not have. `code` is stable.

    `wait_seconds`: how long the server asked to be left alone.
    """

    def __init__(self, code: LabelStudioCode, message: str, wait_seconds: float = 0.0) -> None:
        self.code = code
        self.wait_seconds = wait_seconds
        super().__init__(message[:1].upper() + message[1:])

    def __reduce__(self) -> tuple[type[LabelStudioFailed], tuple[LabelStudioCode, str, float]]:
        return type(self), (self.code, str(self), self.wait_seconds)


class AlertUndelivered(MediaAssetsError):
    """A destination of alerts did not take a message. The message is kept and sent later."""


class SetupError(MediaAssetsError):
    """The machine, the store or the configuration is unfit for the work."""


class LakeUnfit(SetupError, OSError):
    """The lake's path or store cannot hold the tables safely."""


class TableDamaged(LakeUnfit):
    """A table's log or data files are damaged. The message names the table and the way to restore it."""


class StoreRefused(LakeUnfit):
    """The object store cannot be used as it is configured. `code` is stable."""

    def __init__(self, message: str, code: StoreCode = StoreCode.STORE_ERROR) -> None:
        self.code = code
        super().__init__(message)

    def __reduce__(self) -> tuple[type[StoreRefused], tuple[str, StoreCode]]:
        return type(self), (str(self), self.code)


class ModelUnfit(SetupError):
    """A model cannot be used as it is described: no frame is to blame. `code` is stable."""

    def __init__(self, message: str, code: ModelCode) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code.value}: {message}")

    def __reduce__(self) -> tuple[type[ModelUnfit], tuple[str, ModelCode]]:
        return type(self), (self.message, self.code)


class PlanRefused(SetupError, ValueError):
    """A list or a folder cannot be planned at all (single bad rows are status rows instead)."""


class QueryRefused(SetupError, ValueError):
    """A SQL statement is not valid, or asks for more than the lake's tables."""


class NotMaterialized(SetupError, LookupError):
    """Something asked for has not been built yet."""
