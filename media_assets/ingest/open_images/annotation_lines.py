"""Lines of Open Images label and box files as rows, a block of lines at a time. Pure: polars in, polars out.

Formats: `*-annotations-human-imagelabels*.csv` (four columns; a Confidence of 0 is a person's word that the
thing is absent) and `*-annotations-bbox.csv` (thirteen columns, in the order XMin, XMax, YMin, YMax, as
shares of width and height; flags are 1, 0, or -1 for unknown; the training file of v6 adds eight XClick
columns, which are passed over). No value of these files holds a comma, so that a line is a row. Not here:
reading files (`annotations.py`).
"""

from __future__ import annotations

from functools import reduce

import polars as pl

LABEL_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence")
_SIDES = {"x_min": "XMin", "x_max": "XMax", "y_min": "YMin", "y_max": "YMax"}
_FLAGS = {
    "is_occluded": "IsOccluded",
    "is_truncated": "IsTruncated",
    "is_group_of": "IsGroupOf",
    "is_depiction": "IsDepiction",
    "is_inside": "IsInside",
}
BOX_COLUMNS = (*LABEL_COLUMNS, *_SIDES.values(), *_FLAGS.values())
EXTRA_COLUMN_PREFIX = "XClick"

ROW_SCHEMA = pl.Schema(
    {
        "line": pl.Int64,
        "image_id": pl.String,
        "name": pl.String,
        "annotator": pl.String,
        "confidence": pl.Float64,
        **dict.fromkeys(_SIDES, pl.Float64),
        **dict.fromkeys(_FLAGS, pl.Boolean),
        "problem": pl.String,
    }
)
"""What `rows_of` returns. `line` is the 1-based line number; a row is good exactly when `problem` is null."""

VALUE_COLUMNS = tuple(name for name in ROW_SCHEMA if name not in ("line", "image_id", "problem"))
_FLAG_VALUES = ("0", "1", "-1")


def rows_of(lines: pl.Series, first_line: int, n_columns: int) -> pl.DataFrame:
    """Lines without their ends as rows of `ROW_SCHEMA`; blank lines are passed over.

    Args:
        lines: text, one line each.
        first_line: 1-based number of the first of them.
        n_columns: as the file's header has: 4 for labels, 13 or more for boxes.
    """
    texts = pl.DataFrame({"text": lines}).with_row_index("line", offset=first_line)
    texts = texts.with_columns(pl.col("line").cast(pl.Int64), pl.col("text").str.strip_chars_end("\r"))
    texts = texts.filter(pl.col("text") != "").with_columns(pl.col("text").str.split(",").alias("fields"))
    is_box = n_columns > len(LABEL_COLUMNS)
    values = texts.with_columns(
        _field("ImageID").alias("image_id"),
        _field("LabelName").alias("name"),
        _field("Source").alias("annotator"),
        _field("Confidence").cast(pl.Float64, strict=False).alias("confidence"),
        *(_side(column, is_box).alias(name) for name, column in _SIDES.items()),
        *(_flag(column, is_box).alias(name) for name, column in _FLAGS.items()),
    )
    return values.with_columns(_problem(n_columns, is_box).alias("problem")).select(list(ROW_SCHEMA))


def _field(column: str) -> pl.Expr:
    at = BOX_COLUMNS.index(column)
    return pl.col("fields").list.get(at, null_on_oob=True).str.strip_chars('"')


def _side(column: str, is_box: bool) -> pl.Expr:
    return _field(column).cast(pl.Float64, strict=False) if is_box else pl.lit(None, pl.Float64)


def _flag(column: str, is_box: bool) -> pl.Expr:
    if not is_box:
        return pl.lit(None, pl.Boolean)
    return pl.when(_field(column).is_in(["0", "1"])).then(_field(column) == "1")


def _problem(n_columns: int, is_box: bool) -> pl.Expr:
    """What is wrong with a row, the first complaint only; null for a good row."""
    n_fields = pl.col("fields").list.len()
    complaints = [
        (n_fields != n_columns, pl.format("expected {} columns, got {}", pl.lit(n_columns), n_fields)),
        (~_matches("image_id", r"^[0-9a-fA-F]{16}$"), _got("an ImageID of 16 hex digits", "ImageID")),
        (~_matches("name", r"^/[mg]/[0-9A-Za-z_]+$"), _got("a LabelName such as /m/01g317", "LabelName")),
        (~_matches("annotator", r"^[0-9A-Za-z_-]+$"), _got("a Source such as verification", "Source")),
        (~_is_share("confidence"), _got("a Confidence of 0 to 1", "Confidence")),
    ]
    if is_box:
        complaints += [(~_is_share(name), _got(f"a {side} of 0 to 1", side)) for name, side in _SIDES.items()]
        is_turned = (pl.col("x_min") > pl.col("x_max")) | (pl.col("y_min") > pl.col("y_max"))
        complaints.append((is_turned, pl.lit("expected XMin <= XMax and YMin <= YMax, got them the other way")))
        complaints += [
            (~_field(flag).is_in(_FLAG_VALUES).fill_null(False), _got(f"a {flag} of 0, 1 or -1", flag))
            for flag in _FLAGS.values()
        ]
    none = pl.lit(None, pl.String)
    return reduce(lambda rest, c: pl.when(c[0]).then(c[1]).otherwise(rest), reversed(complaints), none)


def _matches(name: str, pattern: str) -> pl.Expr:
    return pl.col(name).str.contains(pattern).fill_null(False)


def _is_share(name: str) -> pl.Expr:
    """Whether a number is 0..1; false for NaN, infinities and what was no number."""
    return pl.col(name).is_between(0.0, 1.0).fill_null(False)


def _got(expected: str, column: str) -> pl.Expr:
    return pl.format("expected {}, got '{}'", pl.lit(expected), _field(column).fill_null("").str.head(60))
