"""How the batches of one list are called and counted: `open-images.validation.0007` is its seventh.

Not here: what is in them.
"""

from __future__ import annotations

import re

from deltalake import DeltaTable


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
