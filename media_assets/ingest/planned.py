"""What every source yields: an item to expect, or a row that cannot become one.

Lives here: the two values between a source and the planner. Not here: reading a list (one module per source)
or writing the manifest (`planning.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from media_assets.tables.columns import Kind


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One expected item: a row of `ingest/manifest` without its batch; units as in the contract."""

    item_key: str
    uri: str
    kind: Kind
    declared_bytes: int | None = None
    declared_checksum: str | None = None
    licence: str | None = None
    attribution: str | None = None
    landing_uri: str | None = None
    rotation_degrees: int | None = None
    subject_id: str | None = None
    original_id: str | None = None
    split_hint: str | None = None
    labels: tuple[dict[str, object], ...] = ()

    def row(self) -> dict[str, object]:
        """The columns of the manifest that the item itself knows."""
        values = {name: getattr(self, name) for name in _FIELDS}
        return values | {"kind": self.kind.value, "labels": list(self.labels)}


_FIELDS = tuple(field.name for field in fields(PlannedItem))


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row of a list that cannot become an item.

    `row_key` says where it stands, such as `validation-images-with-rotation.csv:17`; `message` what was
    expected and what came.
    """

    row_key: str
    message: str
