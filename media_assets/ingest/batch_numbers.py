"""How the batches of one list are called and counted: `open-images.validation.0007` is its seventh.

Not here: what is in them.
"""

from __future__ import annotations

import hashlib
import re

from deltalake import DeltaTable

_MAX_SLUG = 60


def list_name(source: str, name: bytes) -> str:
    """What the batch ids of a list begin with: `folder.holiday-2019`, for a folder or file of that name.

    Letters that a batch id cannot hold become `-`; a short hash of the name then keeps two names apart.
    """
    text = name.decode("utf-8", errors="replace")
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:_MAX_SLUG]
    if slug != text or not slug:
        slug = f"{slug}-{hashlib.sha256(name).hexdigest()[:8]}".lstrip("-")
    return f"{source}.{slug}"


def batch_id_of(name: str, number: int) -> str:
    """Batch id of the n-th batch of a list, counted from 1."""
    return f"{name}.{number:04d}"


def number_of(batch_id: str, name: str) -> int | None:
    """Which batch of a list this is; None for a batch of another list."""
    found = re.fullmatch(rf"{re.escape(name)}\.([0-9]{{4,}})", batch_id)
    return int(found[1]) if found else None


def app_id_of(name: str) -> str:
    """The Delta transaction that counts the batches of a list."""
    return f"plan:{name}"


def last_number(table: DeltaTable | None, name: str) -> int:
    """Number of the newest batch of a list: of its transaction, or of its rows should those be ahead; 0 for none."""
    if table is None:
        return 0
    numbers = [number_of(partition["batch_id"], name) or 0 for partition in table.partitions()]
    return max([table.transaction_version(app_id_of(name)) or 0, *numbers])
