"""DuckDB over every table of the lake, each as `stage.table`, and the models of `dbt_like_sql/` as views over them.

Scans are lazy: filters and projections reach the Delta files. A query can read the lake's tables and nothing else: no
file, no network, no Python variable, no configuration. Not here: writing anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from itertools import count
from typing import Any

import duckdb

from media_assets.errors import QueryRefused
from media_assets.lake.delta import Lake
from media_assets.lake.store_errors import refused, store_code
from media_assets.tables import ALL_TABLES

# MULTI is what PIVOT is parsed into; it looks for the values of the pivoted column first.
_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI)


@contextmanager
def open_sql(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A locked-down connection in which every table and model is a view. Files that no query asks for may be missing.

    Raises:
        TableDamaged: a query failed, and a table is not whole.
    """
    connection = duckdb.connect(":memory:")
    try:
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET TimeZone = 'UTC'")
        for contract in ALL_TABLES:
            stage, table = contract.key
            connection.register(f"__{stage}_{table}", lake.scan(contract, require_whole=False))
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{stage}"')
            connection.execute(f'CREATE VIEW "{stage}"."{table}" AS FROM "__{stage}_{table}"')
        for schema, name, select in models():
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            connection.execute(f'CREATE VIEW "{schema}"."{name}" AS {select}')
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    except (duckdb.Error, QueryRefused):
        for contract in ALL_TABLES:
            lake.require_whole(contract)
        raise
    finally:
        connection.close()


def run_query(lake: Lake, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names, made unique, and rows of one read-only statement: SELECT (PIVOT, DESCRIBE, ... too) or EXPLAIN.

    Raises:
        QueryRefused: the statement is not valid, or asks for more than the lake's tables.
        StoreRefused: the lake's object store did not give what the query needs.
    """
    with open_sql(lake) as connection:
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1:
                raise _refused(f"{len(statements)} statements")
            if statements[0].type not in _READING:
                raise _refused(f"a statement of type {statements[0].type.name}")
            relation = connection.sql(statements[0].query)
            return _unique(relation.columns), relation.fetchall()
        except duckdb.Error as error:
            if store_code(error) is not None:
                raise refused(error, lake.location.root) from None  # its text may hold a session token
            raise _refused(str(error)) from error


def _refused(got: str) -> QueryRefused:
    tables = [contract.name for contract in ALL_TABLES] + [f"{schema}.{name}" for schema, name, _ in models()]
    return QueryRefused(f"Expected one SELECT over the lake's tables ({', '.join(tables)}), got: {got}")


def _unique(names: Iterable[str]) -> list[str]:
    """Column names as DuckDB itself tells equal ones apart: a, a_1, a_2."""
    found: list[str] = []
    for name in names:
        candidates = (f"{name}_{number}" if number else name for number in count())
        found.append(next(candidate for candidate in candidates if candidate not in found))
    return found


def models() -> list[tuple[str, str, str]]:
    """(schema, name, SELECT) of every model, in alphabetical order."""
    found = []
    for folder in sorted(files("dbt_like_sql").iterdir(), key=lambda entry: entry.name):
        if not folder.is_dir() or folder.name.startswith(("_", ".")):
            continue
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith(".sql"):
                found.append((folder.name, entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8")))
    return found
