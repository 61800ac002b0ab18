"""SQL over the lake: every table and model is there, answers are right, and nothing else can be reached."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from media_assets.errors import QueryRefused, TableDamaged
from media_assets.lake.delta import Lake
from media_assets.lake.sql import models, open_sql, run_query
from media_assets.tables import ALL_TABLES, ITEM_STATUS, MANIFEST, TENSORS_IMAGES
from media_assets_tests.lake.lakes import US, files_of, lake_at, plan, tensor
from media_assets_tests.tables.rows import LABEL, NOON, valid

MODELS = models()
NAMES = [contract.name for contract in ALL_TABLES] + [f"{schema}.{name}" for schema, name, _ in MODELS]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model[0]}.{model[1]}")


@pytest.mark.parametrize("name", NAMES)
def test_every_table_and_model_can_be_asked_before_anything_is_written(lake: Lake, name: str) -> None:
    columns, rows = run_query(lake, f"SELECT * FROM {name}")
    assert rows == []
    by_name = {contract.name: list(contract.schema) for contract in ALL_TABLES}
    assert columns == by_name.get(name, columns)
    assert columns
    assert not Path(lake.location.root).exists(), "asking creates nothing"


def test_answers_are_right(lake: Lake) -> None:
    plan(lake, "a", ["1", "2", "3"], kind="image", declared_bytes=10)
    plan(lake, "b", ["4"], kind="video", declared_bytes=None)
    status = [valid(ITEM_STATUS, batch_id="a", item_key="2"), valid(ITEM_STATUS, batch_id="b", item_key="9")]
    lake.overwrite(ITEM_STATUS, ITEM_STATUS.frame(status), {}, US)
    asked = """
        SELECT m.batch_id, count(*) AS n, sum(declared_bytes) AS n_bytes, count(s.item_key) AS n_failed
        FROM ingest.manifest m LEFT JOIN ingest.item_status s USING (batch_id, item_key)
        GROUP BY m.batch_id ORDER BY m.batch_id
    """
    assert run_query(lake, asked) == (["batch_id", "n", "n_bytes", "n_failed"], [("a", 3, 30, 1), ("b", 1, None, 0)])


def test_nested_binary_and_time_columns_come_through(lake: Lake) -> None:
    plan(lake, "a", ["1"])
    lake.overwrite(TENSORS_IMAGES, TENSORS_IMAGES.frame([tensor(1, b"\x00\xff")]), {"batch_id": ["a"]}, US)
    asked = "SELECT labels, labels[1].name, planned_at, (SELECT tensor FROM tensors.images) FROM ingest.manifest"
    ((labels, name, planned_at, body),) = run_query(lake, asked)[1]
    assert (labels, name, body) == ([LABEL], "/m/01g317", b"\x00\xff")
    assert planned_at == NOON
    assert planned_at.utcoffset() == datetime.now(UTC).utcoffset()


def test_each_answer_sees_the_tables_as_they_are_then(lake: Lake) -> None:
    for keys in ([], ["1"], ["1", "2"]):
        plan(lake, "a", keys)
        assert run_query(lake, "SELECT count(*) FROM ingest.manifest")[1] == [(len(keys),)]


def test_a_batch_is_read_from_its_own_files_only(lake: Lake) -> None:
    """The other batch's file is gone from the disk, and nobody notices."""
    plan(lake, "a", ["1"])
    plan(lake, "b", ["2"])
    for file in files_of(lake, MANIFEST):
        if "batch_id=b" in str(file):
            file.unlink()
    assert run_query(lake, "SELECT item_key FROM ingest.manifest WHERE batch_id = 'a'")[1] == [("1",)]
    assert run_query(lake, "SELECT item_key FROM ingest.manifest WHERE batch_id IN ('a')")[1] == [("1",)]
    with pytest.raises(TableDamaged, match=r"its file batch_id=b/.* is missing"):
        run_query(lake, "SELECT item_key FROM ingest.manifest")


def test_filters_and_columns_reach_the_scan(lake: Lake) -> None:
    plan(lake, "a", ["1"])
    told = run_query(lake, "EXPLAIN SELECT item_key FROM ingest.manifest WHERE batch_id = 'a'")[1][0][1]
    assert re.search(r"Filters:.*batch_id", told), told
    assert re.search(r"Projections:.*item_key", told), told
    assert "labels" not in told


def test_equal_column_names_are_told_apart(lake: Lake) -> None:
    columns, rows = run_query(lake, "SELECT 1 AS a, 2 AS a, 3 AS a, 4 AS a_1")
    assert len(set(columns)) == 4
    assert columns[:2] == ["a", "a_1"]
    assert rows == [(1, 2, 3, 4)]


@pytest.mark.parametrize(
    "sql",
    [
        "FROM ingest.manifest",
        "VALUES (1)",
        "WITH x AS (SELECT 1 AS a) SELECT * FROM x;",
        "DESCRIBE ingest.manifest",
        "SUMMARIZE ingest.manifest",
        "PIVOT ingest.manifest ON kind USING count(*) GROUP BY batch_id",
        "-- a comment\nSELECT 1",
    ],
)
def test_every_way_to_read_is_allowed(planned_lake: Lake, sql: str) -> None:
    columns, rows = run_query(planned_lake, sql)
    assert columns
    assert rows


@pytest.fixture(scope="module")
def planned_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with one row, for tests that only ask."""
    lake = lake_at(tmp_path_factory.mktemp("planned") / "lake")
    plan(lake, "a", ["1"])
    return lake


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder beside the lake with something worth stealing."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret.csv").write_text("secret\nhush\n")
    (folder / "secret.json").write_text(json.dumps([{"secret": "hush"}]))
    connection = duckdb.connect(str(folder / "secret.duckdb"))
    connection.execute("CREATE TABLE t AS SELECT 'hush' AS secret")
    connection.close()
    return folder


FORBIDDEN = [
    # files and network
    "SELECT * FROM '{outside}/secret.csv'",
    "SELECT * FROM '{outside}/*.csv'",
    "SELECT * FROM read_csv('{outside}/secret.csv')",
    "SELECT * FROM read_json('{outside}/secret.json')",
    "SELECT * FROM read_text('{outside}/secret.csv')",
    "SELECT * FROM read_blob('{outside}/secret.csv')",
    "SELECT * FROM glob('{outside}/*')",
    "SELECT * FROM sniff_csv('{outside}/secret.csv')",
    "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    "SELECT * FROM delta_scan('{outside}')",
    "COPY (SELECT 1) TO '{outside}/out.csv'",
    "COPY ingest.manifest TO '{outside}/out.parquet'",
    "EXPORT DATABASE '{outside}/out'",
    "IMPORT DATABASE '{outside}'",
    "ATTACH '{outside}/secret.duckdb' AS stolen",
    "ATTACH ':memory:' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{outside}/x.duckdb_extension'",
    "LOAD json",
    "CREATE SECRET s (TYPE s3)",
    # configuration
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET python_enable_replacements = true",
    "SET memory_limit = '1GB'",
    "RESET lock_configuration",
    "SET VARIABLE x = 1",
    "USE raw",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    # Python variables
    "SELECT * FROM stolen_frame",
    "SELECT * FROM lake",
    # writing
    "CREATE TABLE t (a INT)",
    "CREATE OR REPLACE VIEW raw.media AS SELECT 1",
    "CREATE MACRO f(x) AS x + 1",
    "DROP VIEW raw.media",
    "INSERT INTO ingest.manifest VALUES (1)",
    "DELETE FROM ingest.manifest",
    "UPDATE ingest.manifest SET uri = ''",
    "TRUNCATE ingest.manifest",
    "BEGIN",
    "CHECKPOINT",
    "VACUUM",
    # several statements, none, or not SQL
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY (SELECT 1) TO '{outside}/out.csv'",
    "COPY (SELECT 1) TO '{outside}/out.csv'; SELECT 1",
    "CREATE TABLE t AS SELECT 1; SELECT * FROM t",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{outside}/out.csv'",
    "",
    "-- nothing",
    ";",
    "SELECT",
    "give me everything",
    "SELECT * FROM no_such_table",
    "SELECT no_such_column FROM ingest.manifest",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_everything_else_is_refused_and_leaves_nothing_behind(planned_lake: Lake, outside: Path, sql: str) -> None:
    stolen_frame = pl.DataFrame({"secret": ["hush"]})  # in scope of the caller, as DuckDB would look for it
    before = {path: path.stat().st_mtime_ns for path in outside.rglob("*")}
    with pytest.raises(QueryRefused) as caught:
        run_query(planned_lake, sql.format(outside=outside))
    told = str(caught.value)
    assert told.startswith("Expected one SELECT over the lake's tables (ingest.manifest, ")
    assert "marts.dead_letters" in told
    assert "hush" not in told
    assert {path: path.stat().st_mtime_ns for path in outside.rglob("*")} == before
    assert stolen_frame.height == 1


def test_the_connection_itself_reaches_no_file(planned_lake: Lake, outside: Path) -> None:
    """`run_query` judges the statement; this holds for what other code runs on the connection as well."""
    before = set(outside.rglob("*"))
    with open_sql(planned_lake) as connection:
        for sql in (sql for sql in FORBIDDEN if "{outside}" in sql):
            with pytest.raises(duckdb.Error):
                connection.execute(sql.format(outside=outside)).fetchall()
    assert set(outside.rglob("*")) == before


def test_the_connection_itself_is_locked(lake: Lake) -> None:
    stolen = [1]
    with open_sql(lake) as connection:
        for sql in ("SET enable_external_access = true", "SET lock_configuration = false", "SELECT * FROM stolen"):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)
    assert stolen


# --- models ---


def header(select: str) -> dict[str, str]:
    return dict(re.findall(r"^-- (\w+): (.+)$", select, re.MULTILINE))


def test_there_are_models_in_alphabetical_order() -> None:
    assert [(schema, name) for schema, name, _ in MODELS] == sorted((schema, name) for schema, name, _ in MODELS)
    assert ("marts", "dead_letters") in {(schema, name) for schema, name, _ in MODELS}


@every_model
def test_a_model_is_one_select_under_a_header(model: tuple[str, str, str]) -> None:
    select = model[2]
    told = header(select)
    assert set(told) == {"grain", "key", "inputs", "description"}
    assert all(told.values())
    (statement,) = duckdb.connect().extract_statements(select)
    assert statement.type == duckdb.StatementType.SELECT
    assert [line for line in select.split("\n")[:4] if not line.startswith("-- ")] == [], "the header comes first"


@every_model
def test_a_model_reads_its_inputs_all_of_them_and_nothing_else(lake: Lake, model: tuple[str, str, str]) -> None:
    inputs = re.split(r",\s*", header(model[2])["inputs"])
    with open_sql(lake) as connection:
        empty = {name: connection.sql(f"SELECT * FROM {name}").pl() for name in inputs}
    with_inputs(empty).execute(model[2])
    for left_out in inputs:
        with pytest.raises(duckdb.CatalogException):
            with_inputs({name: frame for name, frame in empty.items() if name != left_out}).execute(model[2])


def with_inputs(frames: dict[str, pl.DataFrame]) -> duckdb.DuckDBPyConnection:
    """A database with these tables and no other."""
    connection = duckdb.connect()
    for name, frame in frames.items():
        connection.register("rows", frame)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name.partition('.')[0]}")
        connection.execute(f"CREATE TABLE {name} AS FROM rows")
    return connection


@every_model
def test_the_key_of_a_model_is_made_of_its_columns(lake: Lake, model: tuple[str, str, str]) -> None:
    columns, _ = run_query(lake, f"SELECT * FROM {model[0]}.{model[1]}")
    assert set(re.split(r",\s*", header(model[2])["key"])) <= set(columns)


def test_dead_letters_are_failed_statuses_with_their_source(lake: Lake) -> None:
    plan(lake, "a", ["1", "2"], uri="http://x/1", source="folder")
    rows: list[dict[str, Any]] = [
        valid(ITEM_STATUS, batch_id="a", item_key="1"),
        valid(ITEM_STATUS, batch_id="a", item_key="2", status="accepted", error_code=None),
        valid(ITEM_STATUS, batch_id="gone", item_key="1"),
    ]
    lake.overwrite(ITEM_STATUS, ITEM_STATUS.frame(rows), {}, US)
    columns, letters = run_query(lake, "SELECT * FROM marts.dead_letters ORDER BY batch_id")
    found = [dict(zip(columns, letter, strict=True)) for letter in letters]
    assert [(row["batch_id"], row["item_key"], row["uri"], row["source"]) for row in found] == [
        ("a", "1", "http://x/1", "folder"),
        ("gone", "1", None, None),
    ]
    assert found[0]["error_code"] == "not_found"
