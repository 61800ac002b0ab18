"""The headers of tus 1.0, read and written. Pure: what they ask for is done in `receiver.py`.

Extensions: creation, creation-with-upload, checksum, expiration, termination.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate

from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
ALGORITHMS = ("sha1", "sha256", "md5")
CONTENT_TYPE = "application/offset+octet-stream"
_NUMBER = re.compile(r"[0-9]{1,18}")
_MAX_METADATA = 8192  # characters


@dataclass(frozen=True)
class Checksum:
    """What the bytes of one request must hash to."""

    algorithm: str
    digest: bytes

    def hasher(self) -> hashlib._Hash:
        """A fresh hash of the algorithm."""
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def require(self, found: bytes) -> None:
        """Compare.

        Raises:
            UploadRefused: the bytes are others.
        """
        if found != self.digest:
            raise UploadRefused(
                UploadCode.CHECKSUM_MISMATCH,
                f"expected bytes of {self.algorithm} {self.digest.hex()}, got {found.hex()}; none of them were kept: "
                f"send them again",
            )


def require_version(headers: Mapping[str, str]) -> None:
    """Hold a request to the protocol's version.

    Raises:
        UploadRefused: `Tus-Resumable` names another, or is missing.
    """
    if (named := headers.get("tus-resumable")) != VERSION:
        raise UploadRefused(UploadCode.UNSUPPORTED_VERSION, f"expected Tus-Resumable: {VERSION}, got {named!r}")


def number_in(headers: Mapping[str, str], name: str) -> int | None:
    """A whole number of a header, or None where there is no such header.

    Raises:
        UploadRefused: it is no number.
    """
    text = headers.get(name.lower())
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise UploadRefused(UploadCode.BAD_REQUEST, f"expected a whole number in {name}, 0 or more, got {text[:40]!r}")
    return int(text)


def required_number(headers: Mapping[str, str], name: str) -> int:
    """The same, where there must be one.

    Raises:
        UploadRefused: it is missing, or no number.
    """
    number = number_in(headers, name)
    if number is None:
        raise UploadRefused(UploadCode.BAD_REQUEST, f"expected the header {name}, got none")
    return number


def checksum_in(headers: Mapping[str, str]) -> Checksum | None:
    """What `Upload-Checksum` says, or None.

    Raises:
        UploadRefused: an algorithm that is not known here, or no digest of it.
    """
    text = headers.get("upload-checksum")
    if text is None:
        return None
    algorithm, _, encoded = text.partition(" ")
    try:
        digest = b64decode(encoded, validate=True)
        is_whole = algorithm in ALGORITHMS and len(digest) == hashlib.new(algorithm, usedforsecurity=False).digest_size
    except (Base64Error, ValueError):
        is_whole = False
    if not is_whole:
        raise UploadRefused(
            UploadCode.BAD_REQUEST,
            f"expected Upload-Checksum: ALGORITHM BASE64, of {', '.join(ALGORITHMS)}, got {text[:100]!r}",
        )
    return Checksum(algorithm, digest)


def original_name(headers: Mapping[str, str]) -> str:
    """`filename` or `name` of `Upload-Metadata`, else nothing; what cannot be read of it is ignored.

    Raises:
        UploadRefused: the header is longer than any honest one.
    """
    text = headers.get("upload-metadata", "")
    if len(text) > _MAX_METADATA:
        raise UploadRefused(
            UploadCode.BAD_REQUEST, f"expected at most {_MAX_METADATA} characters of Upload-Metadata, got {len(text)}"
        )
    found: dict[str, str] = {}
    for pair in text.split(","):
        key, _, encoded = pair.strip().partition(" ")
        try:
            found.setdefault(key, b64decode(encoded.strip(), validate=True).decode())
        except ValueError:
            continue
    return found.get("filename") or found.get("name") or ""


def http_date(seconds: float) -> str:
    """Seconds since the epoch as `Upload-Expires` says them."""
    return formatdate(seconds, usegmt=True)
