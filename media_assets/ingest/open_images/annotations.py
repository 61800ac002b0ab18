"""Labels and boxes of the wanted images, sorted on disk, whatever the size and order of their files.

The files are gigabytes and follow no order that the image list shares. They are read once, in blocks; rows of
wanted images go into a temporary DuckDB database, which sorts them by place in the list within a fixed memory
limit and is asked for a stretch of the list at a time. Not here: what a line means (`annotation_lines.py`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType

import duckdb
import polars as pl

from media_assets.ingest.open_images.annotation_lines import ROW_SCHEMA, VALUE_COLUMNS, rows_of
from media_assets.ingest.open_images.layout import file_header
from media_assets.ingest.planned import RejectedRow

_N_BLOCK_BYTES = 4 << 20
_N_IDS_PER_INSERT = 50_000
_SQL_TYPES = {pl.Int64: "BIGINT", pl.String: "VARCHAR", pl.Float64: "DOUBLE", pl.Boolean: "BOOLEAN"}
_VALUES = ", ".join(VALUE_COLUMNS)


class Annotations:
    """A temporary database of what is known of the wanted images; a context manager, gone at its end.

    Use: `want`, then `load` for each file, then `sort`, then `of` for one stretch of the list after another.
    """

    def __init__(self, spool: Path | None = None, memory_limit: str = "256MB") -> None:
        """`spool`: where the temporary database lies (None: the system's place)."""
        self._folder = tempfile.TemporaryDirectory(prefix="media-assets-plan-", dir=spool)
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "threads": "2",
            "temp_directory": self._folder.name,
        }
        self._db = duckdb.connect(str(Path(self._folder.name) / "annotations.duckdb"), config=settings)
        columns = ", ".join(f"{name} {_SQL_TYPES[type(ROW_SCHEMA[name])]}" for name in VALUE_COLUMNS)
        self._db.execute(f"CREATE TABLE found (place BIGINT, image_id VARCHAR, {columns})")

    def __enter__(self) -> Annotations:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    def want(self, image_ids: Iterable[str]) -> None:
        """Name the images of the list, in its order; an id that comes again keeps its first place."""
        self._db.execute("CREATE TABLE listed (place BIGINT, image_id VARCHAR)")
        places = enumerate(image_ids)
        while chunk := list(islice(places, _N_IDS_PER_INSERT)):
            self._insert("listed", pl.DataFrame(chunk, schema=["place", "image_id"], orient="row"))
        self._db.execute("CREATE TABLE wanted AS SELECT min(place) AS place, image_id FROM listed GROUP BY image_id")
        self._db.execute("DROP TABLE listed")

    def load(self, path: Path) -> Iterator[RejectedRow]:
        """Take the rows of the wanted images from a label or box file, and yield the bad ones among them.

        A bad row that belongs to no image at all is yielded, too.
        """
        n_columns = len(file_header(path))
        for first_line, lines in _blocks(path):
            rows = rows_of(lines, first_line, n_columns)
            self._db.register("block", rows.to_arrow())
            self._db.execute(
                f"INSERT INTO found SELECT place, image_id, {_VALUES} "  # noqa: S608 - own names
                "FROM block JOIN wanted USING (image_id) WHERE problem IS NULL"
            )
            if rows["problem"].null_count() < rows.height:
                for line, problem in self._bad_rows():
                    yield RejectedRow(f"{path.name}:{line}", problem)
            self._db.unregister("block")

    def sort(self) -> None:
        """Bring what was loaded into the order of the list."""
        self._db.execute("CREATE TABLE sorted AS SELECT * FROM found ORDER BY place")
        self._db.execute("DROP TABLE found")

    def of(self, start: int, end: int, display_names: Mapping[str, str]) -> dict[str, list[dict[str, object]]]:
        """Labels, as the manifest holds them, of the images at places `start` up to `end` (exclusive), by id.

        Labels of the whole picture come first, then boxes; each kind sorted by all its values, so that the
        order of the files does not matter.
        """
        found = self._db.execute(
            f"SELECT image_id, {_VALUES} FROM sorted WHERE place >= ? AND place < ? "  # noqa: S608 - own names
            f"ORDER BY place, x_min IS NOT NULL, {_VALUES}",
            [start, end],
        ).fetchall()
        labels: dict[str, list[dict[str, object]]] = {}
        for image_id, *values in found:
            label = dict(zip(VALUE_COLUMNS, values, strict=True))
            labels.setdefault(image_id, []).append(label | {"display_name": display_names.get(values[0])})
        return labels

    def _bad_rows(self) -> list[tuple[int, str]]:
        return self._db.execute(
            """
            SELECT line, problem FROM block
            WHERE problem IS NOT NULL AND (
                image_id IN (SELECT image_id FROM wanted)
                OR image_id IS NULL
                OR NOT regexp_full_match(image_id, '[0-9a-fA-F]{16}')
            )
            ORDER BY line
            """
        ).fetchall()

    def _insert(self, table: str, frame: pl.DataFrame) -> None:
        self._db.register("block", frame.to_arrow())
        self._db.execute(f"INSERT INTO {table} SELECT * FROM block")  # noqa: S608 - own names
        self._db.unregister("block")


def _blocks(path: Path) -> Iterator[tuple[int, pl.Series]]:
    """Whole lines of a file after its header, some megabytes at a time, with the number of the first.

    Bytes that are not UTF-8 become U+FFFD, which no column of these files admits. Of a line longer than a
    block only the beginning is given out, which is no row.
    """
    with path.open("rb") as file:
        file.readline(_N_BLOCK_BYTES)
        first_line, rest, is_cut = 2, b"", False
        while block := file.read(_N_BLOCK_BYTES):
            if is_cut:  # in a line that was given up
                _, line_end, block = block.partition(b"\n")
                is_cut = not line_end
            whole, line_end, rest = (rest + block).rpartition(b"\n")
            if not line_end and len(rest) > _N_BLOCK_BYTES:
                whole, rest, is_cut = rest[:100], b"", True
            if whole:
                lines = _lines(whole)
                yield first_line, lines
                first_line += len(lines)
        if rest:
            yield first_line, _lines(rest)


def _lines(block: bytes) -> pl.Series:
    return pl.Series([block.decode("utf-8", errors="replace")]).str.split("\n").explode()
