"""One row of a catalog as an item, whatever file it came from. Pure.

Not here: splitting a file into rows (`catalog_files.py`), and published lists with formats of their own
(`published.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from media_assets.errors import ErrorCode, ItemError, PlanRefused
from media_assets.ingest.open_images.image_rows import attribution_of
from media_assets.ingest.planned import PlannedItem
from media_assets.ingest.videos.addresses import BadAddress, MediaBase, address_and_key
from media_assets.tables.columns import Kind
from media_assets.tables.ingest import LABEL

ANNOTATOR = "catalog"
_MAX_KEY = 4096

MEANINGS: dict[str, tuple[str, ...]] = {
    "uri": ("uri", "url", "path", "file", "filename"),
    "item_key": ("item_key", "id", "video_id", "key"),
    "title": ("title", "name"),
    "author": ("author", "creator", "attribution", "credit"),
    "licence": ("licence", "license"),
    "landing_uri": ("landing_uri", "landing_url", "page", "page_url"),
    "subject_id": ("subject_id", "subject", "identity", "person_id"),
    "original_id": ("original_id", "original", "source_id"),
    "split_hint": ("split_hint", "split", "set"),
    "labels": ("labels", "label"),
    "declared_bytes": ("declared_bytes", "size_bytes", "bytes"),
    "sha256": ("sha256",),
    "md5": ("md5",),
}
"""What a column means, and what it may be called, in any case."""

_MEANING_OF = {name: meaning for meaning, names in MEANINGS.items() for name in names}
_LABEL_TYPES = {field.name: field.dtype.to_python() for field in LABEL.fields}


def meaning_of(column: str) -> str | None:
    """What a column means; None: nothing that is known."""
    return _MEANING_OF.get(column.strip().lower().replace("-", "_").replace(" ", "_"))


def meanings_of(columns: Iterable[str], where: str) -> dict[str, str]:
    """Column to meaning, for those that have one.

    Raises:
        PlanRefused: none of them is an address, or two mean the same.
    """
    known = {column: meaning for column in columns if (meaning := meaning_of(column)) is not None}
    meanings = list(known.values())
    if twice := sorted({m for m in meanings if meanings.count(m) > 1}):
        both = [column for column, meaning in known.items() if meaning == twice[0]]
        raise PlanRefused(f"{where}: expected one column for {twice[0]}, got {' and '.join(both)}. Remove one.")
    if "uri" not in meanings:
        raise PlanRefused(
            f"{where}: expected a column with the address of each video ({', '.join(MEANINGS['uri'])}), got "
            f"{', '.join(columns)[:300]}. Rename it."
        )
    return known


def item_of_record(record: Mapping[str, object], base: MediaBase | None) -> PlannedItem:
    """The item of a row, given as meaning (a key of `MEANINGS`) to value.

    Texts are taken without space around them; empty ones are as good as none. Numbers may stand for texts.

    Raises:
        ItemError: `bad_row`; a value is not what it has to be.
    """
    texts = {meaning: _text(meaning, value) for meaning, value in record.items() if meaning != "labels"}
    try:
        uri, key = address_and_key(_needed(texts.get("uri")), base)
        given = texts.get("item_key")
        key = key if given is None else given
    except BadAddress as error:
        raise ItemError(ErrorCode.BAD_ROW, str(error)) from None
    if key is None:
        raise _bad(
            "expected an item_key beside an address with a query or user info, got none: these change when an address "
            "is signed anew, so that every video would be planned again, and are nothing to show. Add a column item_key"
        )
    require_key(key)
    return PlannedItem(
        item_key=key,
        uri=uri,
        kind=Kind.VIDEO,
        declared_bytes=_whole(texts.get("declared_bytes")),
        declared_checksum=_checksum(texts),
        licence=texts.get("licence"),
        attribution=attribution_of(texts.get("title") or "", texts.get("author") or "", ""),
        landing_uri=texts.get("landing_uri"),
        subject_id=texts.get("subject_id"),
        original_id=texts.get("original_id"),
        split_hint=texts.get("split_hint"),
        labels=tuple(_labels(record.get("labels"))),
    )


def require_key(key: str) -> None:
    """Hold an item's key to what the manifest takes.

    Raises:
        ItemError: `bad_row`; it is not printable, or too long.
    """
    if not key.isprintable():
        raise _bad(f"expected an item_key of printable letters, got {ascii(key)[:100]}")
    if len(key) > _MAX_KEY:
        raise _bad(f"expected an item_key of at most {_MAX_KEY} characters, got {len(key)}")


def label(name: str, annotator: str = ANNOTATOR) -> dict[str, object]:
    """A label of the whole video, which its source is certain of."""
    return {"name": name, "annotator": annotator, "confidence": 1.0}


def _bad(message: str) -> ItemError:
    return ItemError(ErrorCode.BAD_ROW, message)


def _needed(uri: str | None) -> str:
    if uri is None:
        raise _bad("expected an address, got nothing")
    return uri


def _text(meaning: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _bad(f"expected text in {meaning}, got {type(value).__name__} {ascii(value)[:60]}")
    text = str(value).strip()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _bad(f"expected UTF-8 in {meaning}, got {ascii(text)[:60]}") from None
    return text or None


def _whole(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise _bad(f"expected a number of bytes, got {text[:60]!r}")
    return int(text)


def _checksum(texts: Mapping[str, str | None]) -> str | None:
    for name, n_digits in (("sha256", 64), ("md5", 32)):
        if (given := texts.get(name)) is not None:
            digits = given.lower()
            if len(digits) != n_digits or not set(digits) <= set("0123456789abcdef"):
                raise _bad(f"expected {n_digits} hex digits in {name}, got {given[:80]!r}")
            return f"{name}:{digits}"
    return None


def _labels(value: object) -> list[dict[str, object]]:
    """Labels from a text with `;` between them, a list of texts, or a list of objects as the manifest has them."""
    if value is None:
        return []
    if isinstance(value, str):
        return [label(text) for part in value.split(";") if (text := _text("labels", part)) is not None]
    if not isinstance(value, list | tuple):
        raise _bad(f"expected labels as text or a list, got {type(value).__name__} {ascii(value)[:60]}")
    return [_label(entry) for entry in value]


def _label(entry: object) -> dict[str, object]:
    if isinstance(entry, Mapping):
        given = {str(name): value for name, value in entry.items() if value is not None}
        if wrong := sorted(name for name, value in given.items() if not _fits(name, value)):
            raise _bad(f"expected a label with {', '.join(_LABEL_TYPES)}, got {wrong[0][:60]}={given[wrong[0]]!r:.60}")
        name = _text("labels", given.get("name"))
        if name is not None:
            numbers = {key: float(value) for key, value in given.items() if _LABEL_TYPES[key] is float}
            return label(name) | given | numbers | {"name": name}
    elif (name := _text("labels", entry)) is not None:
        return label(name)
    raise _bad(f"expected a label with a name, got {ascii(entry)[:60]}")


def _fits(name: str, value: object) -> bool:
    kind = _LABEL_TYPES.get(name)
    if kind is float:  # all of them are shares: of certainty, of the picture's width or height
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return kind is not None and isinstance(value, kind)
