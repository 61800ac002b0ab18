"""Bearer tokens: who may send, under which source, and how much a day. The file holds their SHA-256 only.

A token is 256 random bits, so that a plain hash of it cannot be guessed. Comparing takes the same time whichever
token comes, and whether it is one. Not here: counting (`ledger.py`).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from media_assets.errors import SetupError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOOK_SECONDS = 1.0


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One sender. A quota of None is none; days are UTC's."""

    name: str
    source: str
    sha256: str
    bytes_per_day: int | None = None
    files_per_day: int | None = None

    @property
    def has_quota(self) -> bool:
        """Whether anything has to be counted for it."""
        return self.bytes_per_day is not None or self.files_per_day is not None


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    tokens: list[Token]


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of a file.

    Raises:
        SetupError: it cannot be read, is not of the form, or others may write to it.
    """
    try:
        with path.open("rb") as file:
            mode, text = os.fstat(file.fileno()).st_mode, file.read()
        tokens = tuple(msgspec.json.decode(text, type=_Document).tokens)
    except (OSError, msgspec.MsgspecError) as error:
        raise SetupError(
            f"Expected a file of tokens at {path}, as `media-assets upload-token` makes it, got: {error}."
        ) from error
    if mode & stat.S_IWOTH:
        raise SetupError(f"Expected {path} to be written by its owner only, but everybody may: chmod 600 it.")
    _require_sound(path, tokens)
    return tokens


def _require_sound(path: Path, tokens: tuple[Token, ...]) -> None:
    for token in tokens:
        require_name(token.name)
        require_name(token.source)
        if not _SHA256.fullmatch(token.sha256):
            raise SetupError(f"Expected the SHA-256 of token {token.name!r} in {path} as 64 hex digits.")
        if any(quota is not None and quota < 0 for quota in (token.bytes_per_day, token.files_per_day)):
            raise SetupError(f"Expected quotas of 0 or more for token {token.name!r} in {path}.")
    if len({token.name for token in tokens}) != len(tokens):
        raise SetupError(f"Expected no two tokens of one name in {path}.")


def require_name(name: str) -> str:
    """A token's name or its source, which is a folder of the inbox.

    Raises:
        SetupError: it is no such name.
    """
    if not _NAME.fullmatch(name):
        raise SetupError(f"Expected a name of small letters, digits, `_` and `-`, 64 at most, got {name!r}.")
    return name


def new_token(
    path: Path, name: str, source: str, bytes_per_day: int | None, files_per_day: int | None, *, replace: bool
) -> str:
    """Make a token, keep its hash in the file, and return it: it is not kept anywhere.

    Raises:
        SetupError: the name is taken, or the file cannot be read or written.
    """
    before = read_tokens(path) if path.exists() else ()
    if any(token.name == name for token in before) and not replace:
        raise SetupError(f"Expected a new name, {name!r} has a token already; --replace makes it useless.")
    secret = f"ma_{secrets.token_urlsafe(32)}"
    token = Token(require_name(name), require_name(source), _digest(secret), bytes_per_day, files_per_day)
    _write(path, (*(each for each in before if each.name != name), token))
    return secret


def _write(path: Path, tokens: tuple[Token, ...]) -> None:
    text = msgspec.json.format(msgspec.json.encode(_Document(list(tokens))), indent=2) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except OSError as error:
        raise SetupError(f"Expected to write tokens to {path}, got: {error}.") from error


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def tokens_file(path: str) -> Path:
    """The file of tokens that `MEDIA_ASSETS_UPLOAD_TOKENS` names.

    Raises:
        SetupError: it names none.
    """
    if not path:
        raise SetupError(
            "Expected MEDIA_ASSETS_UPLOAD_TOKENS to name a file, got nothing. Set it, and make a token with "
            "`media-assets upload-token`."
        )
    return Path(path).absolute()


@dataclass
class TokenFile:
    """The tokens of a file, read again when it has changed: a token that is taken out is refused a second later.

    A file that has become unreadable changes nothing; `trouble` says so until it is mended.
    """

    path: Path
    clock: Callable[[], float] = time.monotonic
    trouble: str = ""
    _tokens: tuple[Token, ...] = field(init=False)
    _version: tuple[int, ...] = field(init=False)
    _looked_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._version = self._stat()
        self._tokens = read_tokens(self.path)
        self._looked_at = self.clock()

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, secret: str) -> Token | None:
        """Whose token it is. Every token is compared, none of them faster than another."""
        self.look()
        digest, found = _digest(secret), None
        for token in self._tokens:
            if hmac.compare_digest(digest, token.sha256):
                found = token
        return found

    def look(self) -> None:
        """Read the file again if it has changed and the last look is a moment ago."""
        now = self.clock()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        if (version := self._stat()) == self._version:
            self.trouble = ""
            return
        try:
            self._tokens, self._version, self.trouble = read_tokens(self.path), version, ""
        except SetupError as error:
            self.trouble = str(error)

    def _stat(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino
