"""Why an upload was refused, as clients are told: a stable code, an HTTP status, a sentence."""

from __future__ import annotations

from enum import StrEnum

from media_assets.errors import MediaAssetsError


class UploadCode(StrEnum):
    """Stands in the JSON of a refusal. The values never change their meaning."""

    TOKEN_MISSING = "token_missing"  # noqa: S105 - no bearer token was sent
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105 - none of the file's tokens
    BAD_REQUEST = "bad_request"  # a header or body that cannot be read
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NO_SUCH_PAGE = "no_such_page"
    UNSUPPORTED_VERSION = "unsupported_version"  # not tus 1.0.0
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"  # a PATCH or form of another content type
    EMPTY_UPLOAD = "empty_upload"  # no bytes
    TOO_LARGE = "too_large"  # over the cap for one file
    LENGTH_EXCEEDED = "length_exceeded"  # more bytes than were announced
    CUT_OFF = "cut_off"  # fewer: the connection broke
    TOO_SLOW = "too_slow"  # below the pace that keeps a place
    CHECKSUM_MISMATCH = "checksum_mismatch"
    UPLOAD_NOT_FOUND = "upload_not_found"  # unknown, ended, or another token's
    UPLOAD_EXPIRED = "upload_expired"
    UPLOAD_FINISHED = "upload_finished"  # its bytes are in the inbox: it cannot be ended any more
    OFFSET_MISMATCH = "offset_mismatch"
    UPLOAD_LOCKED = "upload_locked"  # another request writes it
    TAKEN_OVER = "taken_over"  # another request asked for the offset: this one is taken for dead
    QUOTA_EXCEEDED = "quota_exceeded"  # the token's files or bytes of today
    TOO_MANY_OPEN = "too_many_open"  # unfinished uploads of this token
    BUSY = "busy"  # as many uploads at once as are served
    STORAGE_FULL = "storage_full"
    STORAGE_FAILED = "storage_failed"


STATUS: dict[UploadCode, int] = {
    UploadCode.TOKEN_MISSING: 401,
    UploadCode.TOKEN_UNKNOWN: 401,
    UploadCode.BAD_REQUEST: 400,
    UploadCode.METHOD_NOT_ALLOWED: 405,
    UploadCode.NO_SUCH_PAGE: 404,
    UploadCode.UNSUPPORTED_VERSION: 412,
    UploadCode.UNSUPPORTED_MEDIA_TYPE: 415,
    UploadCode.EMPTY_UPLOAD: 400,
    UploadCode.TOO_LARGE: 413,
    UploadCode.LENGTH_EXCEEDED: 413,
    UploadCode.CUT_OFF: 400,
    UploadCode.TOO_SLOW: 408,
    UploadCode.CHECKSUM_MISMATCH: 460,
    UploadCode.UPLOAD_NOT_FOUND: 404,
    UploadCode.UPLOAD_EXPIRED: 410,
    UploadCode.UPLOAD_FINISHED: 409,
    UploadCode.OFFSET_MISMATCH: 409,
    UploadCode.UPLOAD_LOCKED: 423,
    UploadCode.TAKEN_OVER: 409,
    UploadCode.QUOTA_EXCEEDED: 403,
    UploadCode.TOO_MANY_OPEN: 429,
    UploadCode.BUSY: 429,
    UploadCode.STORAGE_FULL: 507,
    UploadCode.STORAGE_FAILED: 503,
}
"""The HTTP status of each code."""

_RETRY_AFTER_SECONDS = {
    UploadCode.BUSY: 1,
    UploadCode.UPLOAD_LOCKED: 1,
    UploadCode.TOO_MANY_OPEN: 60,
    UploadCode.STORAGE_FULL: 60,
    UploadCode.STORAGE_FAILED: 5,
}


class UploadRefused(MediaAssetsError):
    """One request is refused. `code` is stable; the message says what was expected, what came, and what to do next."""

    def __init__(self, code: UploadCode, message: str) -> None:
        self.code = code
        super().__init__(message)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    @property
    def retry_after_seconds(self) -> int | None:
        """When the same request may succeed, or None where waiting does not help."""
        return _RETRY_AFTER_SECONDS.get(self.code)


class LandingUnsure(UploadRefused):
    """The inbox has not confirmed an upload: it may lie there. Receipt and bytes are kept, and it is tried again."""

    def __init__(self, message: str) -> None:
        super().__init__(UploadCode.STORAGE_FAILED, message)
