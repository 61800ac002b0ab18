"""The audit before the commit: contracts and reconciliation of one batch, on the rows in hand. Pure.

A violated check means that nothing of the batch is published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from media_assets.errors import ContractBroken, ReconciliationBroken
from media_assets.tables import ITEM_STATUS, TableContract
from media_assets.tables.columns import Status


@dataclass(frozen=True)
class Finding:
    """The result of one check on one table of one batch."""

    table: str  # stage/table
    check: str  # what is true when it passes
    passed: bool
    detail: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        verdict = "holds" if self.passed else "is broken"
        return f"{self.table}: {self.check} {verdict}: {dict(self.detail)}"


def contract_finding(contract: TableContract, frame: pl.DataFrame) -> Finding:
    """Whether rows hold their table's contract."""
    violations = contract.violations(frame)
    told = [f"{v.column}: {v.rule} ({v.n_rows} rows, such as {list(v.examples)})" for v in violations]
    detail: dict[str, object] = {"n_rows": frame.height}
    if told:
        detail["violations"] = told
    return Finding(contract.path, "contract_holds", not violations, detail)


def reconciliation_finding(
    contract: TableContract,
    entered: Collection[str],
    statuses: pl.DataFrame,
    rows_per_item: Mapping[str, int],
) -> Finding:
    """Whether every item that entered has exactly one status, and as many rows as that status says.

    Args:
        contract: the stage's table.
        entered: item keys that entered the stage.
        statuses: the stage's status rows.
        rows_per_item: item key to its number of rows in the table; absent means none.
    """
    keys, expected = statuses["item_key"].to_list(), set(entered)
    counted = Counter(keys)
    promised = dict(zip(keys, statuses["n_outputs"].to_list(), strict=True))
    detail: dict[str, object] = {"entered": len(entered), **status_counts(statuses["status"])}
    problems = {
        "without a status": [key for key in entered if key not in counted],
        "with several statuses": [key for key, n in counted.items() if n > 1],
        "with a status but never entered": [key for key in counted if key not in expected],
        "with another number of rows than its status says": [
            key for key in set(promised) | set(rows_per_item) if promised.get(key, 0) != rows_per_item.get(key, 0)
        ],
        "neither going on nor without rows": _rows_of_stopped(statuses),
    }
    for problem, offenders in problems.items():
        if offenders:
            detail[problem] = f"{len(offenders)} items, such as {sorted(offenders)[:5]}"
    return Finding(contract.path, "reconciles", not any(problems.values()), detail)


def status_counts(statuses: Iterable[str]) -> dict[str, int]:
    """Number of items by status, every status named, in the vocabulary's order."""
    counted = Counter(statuses)
    return {status.value: counted.get(status.value, 0) for status in Status}


def status_finding(statuses: pl.DataFrame) -> Finding:
    """Whether the status rows hold their own contract."""
    return contract_finding(ITEM_STATUS, statuses)


def broken(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that did not pass."""
    return [finding for finding in findings if not finding.passed]


def refuse(violated: Sequence[Finding], findings: Sequence[Finding]) -> None:
    """Publish nothing where something is violated.

    Raises:
        ContractBroken, ReconciliationBroken: with all findings.
    """
    if not violated:
        return
    told = "; ".join(map(str, violated))
    kind = ReconciliationBroken if any(f.check == "reconciles" for f in violated) else ContractBroken
    raise kind(f"{told}. Nothing of the batch was published; mend the producer, then run it again.", tuple(findings))


def _rows_of_stopped(statuses: pl.DataFrame) -> list[str]:
    going_on = [status.value for status in Status if status.goes_on]
    stopped = statuses.filter(~pl.col("status").is_in(going_on) & (pl.col("n_outputs") > 0))
    return stopped["item_key"].to_list()
